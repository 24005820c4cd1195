//! What this node should run: one long poll after the other.

use std::sync::Arc;

use orch_core::agent::{DesiredSet, DesiredVersion, StreamRequest};
use orch_core::env::EnvExt as _;
use tokio::sync::mpsc;

use crate::credential::Session;
use crate::former::with_former;
use crate::retry::Retry;
use crate::shared::{Goal, Shared, retry_after};

/// Polls for ever; sessions come and go.
pub(crate) async fn run(shared: &Shared, streams: mpsc::Sender<StreamRequest>) {
    loop {
        let session = shared.session().await;
        tokio::select! {
            biased;
            _ = session.lost() => {}
            () = poll(shared, &session, &streams) => {}
        }
    }
}

/// Polls as long as the session is alive. The first poll of a session asks for everything: whatever is remembered from
/// before may be of a history that is no longer true.
async fn poll(shared: &Shared, session: &Session, streams: &mpsc::Sender<StreamRequest>) {
    let mut retry = Retry::new("polling the control plane");
    let mut have: Option<DesiredVersion> = None;
    loop {
        let authority = session.authority();
        let limit = shared.config.poll_wait + shared.config.call_timeout;
        let call = shared.call(limit, shared.api.desired(&authority, have, shared.config.poll_wait));
        let answer = tokio::select! {
            biased;
            answer = call => answer,
            () = shared.poll_again.notified() => continue,
        };
        match answer {
            Ok(set) => {
                retry.worked();
                if take(shared, session, set, streams, &mut have) {
                    continue;
                }
                shared.env.sleep(shared.config.call_timeout).await;
            }
            Err(error) => {
                if session.judge(&error) {
                    return;
                }
                let wait = retry.failed(&shared.env, &error, retry_after(&error));
                shared.env.sleep(wait).await;
            }
        }
    }
}

/// Takes over what a poll answered. Answers whether it was one for us.
fn take(
    shared: &Shared,
    session: &Session,
    mut set: DesiredSet,
    streams: &mpsc::Sender<StreamRequest>,
    have: &mut Option<DesiredVersion>,
) -> bool {
    if set.node != session.owner.node || set.version.cluster != session.owner.cluster {
        tracing::error!("the control plane answered with another node's tasks; they are ignored");
        return false;
    }
    for request in set.streams.drain(..) {
        if streams.try_send(request).is_err() {
            tracing::warn!("too many streams are open on this node; one more is refused");
        }
    }
    if *have != Some(set.version) {
        *have = Some(set.version);
        shared.goal.send_if_modified(|goal| {
            let former = with_former(goal, set.version.cluster, set.node);
            let changed = goal.desired.as_deref() != Some(&set) || goal.revoked || goal.former != former;
            *goal = Goal { desired: Some(Arc::new(set)), revoked: false, former };
            changed
        });
    }
    true
}
