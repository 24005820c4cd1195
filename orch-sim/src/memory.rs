//! What the people remember of what they were told: invariant 1 is held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use orch_core::command::ExecuteError;
use orch_core::name::ServiceName;

/// What may be true of a service, as far as the people were told.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Known {
    /// It is not there.
    #[default]
    Absent,
    /// It is there, with so many replicas.
    Replicas(u32),
}

/// Of one service: what may be true now, and what is being asked for.
#[derive(Debug)]
struct Story {
    may: BTreeSet<Known>,
    under_way: u32,
    /// Done for sure, of those that were under way at the same time.
    done: BTreeSet<Known>,
    /// Done maybe.
    maybe: BTreeSet<Known>,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            may: BTreeSet::from([Known::Absent]),
            under_way: 0,
            done: BTreeSet::new(),
            maybe: BTreeSet::new(),
        }
    }
}

/// What the people remember. Wishes that are under way at the same time come in an order that nobody knows: afterwards the
/// service is as one of them asked.
#[derive(Debug, Default)]
pub struct Memory {
    services: BTreeMap<ServiceName, Story>,
    /// Wishes that were answered with success.
    pub acknowledged: u64,
    /// Wishes that nobody answered for sure.
    pub uncertain: u64,
    /// Wishes that were refused.
    pub rejected: u64,
    /// Somebody did what he may not.
    pub trespassed: bool,
}

/// Shared between the people and the oracle.
pub type SharedMemory = Arc<Mutex<Memory>>;

/// Locks the memory.
pub fn remember<T>(memory: &SharedMemory, act: impl FnOnce(&mut Memory) -> T) -> T {
    act(&mut memory.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Memory {
    /// What may be true of each service that was ever spoken of, those aside about which someone is asking now.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceName, &BTreeSet<Known>)> {
        let settled = self.services.iter().filter(|(_, story)| story.under_way == 0);
        settled.map(|(name, story)| (name, &story.may))
    }

    /// Someone asks.
    pub fn begin(&mut self, name: &ServiceName) {
        self.services.entry(name.clone()).or_default().under_way += 1;
    }

    /// He has his answer.
    pub fn end<T>(&mut self, name: &ServiceName, known: Known, answer: &Result<T, ExecuteError>) {
        self.count(answer);
        let story = self.services.entry(name.clone()).or_default();
        match answer {
            Ok(_) => drop(story.done.insert(known)),
            Err(ExecuteError::Rejected(_) | ExecuteError::Unavailable { .. }) => {}
            Err(_) => drop(story.maybe.insert(known)),
        }
        story.under_way -= 1;
        if story.under_way == 0 {
            let done = std::mem::take(&mut story.done);
            if !done.is_empty() {
                story.may = done;
            }
            story.may.append(&mut story.maybe);
        }
    }

    /// An answer, whatever it was about.
    pub fn count<T>(&mut self, answer: &Result<T, ExecuteError>) {
        *match answer {
            Ok(_) => &mut self.acknowledged,
            Err(ExecuteError::Rejected(_) | ExecuteError::Unavailable { .. }) => &mut self.rejected,
            Err(_) => &mut self.uncertain,
        } += 1;
    }
}
