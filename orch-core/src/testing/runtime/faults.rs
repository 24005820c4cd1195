//! What goes wrong, by order or by chance.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::task::FailureKind;

/// The calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// [`info`](crate::runtime::ContainerRuntime::info)
    Info,
    /// [`ensure_image`](crate::runtime::ContainerRuntime::ensure_image)
    EnsureImage,
    /// [`create`](crate::runtime::ContainerRuntime::create)
    Create,
    /// [`start`](crate::runtime::ContainerRuntime::start)
    Start,
    /// [`stop`](crate::runtime::ContainerRuntime::stop)
    Stop,
    /// [`remove`](crate::runtime::ContainerRuntime::remove)
    Remove,
    /// [`list`](crate::runtime::ContainerRuntime::list)
    List,
    /// [`inspect`](crate::runtime::ContainerRuntime::inspect)
    Inspect,
    /// [`check`](crate::runtime::ContainerChecks::check)
    Check,
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and the runtime does not answer.
    Unreachable,
    /// It is done, and the answer is lost (an engine's 500 after doing).
    AfterDoing,
    /// Nothing is done; it may work later.
    Retry(String),
    /// Nothing is done, and never will be.
    Permanent(FailureKind, String),
    /// It is done, later.
    Slow(Duration),
    /// Nothing is done, and no answer ever comes.
    Hang,
}

/// Decides by chance; called before each call.
pub type FaultSource = Arc<dyn Fn(Call) -> Option<Fault> + Send + Sync>;

#[derive(Default)]
pub(super) struct Faults {
    queued: BTreeMap<Call, VecDeque<Fault>>,
    source: Option<FaultSource>,
}

impl Faults {
    pub(super) fn queue(&mut self, call: Call, fault: Fault) {
        self.queued.entry(call).or_default().push_back(fault);
    }

    pub(super) fn set_source(&mut self, source: Option<FaultSource>) {
        self.source = source;
    }

    pub(super) fn next(&mut self, call: Call) -> Option<Fault> {
        let queued = self.queued.get_mut(&call).and_then(VecDeque::pop_front);
        queued.or_else(|| self.source.as_ref().and_then(|source| source(call)))
    }
}
