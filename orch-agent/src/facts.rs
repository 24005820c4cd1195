//! What the node is by itself: system, architecture, engine.

use orch_core::env::EnvExt as _;
use orch_core::node::NodeFacts;

use crate::shared::Shared;

/// Keeps the facts: asks the runtime at the start, and whenever it is back, since it may be another one then.
pub(crate) async fn run(shared: &Shared) {
    let mut status = shared.status.subscribe();
    loop {
        let facts = find(shared).await;
        shared.facts.send_if_modified(|known| {
            let is_new = known.as_ref() != Some(&facts);
            *known = Some(facts);
            is_new
        });
        let is_back = async {
            loop {
                if status.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                if status.borrow_and_update().runtime_reachable {
                    return;
                }
            }
        };
        is_back.await;
    }
}

/// The facts; of the engine only where it answers in time, else what was known of it before.
async fn find(shared: &Shared) -> NodeFacts {
    let asked = tokio::select! {
        biased;
        info = shared.runtime.info() => info.ok(),
        () = shared.env.sleep(shared.config.call_timeout) => None,
    };
    let mut facts = shared.facts.borrow().clone().unwrap_or_default();
    facts.os = Some(std::env::consts::OS.to_owned());
    facts.arch = Some(architecture().to_owned());
    if let Some(info) = asked {
        facts.engine = Some(info.kind.to_owned());
        // Whatever an engine calls itself, it must not cost the node its heartbeat.
        let version = info.version.chars().filter(|c| !c.is_control()).take(64);
        facts.engine_version = Some(version.collect());
    }
    facts
}

/// The machine's architecture in the words that images use.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}
