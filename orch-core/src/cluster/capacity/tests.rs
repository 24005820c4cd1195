use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::id::IdStream;
use crate::schedule::Score;
use crate::service::Strategy as Layout;
use crate::testing::World;

/// Amounts as they are, and those at the edges of what can be told.
fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..100_000u64,
        2 => (1u64 << 30)..(1u64 << 38),
        1 => any::<u64>(),
        1 => Just(0),
        1 => Just(u64::MAX),
    ]
}

fn resources() -> impl Strategy<Value = Resources> {
    (amount(), amount()).prop_map(|(cpu, memory)| Resources::new(cpu, memory))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_node_is_outside_of_what_its_branch_says(
        rooms in proptest::collection::vec((resources(), resources(), 0..50u32), 1..6),
        requests in resources(),
    ) {
        let mut ids = IdStream::seeded(1);
        let rooms: Vec<Room> =
            rooms.into_iter().map(|(all, used, tasks)| Room::new(ids.next(), all, used, tasks)).collect();
        let extent = rooms.iter().map(Extent::of_room).reduce(Extent::and).expect("there is a room");
        for room in &rooms {
            for strategy in [Layout::Spread, Layout::Binpack] {
                let score = Score::of_room(room, requests, strategy, 0, false);
                prop_assert!(Score::at_best(&extent, requests, strategy) <= score);
            }
            prop_assert!(room.free().fits_in(extent.free));
            prop_assert!((extent.fewest_tasks..=extent.most_tasks).contains(&room.tasks));
        }
    }

    #[test]
    fn a_tree_holds_what_was_put_last(
        acts in proptest::collection::vec((0..600usize, 0..4u8, 0..100u64), 0..1_500),
    ) {
        let mut world = World::new();
        let model_node = world.register_node("a", Resources::new(1_000, 1_000));
        let node = (**world.cluster.node(model_node).expect("it is there")).clone();
        let mut ids = IdStream::seeded(2);
        let known: Vec<NodeId> = (0..600).map(|_| ids.next()).collect();
        let mut tree = Capacity::default();
        let mut truth = BTreeMap::new();
        for (at, act, used) in acts {
            let mut node = Node { id: known[at], ..node.clone() };
            let usage = NodeUsage { reserved: Resources::new(used, used), ..NodeUsage::default() };
            match act {
                0 => {
                    tree.remove(node.id);
                    truth.remove(&node.id);
                }
                1 => {
                    node.cordoned = true;
                    tree.put(&node, Some(&usage));
                    truth.remove(&node.id);
                }
                2 => {
                    tree.take(node.id, &usage);
                    truth.entry(node.id).and_modify(|room| *room = Room::of(&node, &usage));
                }
                _ => {
                    tree.put(&node, Some(&usage));
                    truth.insert(node.id, Room::of(&node, &usage));
                }
            }
        }
        prop_assert!(tree.is_true_to_itself());
        prop_assert_eq!(tree.rooms(), truth.into_values().collect::<Vec<_>>());
    }
}

#[test]
fn a_tree_stays_small_when_nodes_come_and_go() {
    let mut world = World::new();
    let node = world.register_node("a", Resources::new(1_000, 1_000));
    let node = (**world.cluster.node(node).expect("it is there")).clone();
    let mut ids = IdStream::seeded(2);
    let mut tree = Capacity::default();
    let mut there: Vec<NodeId> = Vec::new();
    for round in 0..2_000 {
        let id = ids.next();
        tree.put(&Node { id, ..node.clone() }, None);
        there.push(id);
        if there.len() > 300 {
            tree.remove(there.swap_remove(round * 7 % 300));
        }
    }
    let mut branches = 0;
    tree.walk(|part| branches += usize::from(matches!(part, Part::Branch(_))));
    assert_eq!(tree.rooms().len(), 300);
    assert!(branches < 300 / 5, "{branches} branches for 300 rooms");
    there.iter().for_each(|id| tree.remove(*id));
    assert!(tree.root().is_none());
}
