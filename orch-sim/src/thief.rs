//! A thief: reads credentials off the wire, and tries them later, by each way in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orch_agent::{NodeKey, NodeSigner as _};
use orch_core::agent::{AgentApi, Authority, Heartbeat, RegisterRequest};
use orch_core::id::IdStream;
use orch_core::identity::{KeyProof, RegistrationClaim};
use orch_core::name::NodeName;
use orch_core::node::{NodeFacts, Resources};
use orch_core::secret::Secret;

use crate::door::Loot;

/// Tries to register under a node's name, with a token that nodes have and a key of his own. The name must be taken by then: a
/// name that nobody has is anybody's who has the token.
pub async fn impersonate(door: Arc<dyn AgentApi>, name: NodeName, token: Secret<String>) {
    let Ok(key) = NodeKey::generate() else { return };
    let Ok(challenge) = door.challenge(&name).await else { return };
    if challenge.incarnation == 0 {
        return;
    }
    let room = Resources::new(1_000, 1 << 30);
    let claim = RegistrationClaim {
        name,
        advertise_address: "192.0.2.1".to_owned(),
        labels: BTreeMap::new(),
        facts: NodeFacts::default(),
        capacity: room,
        allocatable: room,
        agent_version: "0.3.0".to_owned(),
        boot: None,
    };
    let signature = key.sign(&KeyProof::signed_text(&challenge, &claim, None));
    let proof = KeyProof { key: key.public_key(), signature, challenge };
    drop(door.register(RegisterRequest { claim, token: Some(token), key: Some(proof) }).await);
}

/// One try.
#[derive(Clone)]
pub struct Attempt {
    loot: Loot,
    sequence: Option<u64>,
    way: u64,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let way = ["heartbeat", "poll", "report", "secrets"][self.way as usize % 4];
        write!(f, "{way} as {} with number {:?}", self.loot.node, self.sequence)
    }
}

impl Attempt {
    /// With a credential from all that there were; more often with one of the newest.
    pub fn draw(mut random: impl FnMut() -> u64, loot: &[Loot]) -> Option<Self> {
        let last = loot.len().checked_sub(1)? as u64;
        let back =
            if random().is_multiple_of(2) { random() % (last + 1) } else { random() % (last + 1).min(12) };
        let loot = loot.get(usize::try_from(last - back).ok()?)?.clone();
        let sequence = match random() % 4 {
            0 => None,
            1 => Some(1),
            2 => Some(random() % 200),
            _ => Some(1_000_000 + random() % 1_000),
        };
        Some(Self { loot, sequence, way: random() % 4 })
    }

    /// Tries it at a door. Harms nothing beyond what taking part in the rotation does.
    pub async fn carry_out(self, door: Arc<dyn AgentApi>) {
        let Self { loot, sequence, way } = self;
        let authority = Authority { node: loot.node, credential: loot.token, sequence };
        match way % 4 {
            0 => drop(door.heartbeat(&authority, Heartbeat::default()).await),
            1 => drop(door.desired(&authority, None, Duration::ZERO).await),
            2 => drop(door.report(&authority, Vec::new()).await),
            _ => drop(door.secrets(&authority, IdStream::seeded(way).next()).await),
        }
    }
}
