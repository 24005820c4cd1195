//! No sequence of lost, repeated and late messages, and of server restarts, locks an honest agent out while it is within the
//! life of its credential, or makes it look like a thief.

use orch_core::agent::Heartbeat;
use orch_core::command::rejection::Unauthorized;
use orch_core::command::{HeartbeatNode, Rejection, UseCredential};
use orch_core::id::NodeId;
use orch_core::identity::{CredentialBinding, NodePrincipal, Principal, Recognised, Scope, Verdict};
use orch_core::node::Resources;
use orch_core::testing::World;
use orch_core::testing::decide::issued;
use proptest::prelude::*;

/// A message of the agent: the credential that it held when it sent it, and its number.
#[derive(Clone, Copy, Debug)]
struct Message {
    generation: u64,
    sequence: u64,
    heartbeat: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The agent sends a heartbeat (or another request), and it arrives.
    Send { heartbeat: bool, answer_lost: bool, repeated: bool },
    /// It is sent, and arrives some other time, when the agent no longer waits for it.
    Delay { heartbeat: bool },
    /// Something that was delayed or repeated arrives.
    Arrive { which: usize },
    /// The server forgets what it kept in memory alone.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), prop::bool::weighted(0.3), prop::bool::weighted(0.3))
            .prop_map(|(heartbeat, answer_lost, repeated)| Step::Send { heartbeat, answer_lost, repeated }),
        2 => any::<bool>().prop_map(|heartbeat| Step::Delay { heartbeat }),
        3 => any::<usize>().prop_map(|which| Step::Arrive { which }),
        1 => Just(Step::Restart),
    ]
}

struct Server {
    world: World,
    node: NodeId,
    /// In memory only.
    highest: u64,
}

impl Server {
    /// Judges and carries out, as the control plane does: the new credential's number, if the message was a heartbeat.
    fn receive(&mut self, message: Message) -> Result<Option<u64>, (Verdict, Option<Rejection>)> {
        let now = self.world.now;
        let row = self.world.cluster.credential(self.node).expect("never reset").clone();
        let shown = Recognised {
            node: self.node,
            incarnation: row.incarnation,
            generation: message.generation,
            digest: issued(message.generation, now).digest,
            binding: CredentialBinding::Token,
        };
        let verdict = row.judge(&shown, Some(message.sequence), self.highest, now);
        if !matches!(verdict, Verdict::Current | Verdict::Promote | Verdict::Grace) {
            return Err((verdict, None));
        }
        self.highest = self.highest.max(message.sequence);
        let principal = Principal::Node(NodePrincipal {
            node: self.node,
            incarnation: row.incarnation,
            generation: message.generation,
            sequence: Some(message.sequence),
        });
        let scope = Scope::Node(self.node);
        let carried_out = if message.heartbeat {
            let next = issued(row.newest_generation() + 1, now);
            let command = HeartbeatNode { heartbeat: Heartbeat::default(), next };
            self.world.execute_as(&principal, &scope, command).map(|_| Some(next.generation))
        } else {
            self.world.execute_as(&principal, &scope, UseCredential {}).map(|()| None)
        };
        carried_out.map_err(|rejection| (verdict, Some(rejection)))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_honest_agent_is_neither_locked_out_nor_accused(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        let node = world.register_node("a", Resources::new(1000, 1 << 30));
        let mut server = Server { world, node, highest: 0 };
        let (mut held, mut sequence) = (1, 0);
        let mut on_the_way: Vec<Message> = Vec::new();
        for step in steps {
            match step {
                Step::Send { heartbeat, answer_lost, repeated } => {
                    sequence += 1;
                    let message = Message { generation: held, sequence, heartbeat };
                    match server.receive(message) {
                        Ok(Some(next)) if !answer_lost => held = next,
                        Ok(_) => {}
                        Err(refused) => prop_assert!(false, "{message:?} was refused: {refused:?}"),
                    }
                    if repeated {
                        on_the_way.push(message);
                    }
                }
                Step::Delay { heartbeat } => {
                    sequence += 1;
                    on_the_way.push(Message { generation: held, sequence, heartbeat });
                }
                Step::Arrive { which } if !on_the_way.is_empty() => {
                    let message = on_the_way.swap_remove(which % on_the_way.len());
                    match server.receive(message) {
                        Ok(_) | Err((Verdict::Late, _)) => {}
                        Err((_, Some(Rejection::Unauthorized(Unauthorized::CredentialSuperseded)))) => {}
                        Err(refused) => prop_assert!(false, "{message:?} was late, not {refused:?}"),
                    }
                }
                Step::Arrive { .. } => {}
                Step::Restart => server.highest = 0,
            }
        }
    }
}
