//! The same containers as a Swarm service: the engine's own orchestrator, on the same engine.

use std::time::Duration;

use anyhow::Context as _;
use orch_core::time::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::cluster::{CPU_MILLIS, Cluster, MEMORY, PATIENCE, until};
use crate::engine::{Engine, remove_labelled};
use crate::report::now;

/// What an engine makes for itself when it joins a swarm, and forgets when it leaves.
const NETWORKS: [&str; 2] = ["ingress", "docker_gwbridge"];

/// An engine that was in no swarm when it was found, and is in none when it is put back.
pub(crate) struct Swarm {
    /// Those of [`NETWORKS`] that were there before.
    kept: Vec<&'static str>,
    service: String,
    /// The engine on its way into the swarm: it goes on when nobody waits for it any more.
    joining: Mutex<Option<JoinHandle<anyhow::Result<Value>>>>,
}

impl Swarm {
    /// Looks at the engine and changes nothing.
    ///
    /// # Errors
    /// It is in a swarm already, and that one is not ours to leave.
    pub(crate) async fn find() -> anyhow::Result<Self> {
        let mut engine = Engine::connect().await?;
        let state = state(&mut engine).await?;
        anyhow::ensure!(
            state == "inactive",
            "--with-swarm makes a swarm of its own and leaves it afterwards, but this engine is in one already (its state \
             is {state:?}): measure without --with-swarm, or on another engine"
        );
        let kept = networks(&mut engine).await?;
        let service = format!("orch-bench-{}", std::process::id());
        Ok(Self { kept, service, joining: Mutex::default() })
    }

    /// Makes the engine a swarm of one node that only this machine can reach.
    pub(crate) async fn begin(&self) -> anyhow::Result<()> {
        let body = json!({ "ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1" });
        let mut engine = Engine::connect().await?;
        let mut joining = self.joining.lock().await;
        let made =
            joining.insert(tokio::spawn(async move { engine.post("/swarm/init", &body).await })).await?;
        *joining = None;
        made.map(drop).context("--with-swarm: this engine cannot make a swarm on 127.0.0.1:2377")
    }

    /// From the request to the engine's `StartedAt` of the last of `count` containers, in seconds.
    pub(crate) async fn round(&self, cluster: &Cluster, count: u32, round: u32) -> anyhow::Result<f64> {
        let mut engine = Engine::connect().await?;
        let name = format!("{}-{round}", self.service);
        let image = engine.image_id(&cluster.image.to_string()).await?;
        let began = now();
        let answer = engine.post("/services/create", &self.options_of(&name, &image, count)).await?;
        let id = answer["ID"].as_str().context("a created service has an ID")?.to_owned();
        let last = self.last_start(&mut engine, count as usize, &id).await?;
        engine.delete(&format!("/services/{id}")).await?;
        let label = self.label();
        let gone = async || Ok(Engine::connect().await?.labelled(&label).await?.is_empty());
        until("every container of the Swarm service is gone", gone).await?;
        Ok(crate::deploy::between(began, last))
    }

    /// Waits until all run.
    async fn last_start(
        &self,
        engine: &mut Engine,
        count: usize,
        service: &str,
    ) -> anyhow::Result<Timestamp> {
        let label = self.label();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let running = loop {
            let listed = engine.labelled(&label).await?;
            let running: Vec<_> = listed.into_iter().filter(|found| found.state == "running").collect();
            if running.len() == count {
                break running;
            }
            if tokio::time::Instant::now() >= deadline {
                let why = engine.why_not_running(service).await.unwrap_or_default();
                anyhow::bail!(
                    "{} of {count} containers of the Swarm service run after {PATIENCE:?}{why}",
                    running.len()
                );
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let mut last = Timestamp::ZERO;
        for container in running {
            last = last.max(engine.started_at(&container.id).await?);
        }
        Ok(last)
    }

    fn label(&self) -> String {
        format!("orch-bench.swarm={}", self.service)
    }

    /// The options of the bare loop, as far as Swarm of this engine has them: it does not know `no-new-privileges`. The image
    /// goes by its id, for which no registry is asked.
    fn options_of(&self, name: &str, image: &str, count: u32) -> Value {
        let share = json!({ "NanoCPUs": CPU_MILLIS * 1_000_000, "MemoryBytes": MEMORY });
        json!({
            "Name": name,
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": image,
                    "Labels": { "orch-bench.swarm": self.service },
                    "Hostname": "bench-0",
                    "Init": false,
                    "ReadOnly": false,
                    "StopSignal": "SIGKILL",
                    "StopGracePeriod": 10_000_000_000_u64,
                    "CapabilityDrop": ["CAP_NET_RAW"],
                },
                "Resources": { "Limits": share, "Reservations": share },
                "RestartPolicy": { "Condition": "none" },
            },
            "Mode": { "Replicated": { "Replicas": count } },
        })
    }

    /// Leaves the engine as it was found, wherever [`Swarm::begin`] and the rounds came to.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        let label = self.label();
        if let Some(joining) = self.joining.into_inner() {
            let _ = joining.await;
        }
        let mut engine = Engine::connect().await?;
        if state(&mut engine).await? != "inactive" {
            engine.post("/swarm/leave?force=true", &json!({})).await.context("leaving the swarm")?;
        }
        let inactive = async || Ok(state(&mut Engine::connect().await?).await? == "inactive");
        until("the engine has left the swarm", inactive).await?;
        remove_labelled(&label).await?;
        // The bridge is kept by the engine, and the other may still be on its way out.
        until("the swarm's networks are gone", async || {
            let mut engine = Engine::connect().await?;
            let mut made = networks(&mut engine).await?;
            made.retain(|name| !self.kept.contains(name));
            for name in &made {
                // Refused while something is attached: the next turn tries again.
                let _ = engine.delete(&format!("/networks/{name}")).await;
            }
            Ok(made.is_empty())
        })
        .await
    }
}

async fn state(engine: &mut Engine) -> anyhow::Result<String> {
    let info = engine.read("/info").await?;
    Ok(info["Swarm"]["LocalNodeState"].as_str().unwrap_or("unknown").to_owned())
}

/// Those of [`NETWORKS`] that are there.
async fn networks(engine: &mut Engine) -> anyhow::Result<Vec<&'static str>> {
    let all = engine.read("/networks").await?;
    let there =
        |name: &&str| all.as_array().is_some_and(|all| all.iter().any(|network| network["Name"] == **name));
    Ok(NETWORKS.into_iter().filter(there).collect())
}
