//! A whole orchestrator in a program of one's own: control plane, store, agent and runtime, with no socket between them.
#![forbid(unsafe_code)]

use std::sync::Arc;

use orch_agent::AgentConfig;
use orch_core::identity::{Scope, UserProof};
use orch_core::name::Namespace;
use orch_core::{api, command, node::Resources};
use orch_runtime::process::{ProcessConfig, ProcessRuntime};
use orch_server::local::LocalCluster;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The orchestrator. The runtime, the store and each part of the control plane are traits: bring your own.
    let folder = tempfile::tempdir()?;
    let runtime = ProcessRuntime::new(ProcessConfig { state_dir: folder.path().to_owned() })?;
    let node = AgentConfig::new("here".parse()?, "127.0.0.1", Resources::new(2_000, 1 << 30));
    let cluster = LocalCluster::builder().node(node, Arc::new(runtime)).start().await?;
    let control = cluster.control();

    // A service: two processes that sleep.
    let spec: api::spec::ServiceSpec = serde_json::from_value(serde_json::json!({
        "name": "sleeper", "image": "process/sleep", "replicas": 2, "command": ["sleep", "1000"],
    }))?;
    let me = control.authenticate(&UserProof::at(control.now())).await?;
    let here = Scope::Namespace(Namespace::default_namespace());
    let create = command::CreateService {
        namespace: Namespace::default_namespace(),
        spec: api::service::SpecRequest { spec }.parse()?,
    };
    let service = control.execute(control.authorize(me.clone(), here.clone())?, create).await?;

    // Wait on the state itself, not on a timer.
    let permit =
        control.authorize::<orch_core::control_plane::query::ReadServices>(me.clone(), here.clone())?;
    let running = control
        .wait_for(&permit, |view| {
            let tasks: Vec<_> = view
                .cluster()
                .tasks_of_service(service.id)
                .filter(|task| task.status.is_running())
                .cloned()
                .collect();
            (tasks.len() == 2).then_some(tasks)
        })
        .await;
    #[expect(clippy::print_stdout, reason = "an example shows something")]
    for task in running.iter().flatten() {
        println!("{}.{} is {}", service.spec.name, task.slot, task.status.as_str());
    }

    control.execute(control.authorize(me, here)?, command::DeleteService { service: service.id }).await?;
    control
        .wait_for(&permit, |view| {
            view.cluster().tasks_of_service(service.id).all(|task| !task.occupies_node()).then_some(())
        })
        .await;
    cluster.remove().await?;
    Ok(())
}
