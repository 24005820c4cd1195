//! What the user was told, and what may be so: an acknowledged write is never lost, one without an answer may be there or not.

use std::collections::{BTreeMap, BTreeSet};

/// A service, as far as the test asks for it: replicas, and the image's version. `None`: there is none.
pub(crate) type Wanted = Option<(u32, u32)>;

/// What may be true of each service.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    services: BTreeMap<String, BTreeSet<Wanted>>,
    pub(crate) acknowledged: u32,
    pub(crate) unanswered: u32,
}

impl Memory {
    /// What may be true of a service now.
    pub(crate) fn may(&self, name: &str) -> BTreeSet<Wanted> {
        self.services.get(name).cloned().unwrap_or_else(|| BTreeSet::from([None]))
    }

    /// A change was asked for, from whatever was so; and answered with success, or not.
    pub(crate) fn asked(&mut self, name: &str, acknowledged: bool, change: impl Fn(Wanted) -> Wanted) {
        let before = self.may(name);
        let mut after: BTreeSet<Wanted> = before.iter().map(|wanted| change(*wanted)).collect();
        if acknowledged {
            self.acknowledged += 1;
        } else {
            self.unanswered += 1;
            after.extend(before);
        }
        self.services.insert(name.to_owned(), after);
    }

    /// Every service that was ever spoken of.
    pub(crate) fn services(&self) -> impl Iterator<Item = (&str, &BTreeSet<Wanted>)> {
        self.services.iter().map(|(name, may)| (name.as_str(), may))
    }
}
