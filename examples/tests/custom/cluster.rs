//! What the tests share: a cluster over functions.

use std::sync::Arc;
use std::time::Duration;

use orch_agent::AgentConfig;
use orch_core::control_plane::query::ReadServices;
use orch_core::env::SystemEnv;
use orch_core::identity::{Permit, Principal, Role, Scope};
use orch_core::name::Namespace;
use orch_core::node::Resources;
use orch_core::service::Service;
use orch_core::testing::parts::user;
use orch_core::{api, command};
use orch_examples::custom::functions::{Function, FunctionRuntime};
use orch_server::local::{LocalCluster, LocalClusterBuilder};

/// Serves until it is told to stop.
pub(crate) fn serve() -> Function {
    Arc::new(|_, stop| {
        Box::pin(async move {
            stop.cancelled().await;
            0
        })
    })
}

/// Ends at once, badly.
pub(crate) fn fail() -> Function {
    Arc::new(|_, _| Box::pin(std::future::ready(1)))
}

pub(crate) fn functions() -> FunctionRuntime {
    let functions = [("fn/serve:1".to_owned(), serve()), ("fn/fail:1".to_owned(), fail())];
    FunctionRuntime::new(SystemEnv::shared(), functions)
}

/// A node of that name, over these functions.
pub(crate) fn node(name: &str) -> AgentConfig {
    AgentConfig::new(name.parse().unwrap(), "127.0.0.1", Resources::new(2_000, 1 << 30))
}

pub(crate) fn builder() -> LocalClusterBuilder {
    LocalCluster::builder().node(node("here"), Arc::new(functions()))
}

fn here() -> Scope {
    Scope::Namespace(Namespace::default_namespace())
}

fn operator() -> Principal {
    user("olga", Role::Operator)
}

/// Creates a service of so many functions that serve.
pub(crate) async fn create(cluster: &LocalCluster, replicas: u32) -> Arc<Service> {
    let spec: api::spec::ServiceSpec = serde_json::from_value(serde_json::json!({
        "name": "serve", "image": "fn/serve:1", "replicas": replicas,
    }))
    .unwrap();
    let spec = api::service::SpecRequest { spec }.parse().unwrap();
    let create = command::CreateService { namespace: Namespace::default_namespace(), spec };
    let control = cluster.control();
    control.execute(control.authorize(operator(), here()).unwrap(), create).await.unwrap()
}

/// Waits until so many tasks of the service run.
pub(crate) async fn running(cluster: &LocalCluster, service: &Service, count: usize) {
    let control = cluster.control();
    let permit: Permit<ReadServices> = control.authorize(operator(), here()).unwrap();
    let enough = control.wait_for(&permit, |view| {
        let tasks = view.cluster().tasks_of_service(service.id);
        (tasks.filter(|task| task.status.is_running()).count() == count).then_some(())
    });
    tokio::time::timeout(Duration::from_secs(20), enough).await.expect("in time");
}
