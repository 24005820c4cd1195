//! What a run has seen, and what it has not: an invariant that was never under strain was not tried.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orch_core::cluster::{Change, Cluster, Committed};
use orch_core::deployment::DeploymentStatus;
use orch_core::service::ServiceStatus;

use crate::incident::Incident;
use crate::machines::{self, Move};
use crate::workload::Wish;

/// How long a fault is said to go on, where it has no end of its own.
const RECENT: Duration = Duration::from_secs(15);

/// Counts, over one seed or many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    faults: BTreeMap<&'static str, u64>,
    wishes: BTreeMap<&'static str, u64>,
    pairs: BTreeMap<(&'static str, &'static str), u64>,
    moves: BTreeMap<Move, u64>,
    recent: Vec<(Duration, &'static str)>,
}

impl Coverage {
    /// Something went wrong.
    pub fn fault(&mut self, now: Duration, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
        self.recent.retain(|(at, _)| *at + RECENT > now);
        self.recent.push((now, fault));
    }

    /// Somebody asked for something.
    pub fn wish(&mut self, now: Duration, wish: &'static str) {
        *self.wishes.entry(wish).or_default() += 1;
        for (_, fault) in self.recent.iter().filter(|(at, _)| *at + RECENT > now) {
            *self.pairs.entry((fault, wish)).or_default() += 1;
        }
    }

    /// What a transaction moves.
    ///
    /// # Errors
    /// A move that its state machine does not have.
    pub fn commit(&mut self, before: &Cluster, committed: &Committed) -> Result<(), String> {
        for change in &committed.transaction.changes {
            match change {
                Change::Task(row) => {
                    let was = before.task(row.id);
                    let from = was.map_or("none", |was| was.status.as_str());
                    self.moved(("task", from, row.status.as_str()));
                    let from = was.map_or("none", |was| was.desired.as_str());
                    self.moved(("wanted", from, row.desired.as_str()));
                    if was.is_some_and(|was| was.desired > row.desired) {
                        return Err(format!(
                            "a task that was to be {from} is to be {}",
                            row.desired.as_str()
                        ));
                    }
                }
                Change::Node(row) => {
                    let from = before.node(row.id).map_or("none", |was| was.status.as_str());
                    self.moved(("node", from, row.status.as_str()));
                }
                Change::Service(row) => {
                    let from = before.service(row.id).map_or("none", |was| service(was.status));
                    self.moved(("service", from, service(row.status)));
                }
                Change::Deployment(row) => {
                    let was = before.deployment(row.id).map(|was| was.status);
                    self.moved((
                        "rollout",
                        was.map_or("none", DeploymentStatus::as_str),
                        row.status.as_str(),
                    ));
                    if was.is_some_and(|was| was != row.status && !was.may_become(row.status)) {
                        return Err(format!("a rollout went from {was:?} to {:?}", row.status));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn moved(&mut self, step: Move) {
        if step.1 != step.2 {
            *self.moves.entry(step).or_default() += 1;
        }
    }

    /// What another seed has seen, too.
    pub fn add(&mut self, other: &Self) {
        for (into, from) in [(&mut self.faults, &other.faults), (&mut self.wishes, &other.wishes)] {
            from.iter().for_each(|(key, count)| *into.entry(key).or_default() += count);
        }
        other.pairs.iter().for_each(|(key, count)| *self.pairs.entry(*key).or_default() += count);
        other.moves.iter().for_each(|(key, count)| *self.moves.entry(*key).or_default() += count);
    }

    /// One line a kind: how much of it was seen, and what was not.
    #[must_use]
    pub fn report(&self) -> Vec<String> {
        let line = |what: &str, seen: usize, missing: &BTreeSet<String>| {
            let list = missing.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let all = seen + missing.len();
            let rest = if missing.is_empty() { String::new() } else { format!("; not seen: {list}") };
            format!("coverage: {seen} of {all} {what}{rest}")
        };
        let [faults, wishes, pairs, moves] = self.missing();
        vec![
            line("faults", self.faults.len(), &faults),
            line("user actions", self.wishes.len(), &wishes),
            line("pairs of a fault and a user action within 15 s", self.pairs.len(), &pairs),
            line("moves of the state machines", self.moves.len(), &moves),
        ]
    }

    /// For the last line of a run.
    #[must_use]
    pub fn summary(&self) -> serde_json::Value {
        let [faults, wishes, pairs, moves] = self.missing();
        let part = |seen: usize, missing: &BTreeSet<String>| serde_json::json!({ "seen": seen, "not_seen": missing.len() });
        serde_json::json!({
            "faults": part(self.faults.len(), &faults),
            "actions": part(self.wishes.len(), &wishes),
            "pairs": part(self.pairs.len(), &pairs),
            "moves": part(self.moves.len(), &moves),
        })
    }

    fn missing(&self) -> [BTreeSet<String>; 4] {
        let not_in = |all: &[&'static str], seen: &BTreeMap<&'static str, u64>| {
            all.iter().filter(|one| !seen.contains_key(*one)).map(|one| (*one).to_owned()).collect()
        };
        let pairs =
            Incident::WORDS.iter().flat_map(|fault| Wish::WORDS.iter().map(move |wish| (*fault, *wish)));
        let pairs = pairs.filter(|pair| !self.pairs.contains_key(pair));
        let moves = machines::moves().into_iter().filter(|step| !self.moves.contains_key(step));
        [
            not_in(Incident::WORDS, &self.faults),
            not_in(Wish::WORDS, &self.wishes),
            pairs.map(|(fault, wish)| format!("{fault} + {wish}")).collect(),
            moves.map(|(machine, from, to)| format!("{machine} {from} → {to}")).collect(),
        ]
    }
}

const fn service(status: ServiceStatus) -> &'static str {
    match status {
        ServiceStatus::Active => "active",
        ServiceStatus::Deleting => "deleting",
        ServiceStatus::Deleted => "deleted",
    }
}
