//! The engine's events: a stream that mends itself.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use docker_api::models::EventMessage;
use docker_api::opts::{EventFilter, EventFilterType, EventsOpts};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use orch_core::runtime::{
    ContainerChange, ContainerEvent, ContainerId, ContainerLabels, Owner, RuntimeEvent,
};
use orch_core::task::Exit;
use orch_core::time::Timestamp;
use tokio::sync::mpsc;

use super::DockerRuntime;
use super::error::EngineError;
use super::observe::KILLED;

/// Between tries to come back: from this on, twice as long each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// No longer than this: the engine's return should be seen soon.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Events that the listener has not taken yet; beyond, the engine is not read.
const BUFFER: usize = 256;
/// What changes where a container is.
const ACTIONS: [&str; 6] = ["create", "start", "die", "oom", "destroy", "rename"];

/// Events of `owner`'s containers from now on.
pub(super) fn subscribe(runtime: DockerRuntime, owner: Owner) -> BoxStream<'static, RuntimeEvent> {
    let (events, receiver) = mpsc::channel(BUFFER);
    // The engine replays what it remembers from then on, so that nothing falls between this call and its connection.
    let from = now_nanos();
    tokio::spawn(async move {
        let gone = events.clone();
        tokio::select! {
            biased;
            () = gone.closed() => {}
            () = pump(&runtime, owner, from, &events) => {}
        }
    });
    futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|event| (event, receiver))
    })
    .boxed()
}

fn now_nanos() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}

/// Passes events on until the listener is gone.
async fn pump(runtime: &DockerRuntime, owner: Owner, mut from: i64, events: &mpsc::Sender<RuntimeEvent>) {
    let client = runtime.client();
    let mut first = true;
    let mut unreachable = false;
    let mut wait = FIRST_WAIT;
    loop {
        // The version is asked for first: the engine may have come back as another one, and only an answer says that it is there.
        let cause = match client.renegotiate().await {
            Err(error) => with_source(&error),
            Ok(_) => {
                if !first && events.send(RuntimeEvent::Reconnected).await.is_err() {
                    return;
                }
                (first, unreachable) = (false, false);
                match relay(runtime, owner, &mut from, events).await {
                    Relayed::ListenerGone => return,
                    Relayed::Cut { after_events, cause } => {
                        if after_events {
                            wait = FIRST_WAIT;
                        }
                        client.end_session();
                        cause
                    }
                }
            }
        };
        // A cut may be nothing more than that; it is said once the engine does not answer, either.
        if !first && !unreachable && client.renegotiate().await.is_ok() {
            wait = (wait * 2).min(LONGEST_WAIT);
        } else if !unreachable {
            unreachable = true;
            first = false;
            if events.send(RuntimeEvent::Unreachable(cause)).await.is_err() {
                return;
            }
            wait = FIRST_WAIT;
        } else {
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        tokio::time::sleep(wait).await;
    }
}

fn with_source(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

enum Relayed {
    ListenerGone,
    Cut { after_events: bool, cause: String },
}

/// Passes on one connection's events. `from` moves along with them, to where the next connection begins.
async fn relay(
    runtime: &DockerRuntime,
    owner: Owner,
    from: &mut i64,
    events: &mpsc::Sender<RuntimeEvent>,
) -> Relayed {
    let cut = |after_events, cause: String| Relayed::Cut { after_events, cause };
    let session = match runtime.client().session().await {
        Ok(session) => session,
        Err(error) => return cut(false, with_source(&error)),
    };
    let options = EventsOpts::builder().since(*from / 1_000_000_000).filter(filters(owner)).build();
    let mut stream = session.docker.events(&options);
    let mut seen = HashSet::new();
    loop {
        match next(&mut stream).await {
            Ok(message) => {
                let at = message.time_nano.unwrap_or(0);
                // Whole seconds are asked for, so what was said before comes again.
                if at < *from || !seen.insert((at, actor(&message))) {
                    continue;
                }
                if at > *from {
                    *from = at;
                    seen.retain(|(time, _)| *time >= at);
                }
                let event = read(runtime, message);
                if let Some(event) = event
                    && events.send(RuntimeEvent::Changed(event)).await.is_err()
                {
                    return Relayed::ListenerGone;
                }
            }
            Err(None) => return cut(!seen.is_empty(), "the engine closed its event stream".to_owned()),
            Err(Some(EngineError::Unexpected(error))) => {
                tracing::debug!(error, "an event of the engine is not understood");
            }
            Err(Some(error)) => return cut(!seen.is_empty(), with_source(&error)),
        }
    }
}

async fn next(
    stream: &mut (impl Stream<Item = docker_api::Result<EventMessage>> + Unpin),
) -> Result<EventMessage, Option<EngineError>> {
    match stream.next().await {
        None => Err(None),
        Some(item) => item.map_err(|error| Some(error.into())),
    }
}

fn filters(owner: Owner) -> Vec<EventFilter> {
    let labels = [
        (ContainerLabels::MANAGED, "true".to_owned()),
        (ContainerLabels::CLUSTER, owner.cluster.to_string()),
        (ContainerLabels::NODE, owner.node.to_string()),
    ];
    let labels = labels.into_iter().map(|(key, value)| EventFilter::Label(format!("{key}={value}")));
    let actions = ACTIONS.iter().map(|action| EventFilter::Event((*action).to_owned()));
    std::iter::once(EventFilter::Type(EventFilterType::Container)).chain(actions).chain(labels).collect()
}

fn actor(message: &EventMessage) -> String {
    let id = message.actor.as_ref().and_then(|actor| actor.id.as_deref()).unwrap_or_default();
    format!("{id} {}", message.action.as_deref().unwrap_or_default())
}

/// What an event says. A word on lack of memory is kept: the end that follows, or was before, does not repeat it.
fn read(runtime: &DockerRuntime, message: EventMessage) -> Option<ContainerEvent> {
    let actor = message.actor?;
    let container = ContainerId(actor.id?);
    let attributes = actor.attributes.unwrap_or_default();
    let at = Timestamp::from_micros(message.time_nano.unwrap_or(0) / 1_000);
    let change = match message.action.as_deref() {
        Some("create") => ContainerChange::Created,
        Some("start") => ContainerChange::Started { since: at },
        Some("die") => {
            let code = attributes.get("exitCode").and_then(|code| code.parse().ok());
            let starved = || runtime.inner.ours.get(&container).is_some_and(|known| known.out_of_memory);
            let oom_killed = code == Some(KILLED) && starved();
            ContainerChange::Ended(Exit { code, oom_killed, at, ..Exit::default() })
        }
        Some("oom") => {
            runtime.inner.ours.ran_out_of_memory(&container);
            ContainerChange::OutOfMemory
        }
        Some("destroy") => ContainerChange::Removed,
        _ => ContainerChange::Unclear,
    };
    let task = attributes.get("orch.task_id").and_then(|task| task.parse().ok());
    Some(ContainerEvent::new(container, task, change))
}
