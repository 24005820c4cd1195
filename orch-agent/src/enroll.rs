//! First contact, and every one after a lost identity: re-enrolment is a state of the loop, not a restart.

use std::sync::Arc;
use std::time::Duration;

use orch_core::agent::{AgentApiError, RegisterRequest, Registered};
use orch_core::env::EnvExt as _;
use orch_core::identity::{KeyFingerprint, KeyProof, RegistrationClaim};

use crate::credential::{Loss, Session};
use crate::heartbeat;
use crate::retry::Retry;
use crate::shared::{Shared, retry_after};

/// How long the first registration waits for an engine that says what it is.
const FACTS_PATIENCE: Duration = Duration::from_secs(2);

/// Registers, keeps the registration alive, and registers again whenever it is lost. Ends only for a revoked node.
pub(crate) async fn run(shared: &Shared) {
    await_facts(shared).await;
    loop {
        let Some(registered) = register(shared).await else { break };
        let session = Arc::new(Session::new(&registered));
        tracing::info!(
            cluster = %session.owner.cluster, node = %session.owner.node,
            incarnation = session.incarnation.0, "registered"
        );
        heartbeat::directives(&registered.directives);
        shared.session.send_replace(Some(Arc::clone(&session)));
        shared.status.send_modify(|status| {
            status.registered = true;
            status.heartbeat_accepted = true;
        });
        let loss = heartbeat::run(shared, &session, registered.heartbeat_interval).await;
        shared.session.send_replace(None);
        shared.status.send_modify(|status| {
            status.registered = false;
            status.heartbeat_accepted = false;
        });
        match loss {
            Loss::Renew(why) => {
                tracing::warn!(why, "the identity is lost; registering again, containers run on")
            }
            Loss::Revoked => break,
        }
    }
    tracing::error!("this node is revoked: its containers are stopped, and it does nothing more");
    shared.status.send_modify(|status| status.revoked = true);
    shared.goal.send_modify(|goal| goal.revoked = true);
    std::future::pending::<()>().await;
}

/// Lets the first registration tell the facts, if they can be had at once; a heartbeat tells what is found later.
async fn await_facts(shared: &Shared) {
    let mut facts = shared.facts.subscribe();
    tokio::select! {
        biased;
        _ = facts.wait_for(Option::is_some) => {}
        () = shared.env.sleep(FACTS_PATIENCE) => {}
    }
}

/// Tries until it is let in; `None` if the node is revoked.
async fn register(shared: &Shared) -> Option<Registered> {
    let mut retry = Retry::new("registering");
    let mut told = false;
    loop {
        let error = match shared.call(shared.config.call_timeout, try_register(shared)).await {
            Ok(registered) => {
                retry.worked();
                return Some(registered);
            }
            Err(AgentApiError::NodeRevoked) => return None,
            Err(error) => error,
        };
        if matches!(error, AgentApiError::Unauthorized) && !told {
            told = true;
            say_what_helps(shared);
        }
        let wait = retry.failed(&shared.env, &error, retry_after(&error));
        shared.env.sleep(wait).await;
    }
}

/// Why it is not let in, only those know who look after the cluster; what they can do is no secret.
fn say_what_helps(shared: &Shared) {
    let name = &shared.config.name;
    match shared.key.as_ref().map(|key| KeyFingerprint::of(&key.public_key())) {
        Some(key) => tracing::warn!(
            "the control plane does not let this node in: give it a new token (`orch node token create --name {name}`), \
             or, if the node was there with another key, approve this one (`orch node approve-key {name} {key}`)"
        ),
        None => tracing::warn!("the control plane does not let this node in: its token is not accepted"),
    }
}

async fn try_register(shared: &Shared) -> Result<Registered, AgentApiError> {
    let config = &shared.config;
    let claim = RegistrationClaim {
        name: config.name.clone(),
        advertise_address: config.advertise_address.clone(),
        labels: config.labels.clone(),
        facts: shared.facts.borrow().clone().unwrap_or_default(),
        capacity: config.capacity,
        allocatable: config.allocatable,
        agent_version: config.version.clone(),
        boot: Some(shared.boot),
    };
    let key = match &shared.key {
        None => None,
        Some(key) => {
            let challenge = shared.api.challenge(&config.name).await?;
            let certificate = shared.api.server_certificate();
            let text = KeyProof::signed_text(&challenge, &claim, certificate.as_ref());
            Some(KeyProof { key: key.public_key(), signature: key.sign(&text), challenge })
        }
    };
    shared.api.register(RegisterRequest { claim, token: config.token.clone(), key }).await
}
