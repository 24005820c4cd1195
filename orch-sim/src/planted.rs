//! Faults that are planted to see that the oracle finds them: an oracle that cannot fail proves nothing.
//!
//! Each sits at a seam, where an embedder's own part could sit: a scheduler, a store, a validator, an engine, the wire, the
//! feed. Production code knows nothing of them.

mod identity;
mod scheduler;

use std::str::FromStr;

pub(crate) use identity::{AnyKey, Everybody, Faulty as FaultyValidator};
pub(crate) use scheduler::Faulty as FaultyScheduler;

macro_rules! planted {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Planted {
            $($(#[$doc])* $variant,)*
        }

        impl Planted {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As `--mutant` takes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

planted! {
    /// The scheduler looks at no node's room, and there is little of it.
    DoubleBooking = "double-booking",
    /// However many nodes fall silent at once, their tasks are replaced.
    NoBrake = "no-brake",
    /// The scheduler gives the same host port to everybody.
    DoublePort = "double-port",
    /// The scheduler places on nodes that are being emptied, or cordoned.
    DrainedNodeUsed = "drained-node-used",
    /// The scheduler places on revoked nodes.
    RevokedNodeUsed = "revoked-node-used",
    /// The scheduler places half of what is asked of it, and gives no reason for the rest.
    HalfPlaced = "half-placed",
    /// The disk acknowledges a group now and then without having written it.
    LostWrites = "lost-writes",
    /// The disk acknowledges each group before it writes it.
    EarlyAcknowledgement = "early-acknowledgement",
    /// The disk writes a group in half now and then.
    TornCommits = "torn-commits",
    /// The disk keeps rows that were removed.
    LostDeletes = "lost-deletes",
    /// The disk lets a writer write that another has followed.
    NoFence = "no-fence",
    /// The disk says that a group is not written, and has written it.
    WrittenAndDenied = "written-and-denied",
    /// The validator takes each credential of a node for its newest.
    DeadCredentialsLive = "dead-credentials-live",
    /// The validator takes a credential of any registration for one of the newest.
    AnyIncarnation = "any-incarnation",
    /// The validator takes a credential for the one before it now and then.
    OlderGeneration = "older-generation",
    /// The validator does not recognise a credential now and then.
    FlakyValidator = "flaky-validator",
    /// Enrolment takes any key for the one that a node is bound to.
    AnyKey = "any-key",
    /// Everybody may do everything.
    Everybody = "everybody",
    /// What the network repeats has a fresh number.
    RenumberedRepeats = "renumbered-repeats",
    /// The network swallows each report that a task is removed, and says that it was taken.
    SwallowedRemovals = "swallowed-removals",
    /// The network swallows each report that a task came to its end, and says that it was taken.
    SwallowedEnds = "swallowed-ends",
    /// A task is said to run once its container exists.
    EarlyRunning = "early-running",
    /// A task is said to be healthy once it runs.
    EarlyHealthy = "early-healthy",
    /// A task is missing now and then from what a node is told to run.
    LostTask = "lost-task",
    /// A node is told now and then to run what it was to run before, as if it were the newest.
    StaleSets = "stale-sets",
    /// The engine lists other clusters' containers, too.
    ForeignContainers = "foreign-containers",
    /// The engine removes nothing, and says that it did.
    RemovesNothing = "removes-nothing",
    /// The engine stops nothing, and says that it did.
    StopsNothing = "stops-nothing",
    /// The engine starts nothing, and says that it did.
    StartsNothing = "starts-nothing",
    /// Containers that ended are said to run.
    DeadSeemAlive = "dead-seem-alive",
    /// The feed tells a transaction twice now and then.
    FeedRepeats = "feed-repeats",
    /// The feed leaves a transaction out now and then.
    FeedDrops = "feed-drops",
    /// The feed tells a transaction's rows wrongly now and then: as they were.
    FeedForgets = "feed-forgets",
}

impl FromStr for Planted {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Self::ALL.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
        let found = Self::ALL.iter().find(|one| one.name() == name);
        found.copied().ok_or_else(|| format!("no planted fault `{name}`; there are {}", known()))
    }
}
