//! [`Ledger`]: the images that orch pulled on this node, and who used them last. What is not in it is somebody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orch_core::id::ServiceId;
use orch_core::service::{ImageDigest, ImageRef};
use orch_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The images that orch pulled, by the names that it pulled them by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger(BTreeMap<ImageRef, Pulled>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    /// What the engine calls it; `None` while it is being pulled.
    #[serde(default)]
    pub id: Option<ImageDigest>,
    /// When a task last needed it.
    pub used_at: Timestamp,
    /// Whose tasks needed it.
    #[serde(default)]
    pub services: BTreeSet<ServiceId>,
}

/// What must stay, whatever its age.
#[derive(Clone, Debug, Default)]
pub struct Needed {
    /// By name: what desired tasks run, or are to run next.
    pub names: BTreeSet<ImageRef>,
    /// By id: what containers were made from, whoever made them.
    pub ids: BTreeSet<ImageDigest>,
    /// The services that have tasks here: of each the image before the present one stays, to go back to.
    pub services: BTreeSet<ServiceId>,
}

impl Ledger {
    /// orch is about to pull an image that is not on the node. Noted first, so that no crash makes it somebody else's.
    pub(crate) fn pulls(&mut self, image: &ImageRef, now: Timestamp) {
        let fresh = Pulled { id: None, used_at: now, services: BTreeSet::new() };
        self.0.entry(image.clone()).or_insert(fresh).id = None;
    }

    /// A task of the service has the image, which may be one that orch pulled. Answers whether that changed anything.
    pub(crate) fn used(&mut self, image: &ImageRef, id: &ImageDigest, by: ServiceId, now: Timestamp) -> bool {
        let Some(known) = self.0.get_mut(image) else { return false };
        known.id = Some(id.clone());
        known.used_at = now;
        known.services.insert(by);
        true
    }

    /// What is needed now is used now.
    pub(crate) fn touch(&mut self, needed: &Needed, now: Timestamp) {
        for (name, known) in &mut self.0 {
            let runs = known.id.as_ref().is_some_and(|id| needed.ids.contains(id));
            if runs || needed.names.contains(name) {
                known.used_at = now;
            }
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &ImageRef> {
        self.0.keys()
    }

    pub(crate) fn forget(&mut self, image: &ImageRef) {
        self.0.remove(image);
    }

    /// What may go: pulled by orch, needed by nobody, not used for `min_age`; the longest unused first.
    #[must_use]
    pub fn candidates(
        &self,
        needed: &Needed,
        min_age: Duration,
        now: Timestamp,
    ) -> Vec<(ImageRef, ImageDigest)> {
        let stays = self.to_go_back_to(needed);
        let is_free = |(name, known): &(&ImageRef, &Pulled)| {
            let runs = known.id.as_ref().is_none_or(|id| needed.ids.contains(id));
            !runs
                && !needed.names.contains(*name)
                && !stays.contains(*name)
                && now.since(known.used_at) >= min_age
        };
        let mut free: Vec<_> = self.0.iter().filter(is_free).collect();
        free.sort_by_key(|(name, known)| (known.used_at, (*name).clone()));
        free.into_iter().filter_map(|(name, known)| Some((name.clone(), known.id.clone()?))).collect()
    }

    /// Of each service that has tasks here, the image that it used last of those that it does not use now.
    fn to_go_back_to(&self, needed: &Needed) -> BTreeSet<ImageRef> {
        let before = |service: &ServiceId| {
            let of_service = self.0.iter().filter(|(name, known)| {
                known.services.contains(service)
                    && !needed.names.contains(*name)
                    && !known.id.as_ref().is_some_and(|id| needed.ids.contains(id))
            });
            of_service.max_by_key(|(_, known)| known.used_at).map(|(name, _)| name.clone())
        };
        needed.services.iter().filter_map(before).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::id::IdStream;

    const MIN_AGE: Duration = Duration::from_secs(600);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_micros(minutes * 60_000_000)
    }

    fn name(text: &str) -> ImageRef {
        text.parse().unwrap()
    }

    fn id(text: &str) -> ImageDigest {
        ImageDigest(text.to_owned())
    }

    /// Images `a` to `d` of one service, used a minute after each other.
    fn ledger(service: ServiceId) -> Ledger {
        let mut ledger = Ledger::default();
        for (minute, text) in (0..).zip(["a", "b", "c", "d"]) {
            ledger.pulls(&name(text), at(minute));
            assert!(ledger.used(&name(text), &id(text), service, at(minute)));
        }
        ledger
    }

    fn free(ledger: &Ledger, needed: &Needed, now: Timestamp) -> String {
        let free = ledger.candidates(needed, MIN_AGE, now);
        free.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// M48: only what orch pulled, and of that nothing that anybody needs. Each line takes away one rule.
    #[test]
    fn what_orch_pulled_and_nobody_needs_goes_the_longest_unused_first() {
        let mut ids = IdStream::seeded(1);
        let (service, other): (ServiceId, ServiceId) = (ids.next(), ids.next());
        let (mut ledger, now) = (ledger(service), at(60));
        assert!(!ledger.used(&name("foreign"), &id("foreign"), service, at(0)), "nobody of us pulled it");
        let mut needed = Needed::default();
        assert_eq!(free(&ledger, &needed, now), "a b c d");
        assert_eq!(free(&ledger, &needed, at(11)), "a b", "the others are too young");
        needed.names.insert(name("d"));
        assert_eq!(free(&ledger, &needed, now), "a b c", "desired");
        needed.ids.insert(id("b"));
        assert_eq!(free(&ledger, &needed, now), "a c", "a container is of it");
        needed.services.insert(other);
        assert_eq!(free(&ledger, &needed, now), "a c");
        needed.services.insert(service);
        assert_eq!(free(&ledger, &needed, now), "a", "what the service would go back to");
        ledger.touch(&needed, now);
        assert_eq!(free(&ledger, &Needed::default(), now), "a c", "what is needed is used");
        ledger.pulls(&name("a"), now);
        assert_eq!(free(&ledger, &needed, at(600)), "", "it is being pulled");
        ledger.forget(&name("c"));
        assert_eq!(free(&ledger, &Needed::default(), at(600)), "b d");
    }
}
