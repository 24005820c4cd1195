//! Tickets: someone waits for a stream of a node's task, and the agent delivers it under a ticket that is good once.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::ControlPlane;
use super::authenticate::unavailable;
use crate::agent::{AgentApiError, StreamKind, StreamRequest, TicketId};
use crate::id::{NodeId, TaskId};
use crate::identity::NodePrincipal;
use crate::time::Monotonic;

/// How long a ticket is good.
pub(super) const TICKET_LIFE: Duration = Duration::from_secs(30);
/// How many pieces wait between agent and reader: a slow reader slows the agent, and nothing piles up.
const PIECES: usize = 16;
/// How many tickets of one node may be open.
const PER_NODE: usize = 64;

pub(super) type Piece = Result<Bytes, io::Error>;

/// Tickets that nobody has used yet.
#[derive(Default)]
pub(super) struct Streams(Mutex<BTreeMap<TicketId, Pending>>);

struct Pending {
    node: NodeId,
    task: TaskId,
    kind: StreamKind,
    expires: Monotonic,
    handed_out: bool,
    /// What goes the other way, until it is taken.
    input: Option<BoxStream<'static, Piece>>,
    pipe: mpsc::Sender<Piece>,
    connected: oneshot::Sender<()>,
}

/// The waiting end of a ticket. Dropping it takes the ticket back.
pub(super) struct Waiting {
    streams: Arc<super::shared::Shared>,
    ticket: TicketId,
    pub(super) pieces: mpsc::Receiver<Piece>,
    pub(super) connected: Option<oneshot::Receiver<()>>,
    /// What goes the other way ends with this.
    _until: DropGuard,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.streams.streams.inner().remove(&self.ticket);
    }
}

impl Streams {
    fn inner(&self) -> MutexGuard<'_, BTreeMap<TicketId, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The requests of a node's agent that it was not told of yet.
    pub(super) fn hand_out(&self, node: NodeId, now: Monotonic) -> Vec<StreamRequest> {
        let mut pending = self.inner();
        let fresh = pending.iter_mut().filter(|(_, p)| p.node == node && !p.handed_out && p.expires > now);
        fresh
            .map(|(ticket, pending)| {
                pending.handed_out = true;
                StreamRequest { ticket: ticket.clone(), task: pending.task, kind: pending.kind.clone() }
            })
            .collect()
    }

    /// What goes the other way under a ticket, once. The ticket stays good.
    fn take_input(
        &self,
        ticket: &TicketId,
        node: NodeId,
        now: Monotonic,
    ) -> Option<BoxStream<'static, Piece>> {
        let mut pending = self.inner();
        pending.get_mut(ticket).filter(|pending| pending.node == node && pending.expires > now)?.input.take()
    }

    /// Uses a ticket up. None that is unknown, expired or another node's.
    fn claim(&self, ticket: &TicketId, node: NodeId, now: Monotonic) -> Option<Pending> {
        let mut pending = self.inner();
        pending.get(ticket).filter(|pending| pending.node == node && pending.expires > now)?;
        pending.remove(ticket)
    }
}

impl ControlPlane {
    /// Makes a ticket and tells the node's agent. `None`: too many are open already.
    pub(super) fn request_stream(&self, node: NodeId, task: TaskId, kind: StreamKind) -> Option<Waiting> {
        self.request_duplex(node, task, kind, None)
    }

    /// The same, with something that goes the other way as long as someone waits.
    pub(super) fn request_duplex(
        &self,
        node: NodeId,
        task: TaskId,
        kind: StreamKind,
        input: Option<BoxStream<'static, Piece>>,
    ) -> Option<Waiting> {
        let until = CancellationToken::new();
        let input = input.map(|input| input.take_until(until.clone().cancelled_owned()).boxed());
        let shared = self.shared();
        let env = &shared.parts.env;
        let mut bytes = [0; 16];
        env.fill_random(&mut bytes);
        let ticket = TicketId(uuid::Uuid::from_bytes(bytes).simple().to_string());
        let (pipe, pieces) = mpsc::channel(PIECES);
        let (connected, is_connected) = oneshot::channel();
        let expires = env.monotonic() + TICKET_LIFE;
        {
            let mut pending = shared.streams.inner();
            if pending.values().filter(|pending| pending.node == node).count() >= PER_NODE {
                return None;
            }
            let entry = Pending { node, task, kind, expires, handed_out: false, input, pipe, connected };
            pending.insert(ticket.clone(), entry);
        }
        shared.published.bells.ring(node);
        let guard = until.drop_guard();
        Some(Waiting {
            streams: Arc::clone(shared),
            ticket,
            pieces,
            connected: Some(is_connected),
            _until: guard,
        })
    }

    /// What goes the other way under a ticket, until whoever waits is gone.
    pub(super) fn input_of(
        &self,
        principal: &NodePrincipal,
        ticket: &TicketId,
    ) -> Result<BoxStream<'static, Piece>, AgentApiError> {
        let shared = self.shared();
        let input = shared.streams.take_input(ticket, principal.node, shared.parts.env.monotonic());
        input.ok_or_else(|| {
            AgentApiError::Refused("nothing is sent the other way under this ticket".to_owned())
        })
    }

    /// Passes an agent's stream on to whoever waits for it, until either side ends, or the node's authority.
    pub(super) async fn relay(
        &self,
        principal: &NodePrincipal,
        ticket: &TicketId,
        mut stream: BoxStream<'static, Piece>,
    ) -> Result<(), AgentApiError> {
        let shared = self.shared();
        let claimed = shared.streams.claim(ticket, principal.node, shared.parts.env.monotonic());
        let refused = || AgentApiError::Refused("the ticket is not or no longer good".to_owned());
        let Pending { pipe, connected, .. } = claimed.ok_or_else(refused)?;
        // The listener may have gone this very moment; the pipe says so below.
        let _ = connected.send(());
        let bell = shared.published.bells.of(principal.node);
        let mut piece = None;
        loop {
            let rung = bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            self.still_stands(principal)?;
            let step = async {
                if piece.is_none() {
                    piece = stream.next().await;
                }
                if piece.is_none() {
                    return false;
                }
                // Taken only once there is room: a bell that rings meanwhile drops this future, and must not drop the piece.
                let Ok(room) = pipe.reserve().await else { return false };
                if let Some(next) = piece.take() {
                    room.send(next);
                }
                true
            };
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => return Err(unavailable("the control plane is shutting down")),
                () = &mut rung => {}
                () = pipe.closed() => return Ok(()),
                more = step => if !more { return Ok(()) },
            }
        }
    }
}
