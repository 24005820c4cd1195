//! The sign of life: keeps the registration and the credential fresh, whatever the node's containers are up to.

use std::time::Duration;

use orch_core::agent::{AgentApiError, Directive, EngineReport, Heartbeat, HeartbeatAnswer};
use orch_core::env::{EnvExt as _, SharedEnv};
use orch_core::time::Monotonic;

use crate::credential::{Loss, Session};
use crate::retry::Retry;
use crate::shared::{Shared, retry_after};

/// Late answers are nothing to worry about; this many in a row mean that someone else uses our identity.
const SUPERSEDED_LIMIT: u32 = 5;

/// Heartbeats until the session is lost.
pub(crate) async fn run(shared: &Shared, session: &Session, mut interval: Duration) -> Loss {
    let mut retry = Retry::new("the heartbeat");
    let (mut superseded, mut behind) = (0, 0);
    let at_most = shared.config.heartbeat_interval.unwrap_or(Duration::MAX);
    interval = interval.min(at_most);
    let mut wait = about(&shared.env, interval);
    // Told once in each registration, and again when they change: engines are upgraded under running agents.
    let (mut told, mut told_away) = (None, None);
    loop {
        let beat = async {
            shared.env.sleep(wait).await;
            let facts = shared.facts.borrow().clone();
            let away = shared.engine_away.borrow().clone();
            let heartbeat = Heartbeat {
                facts: facts.clone().filter(|_| facts != told),
                engine: (told_away != Some(away.is_some())).then(|| engine(shared, away.as_ref())),
                ..Heartbeat::default()
            };
            let answer = send(shared, session, heartbeat).await;
            if answer.is_ok() {
                told = facts;
                told_away = Some(away.is_some());
            }
            answer
        };
        let answer = tokio::select! {
            biased;
            loss = session.lost() => return loss,
            answer = beat => answer,
        };
        shared.status.send_if_modified(|status| {
            std::mem::replace(&mut status.heartbeat_accepted, answer.is_ok()) != answer.is_ok()
        });
        match answer {
            Ok(answer) => {
                retry.worked();
                superseded = 0;
                interval = answer.heartbeat_interval.min(at_most);
                directives(&answer.directives);
                let have = shared.goal.borrow().desired.as_ref().map(|desired| desired.version);
                behind = if have == Some(answer.desired) { 0 } else { behind + 1 };
                if behind == 2 {
                    // Once is a poll that is being answered just now; twice is one that got lost.
                    shared.poll_again.notify_one();
                    behind = 0;
                }
                wait = about(&shared.env, interval);
            }
            Err(error) => {
                if session.judge(&error) {
                    continue;
                }
                superseded = match error {
                    AgentApiError::CredentialSuperseded => superseded + 1,
                    _ => 0,
                };
                if superseded == SUPERSEDED_LIMIT {
                    session.lose(Loss::Renew("the newest credential is not the newest"));
                }
                wait = retry.failed(&shared.env, &error, retry_after(&error)).min(interval);
            }
        }
    }
}

/// Whether the engine is reached, as of now.
fn engine(shared: &Shared, away: Option<&(Monotonic, String)>) -> EngineReport {
    match away {
        None => EngineReport::Reachable,
        Some((since, reason)) => {
            EngineReport::Unreachable { ago: shared.env.monotonic().since(*since), reason: reason.clone() }
        }
    }
}

/// One heartbeat. What it is answered with is taken over.
pub(crate) async fn send(
    shared: &Shared,
    session: &Session,
    heartbeat: Heartbeat,
) -> Result<HeartbeatAnswer, AgentApiError> {
    let authority = session.authority();
    let call = shared.api.heartbeat(&authority, heartbeat);
    let answer = shared.call(shared.config.call_timeout, call).await;
    match &answer {
        Ok(answer) => {
            metrics::counter!("heartbeat_success_total").increment(1);
            if let Some((credential, _)) = &answer.credential {
                session.rotate(credential.clone());
            }
        }
        Err(_) => metrics::counter!("heartbeat_failure_total").increment(1),
    }
    answer
}

/// An interval give or take a tenth, so that a fleet does not beat as one.
fn about(env: &SharedEnv, interval: Duration) -> Duration {
    let tenth = interval / 10;
    let span = u64::try_from((tenth * 2).as_micros()).unwrap_or(u64::MAX);
    interval - tenth + Duration::from_micros(env.random_u64() % (span + 1))
}

/// What the control plane wants to have known.
pub(crate) fn directives(directives: &[Directive]) {
    for directive in directives {
        match directive {
            Directive::Drain => tracing::debug!("the node is being drained"),
            Directive::Offline => tracing::warn!("the control plane takes this node to be offline"),
            Directive::VersionWarning(warning) => tracing::warn!("{warning}"),
        }
    }
}
