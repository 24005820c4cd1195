//! A queued command with its type erased: decided on the writer's image, answered when that is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::authority;
use crate::BoxError;
use crate::cluster::{Cluster, Transaction};
use crate::command::{Command, Ctx, Decision, ExecuteError, Rejection};
use crate::identity::{Action, Permit, Principal, RequestContext, Scope};
use crate::record::receipt::RECEIPT_LIFE;
use crate::record::{Receipt, ReceiptKey, RequestDigest};

/// Who asks, and from where: what a decision's [`Ctx`] borrows.
pub(super) struct Caller {
    pub(super) principal: Principal,
    pub(super) scope: Scope,
    pub(super) request: RequestContext,
}

impl Caller {
    pub(super) const fn system(part: &'static str) -> Self {
        Self {
            principal: Principal::System(part),
            scope: Scope::Cluster,
            request: RequestContext { request_id: None, source_ip: None },
        }
    }
}

/// One queued command.
pub(super) struct Call {
    caller: Caller,
    seed: u64,
    work: Box<dyn Work>,
}

/// What a command came to on `head`.
pub(super) struct Decided {
    pub(super) transaction: Transaction,
    pub(super) answer: Answer,
}

/// Tells the caller, once it is known what became of the group.
pub(super) type Answer = Box<dyn FnOnce(&Settled) + Send>;

/// What became of a group.
#[derive(Clone)]
pub(super) enum Settled {
    /// It is durable.
    Durable,
    /// Nothing of it was written.
    NotWritten { retry_after: Duration, cause: Cause },
    /// Nobody knows.
    Unknown { cause: Cause },
}

/// One cause that many callers are told.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Cause(Arc<dyn std::error::Error + Send + Sync>);

impl Cause {
    pub(super) fn new(error: impl Into<BoxError>) -> Self {
        Self(Arc::from(error.into()))
    }
}

impl Settled {
    fn failure(&self) -> Option<ExecuteError> {
        match self {
            Self::Durable => None,
            Self::NotWritten { retry_after, cause } => {
                Some(ExecuteError::Unavailable { retry_after: *retry_after, cause: Box::new(cause.clone()) })
            }
            Self::Unknown { cause } => Some(ExecuteError::Uncertain(Box::new(cause.clone()))),
        }
    }
}

impl Call {
    /// A command under its permit, and where its answer will come.
    pub(super) fn new<C: Command>(
        permit: Permit<C>,
        command: C,
        options: super::RequestOptions,
        seed: u64,
    ) -> (Self, oneshot::Receiver<Result<C::Output, ExecuteError>>) {
        let (principal, scope) = permit.into_parts();
        let receipt = match (&principal, options.idempotency) {
            (Principal::User(user), Some((key, digest))) => {
                let namespace = match &scope {
                    Scope::Namespace(namespace) => Some(namespace.clone()),
                    Scope::Cluster | Scope::Node(_) => None,
                };
                let action = C::ACTION.as_str().to_owned();
                Some((ReceiptKey { subject: user.subject.clone(), action, namespace, key }, digest))
            }
            _ => None,
        };
        let (reply, answer) = oneshot::channel();
        let work = Box::new(Typed { command, receipt, reply });
        (Self { caller: Caller { principal, scope, request: options.context }, seed, work }, answer)
    }

    /// Answers without deciding.
    pub(super) fn refuse(self, settled: &Settled) {
        self.work.refuse(settled);
    }

    /// The caller, which the context borrows; the seed of the ids; and the command.
    pub(super) fn into_parts(self) -> (Caller, u64, Undecided) {
        (self.caller, self.seed, Undecided(self.work))
    }
}

/// The command alone, apart from its caller, which the context borrows meanwhile.
pub(super) struct Undecided(Box<dyn Work>);

impl Undecided {
    pub(super) fn decide(self, head: &Cluster, ctx: &mut Ctx<'_>) -> Decided {
        self.0.decide(head, ctx)
    }
}

trait Work: Send {
    fn decide(self: Box<Self>, head: &Cluster, ctx: &mut Ctx<'_>) -> Decided;
    fn refuse(self: Box<Self>, settled: &Settled);
}

struct Typed<C: Command> {
    command: C,
    receipt: Option<(ReceiptKey, RequestDigest)>,
    reply: oneshot::Sender<Result<C::Output, ExecuteError>>,
}

impl<C: Command> Work for Typed<C> {
    fn decide(self: Box<Self>, head: &Cluster, ctx: &mut Ctx<'_>) -> Decided {
        let Self { command, receipt, reply } = *self;
        // A decision only borrows the image, so one that panics leaves nothing half done: the caller is told, and the
        // control plane goes on.
        let decided = catch_unwind(AssertUnwindSafe(|| decide(command, receipt, head, ctx)));
        let (transaction, outcome) = match decided {
            Ok(Ok(decision)) => (decision.transaction, Ok(decision.output)),
            Ok(Err(rejection)) => (Transaction::default(), Err(ExecuteError::Rejected(rejection))),
            Err(_) => {
                super::metric::decision_panicked(C::ACTION);
                tracing::error!(action = C::ACTION.as_str(), "a decision panicked; nothing was written");
                (Transaction::default(), Err(panicked()))
            }
        };
        let answer = Box::new(move |settled: &Settled| {
            // Nobody listens if the caller went away; what it asked for stands all the same.
            let _ = reply.send(settled.failure().map_or(outcome, Err));
        });
        Decided { transaction, answer }
    }

    fn refuse(self: Box<Self>, settled: &Settled) {
        if let Some(failure) = settled.failure() {
            let _ = self.reply.send(Err(failure));
        }
    }
}

fn panicked() -> ExecuteError {
    ExecuteError::Unavailable {
        retry_after: Duration::from_secs(60),
        cause: "the decision failed by a fault of the server; it was not carried out".into(),
    }
}

/// The receipt first, then whether the caller still stands, then the command itself.
fn decide<C: Command>(
    command: C,
    receipt: Option<(ReceiptKey, RequestDigest)>,
    head: &Cluster,
    ctx: &mut Ctx<'_>,
) -> Result<Decision<C::Output>, Rejection> {
    match ctx.principal {
        Principal::Node(node) if C::ACTION == Action::ActAsNode => authority::stands(head, node),
        Principal::User(user) => authority::user_stands(head, ctx.policy, user),
        Principal::Node(_) | Principal::System(_) => Ok(()),
    }
    .map_err(Rejection::Unauthorized)?;
    let known = receipt.as_ref().and_then(|(key, _)| head.receipt(key));
    let mut decision = match known.filter(|known| ctx.now.since(known.at) < RECEIPT_LIFE) {
        Some(known) if receipt.as_ref().is_some_and(|(_, digest)| *digest != known.digest) => {
            return Err(Rejection::KeyReused);
        }
        Some(known) => {
            let repeated = command.repeat(head, &known.object, ctx)?;
            if repeated.transaction.is_empty() {
                return Ok(repeated);
            }
            repeated
        }
        None => command.decide(head, ctx)?,
    };
    if let Some((key, digest)) = receipt {
        let object = decision.object.clone().unwrap_or_default();
        decision.transaction.put(Receipt { key, digest, object, revision: ctx.revision, at: ctx.now });
    }
    Ok(decision)
}
