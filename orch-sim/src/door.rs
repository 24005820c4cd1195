//! The server's door: every call of an agent passes it, and it holds invariant 6 against what the control plane answers.
//!
//! Whether a credential lives is judged here by a rule of its own, on the published image and cluster time, at the moment the
//! call comes in and again when it is answered. Nothing runs between this judgement and the production one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use orch_auth::token::TokenCredentials;
use orch_core::agent::{
    AgentApi, AgentApiError, Authority, DesiredSet, DesiredVersion, Heartbeat, HeartbeatAnswer,
    RegisterRequest, Registered, ReportAnswer, TicketId,
};
use orch_core::control_plane::{AgentConnection, ControlPlane};
use orch_core::id::{NodeId, TaskId};
use orch_core::identity::{Challenge, CredentialValidator as _, PresentedCredential, Recognised};
use orch_core::name::NodeName;
use orch_core::node::{Incarnation, NodeStatus};
use orch_core::secret::{ResolvedSecrets, Secret};
use orch_core::task::TaskReport;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// An agent.
    Agent,
    /// Someone who read a credential off the wire.
    Thief,
}

/// A credential that went over the wire.
#[derive(Clone)]
pub struct Loot {
    /// Whose.
    pub node: NodeId,
    /// Itself.
    pub token: Secret<String>,
}

/// What was seen at the door, over all servers that there were.
#[derive(Default)]
pub struct Book {
    /// Registrations whose credentials a thief used, dead or alive: what looks like reuse of one of these is.
    pub stolen: BTreeSet<(NodeId, Incarnation)>,
    /// Credentials that went over the wire, oldest first.
    pub loot: Vec<Loot>,
    /// Calls of agents that were let in, and that were refused.
    pub agents: (u64, u64),
    /// Calls of the thief that were let in, and that were refused.
    pub thieves: (u64, u64),
    wrong: Option<String>,
}

/// The book, shared by all doors and the oracle.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

impl Ledger {
    /// Locks it.
    pub fn with<T>(&self, act: impl FnOnce(&mut Book) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The first thing that did not hold.
    #[must_use]
    pub fn wrong(&self) -> Option<String> {
        self.with(|book| book.wrong.clone())
    }
}

/// One way in.
pub struct Door {
    control: ControlPlane,
    inside: Arc<dyn AgentApi>,
    truth: TokenCredentials,
    ledger: Ledger,
    who: Who,
}

/// What a call shows, and whether that lived when the call came.
struct Shown {
    recognised: Option<Recognised>,
    sequence: Option<u64>,
    lived: bool,
}

impl Door {
    /// The door of a server, for one kind of caller. `truth` recognises credentials as they are, whatever the server does.
    #[must_use]
    pub fn new(control: &ControlPlane, truth: TokenCredentials, ledger: Ledger, who: Who) -> Self {
        let inside = control.agent_api(AgentConnection::default());
        Self { control: control.clone(), inside, truth, ledger, who }
    }

    async fn look_at(&self, authority: &Authority) -> Shown {
        let shown = PresentedCredential::bearer(authority.credential.clone());
        let recognised = self.truth.recognise(&shown).await.ok().filter(|of| of.node == authority.node);
        let lived = recognised.as_ref().is_some_and(|shown| self.lives(shown));
        if let (Who::Thief, Some(shown)) = (self.who, &recognised) {
            self.ledger.with(|book| book.stolen.insert((shown.node, shown.incarnation)));
        }
        Shown { recognised, sequence: authority.sequence, lived }
    }

    /// Current or next of the registration that counts, and not expired.
    fn lives(&self, shown: &Recognised) -> bool {
        let image = self.control.image();
        self.stands(shown)
            && image.credential(shown.node).is_some_and(|row| {
                [Some(row.current), row.next].into_iter().flatten().any(|issued| {
                    issued.generation == shown.generation
                        && issued.digest == shown.digest
                        && self.control.now() < issued.expires_at
                })
            })
    }

    /// The registration counts: neither revoked, reset, removed nor followed by another.
    fn stands(&self, shown: &Recognised) -> bool {
        let image = self.control.image();
        let counts = |node: &Arc<orch_core::node::Node>| {
            node.status != NodeStatus::Revoked && node.incarnation == shown.incarnation
        };
        image.node(shown.node).is_some_and(counts)
            && image.credential(shown.node).is_some_and(|row| row.incarnation == shown.incarnation)
    }

    /// Holds an answer against invariant 6. `to_the_end`: the call is answered on the authority that stands at its end.
    fn judge<T>(&self, what: &str, shown: &Shown, answer: &Result<T, AgentApiError>, to_the_end: bool) {
        let refused = matches!(
            answer,
            Err(AgentApiError::Unauthorized
                | AgentApiError::CredentialExpired
                | AgentApiError::CredentialSuperseded
                | AgentApiError::NodeReset
                | AgentApiError::NodeRevoked)
        );
        let lives = shown.recognised.as_ref().is_some_and(|shown| self.lives(shown));
        let stands = shown.recognised.as_ref().is_some_and(|shown| self.stands(shown));
        let wrong = match answer {
            Ok(_) if !shown.lived => Some("a dead credential was let in"),
            Ok(_) if to_the_end && !stands => Some("a registration was answered after its end"),
            Err(_) if refused && shown.lived && lives && !self.is_late(what, shown) => {
                Some("a credential that lives was refused")
            }
            _ => None,
        };
        self.ledger.with(|book| {
            let counted = match self.who {
                Who::Agent => &mut book.agents,
                Who::Thief => &mut book.thieves,
            };
            counted.0 += u64::from(answer.is_ok());
            counted.1 += u64::from(refused);
            if let (None, Some(wrong)) = (&book.wrong, wrong) {
                let of = shown.recognised.as_ref().map(|of| (of.node, of.incarnation.0, of.generation));
                let (who, sequence) = (self.who, shown.sequence);
                let answer = answer.as_ref().err().map(ToString::to_string);
                book.wrong = Some(format!(
                    "6: {wrong}: {what} by {who:?} with {of:?}, number {sequence:?}: {answer:?}"
                ));
            }
        });
    }

    /// A heartbeat that others of the same registration overtook: its answer may be refused, for it would take away the
    /// credential that the agent got meanwhile.
    fn is_late(&self, what: &str, shown: &Shown) -> bool {
        let image = self.control.image();
        let row = shown.recognised.as_ref().and_then(|of| image.credential(of.node));
        what == "heartbeat" && row.is_some_and(|row| shown.sequence <= Some(row.highest_sequence))
    }

    fn went_over_the_wire(&self, node: NodeId, token: &Secret<String>) {
        if self.who == Who::Agent {
            self.ledger.with(|book| book.loot.push(Loot { node, token: token.clone() }));
        }
    }
}

#[async_trait]
impl AgentApi for Door {
    async fn challenge(&self, name: &NodeName) -> Result<Challenge, AgentApiError> {
        self.inside.challenge(name).await
    }

    async fn register(&self, request: RegisterRequest) -> Result<Registered, AgentApiError> {
        let key = request.key.as_ref().map(|proof| proof.key.clone());
        let name = request.claim.name.clone();
        let bound = self.control.image().node_named(&name).and_then(|node| node.key.clone());
        let registered = self.inside.register(request).await?;
        if bound.is_some() && bound != key {
            let wrong = format!("6: {name} is bound to a key, and was registered with another");
            self.ledger.with(|book| book.wrong.get_or_insert(wrong).len());
        }
        self.went_over_the_wire(registered.node, &registered.credential);
        Ok(registered)
    }

    async fn heartbeat(
        &self,
        authority: &Authority,
        heartbeat: Heartbeat,
    ) -> Result<HeartbeatAnswer, AgentApiError> {
        let shown = self.look_at(authority).await;
        let answer = self.inside.heartbeat(authority, heartbeat).await;
        self.judge("heartbeat", &shown, &answer, true);
        if let Ok(HeartbeatAnswer { credential: Some((token, _)), .. }) = &answer {
            self.went_over_the_wire(authority.node, token);
        }
        answer
    }

    async fn desired(
        &self,
        authority: &Authority,
        have: Option<DesiredVersion>,
        wait: Duration,
    ) -> Result<DesiredSet, AgentApiError> {
        let shown = self.look_at(authority).await;
        let answer = self.inside.desired(authority, have, wait).await;
        self.judge("poll", &shown, &answer, true);
        answer
    }

    async fn report(
        &self,
        authority: &Authority,
        reports: Vec<TaskReport>,
    ) -> Result<ReportAnswer, AgentApiError> {
        let shown = self.look_at(authority).await;
        let answer = self.inside.report(authority, reports).await;
        self.judge("report", &shown, &answer, false);
        answer
    }

    async fn secrets(&self, authority: &Authority, task: TaskId) -> Result<ResolvedSecrets, AgentApiError> {
        let shown = self.look_at(authority).await;
        let answer = self.inside.secrets(authority, task).await;
        self.judge("secrets", &shown, &answer, true);
        answer
    }

    async fn deliver(
        &self,
        authority: &Authority,
        ticket: TicketId,
        stream: BoxStream<'static, Result<Bytes, std::io::Error>>,
    ) -> Result<(), AgentApiError> {
        self.inside.deliver(authority, ticket, stream).await
    }
}
