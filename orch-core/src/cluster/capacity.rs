//! [`Capacity`]: what the nodes that take new tasks have left, in a tree whose branches say between what bounds
//! their nodes lie.
//!
//! A search that wants the best node for a task looks only into the branches that may hold it: some dozens of nodes of
//! thousands. The tree shares structure like the cluster's maps; one change costs one path.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet};

use super::NodeUsage;
use crate::id::NodeId;
use crate::node::{Node, Resources};

/// How many things a branch has below it, at most.
const WIDTH: usize = 16;

/// The nodes that take new tasks, by what they have left.
#[derive(Clone, Debug, Default)]
pub struct Capacity {
    places: OrdMap<NodeId, usize>,
    /// Places that nodes left.
    free: OrdSet<usize>,
    root: Option<Branch>,
    /// How many branches lie between the root and the rooms.
    height: u32,
}

/// What one node has, and what tasks hold of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The node.
    pub node: NodeId,
    /// What tasks may use.
    pub allocatable: Resources,
    /// What they hold.
    pub reserved: Resources,
    /// How many there are.
    pub tasks: u32,
    fullness: Option<Fullness>,
}

/// How full CPU and memory are, in millionths, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fullness {
    cpu: u32,
    memory: u32,
}

impl Fullness {
    const NONE: Self = Self { cpu: 0, memory: 0 };
    /// As full as can be told, or fuller.
    const BEYOND: Self = Self { cpu: u32::MAX, memory: u32::MAX };

    /// `None`: these are more than can be reckoned with.
    fn of(used: Resources, all: Resources) -> Option<Self> {
        let millionths = |used: u64, all: u64| {
            let millionths = used.checked_mul(1_000_000)? / all.max(1);
            Some(u32::try_from(millionths).unwrap_or(u32::MAX))
        };
        Some(Self {
            cpu: millionths(used.cpu_millis, all.cpu_millis)?,
            memory: millionths(used.memory_bytes, all.memory_bytes)?,
        })
    }

    const fn plus(self, more: Self) -> Self {
        Self { cpu: self.cpu.saturating_add(more.cpu), memory: self.memory.saturating_add(more.memory) }
    }

    const fn fuller(self) -> u32 {
        if self.cpu > self.memory { self.cpu } else { self.memory }
    }

    fn min(self, other: Self) -> Self {
        Self { cpu: self.cpu.min(other.cpu), memory: self.memory.min(other.memory) }
    }

    fn max(self, other: Self) -> Self {
        Self { cpu: self.cpu.max(other.cpu), memory: self.memory.max(other.memory) }
    }
}

impl Room {
    /// Of a node with so much taken.
    #[must_use]
    pub fn of(node: &Node, usage: &NodeUsage) -> Self {
        Self::new(node.id, node.allocatable, usage.reserved, usage.tasks)
    }

    fn new(node: NodeId, allocatable: Resources, reserved: Resources, tasks: u32) -> Self {
        Self { node, allocatable, reserved, tasks, fullness: Fullness::of(reserved, allocatable) }
    }

    /// What is left.
    #[must_use]
    pub const fn free(&self) -> Resources {
        self.allocatable.less(self.reserved)
    }
}

/// Between what bounds the nodes below a branch lie, each figure taken for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The most that is left, of CPU and of memory.
    pub free: Resources,
    /// The fewest tasks.
    pub fewest_tasks: u32,
    /// The most tasks.
    pub most_tasks: u32,
    /// The first node.
    pub first: NodeId,
    smallest: Resources,
    largest: Resources,
    emptiest: Fullness,
    fullest: Fullness,
}

impl Extent {
    fn of_room(room: &Room) -> Self {
        Self {
            free: room.free(),
            fewest_tasks: room.tasks,
            most_tasks: room.tasks,
            first: room.node,
            smallest: room.allocatable,
            largest: room.allocatable,
            emptiest: room.fullness.unwrap_or(Fullness::NONE),
            fullest: room.fullness.unwrap_or(Fullness::BEYOND),
        }
    }

    fn and(self, other: Self) -> Self {
        let each = |pick: fn(u64, u64) -> u64, a: Resources, b: Resources| {
            Resources::new(pick(a.cpu_millis, b.cpu_millis), pick(a.memory_bytes, b.memory_bytes))
        };
        Self {
            free: each(u64::max, self.free, other.free),
            fewest_tasks: self.fewest_tasks.min(other.fewest_tasks),
            most_tasks: self.most_tasks.max(other.most_tasks),
            first: self.first.min(other.first),
            smallest: each(u64::min, self.smallest, other.smallest),
            largest: each(u64::max, self.largest, other.largest),
            emptiest: self.emptiest.min(other.emptiest),
            fullest: self.fullest.max(other.fullest),
        }
    }

    /// How full the fuller of CPU and memory is with so much more taken, in thousandths: on no node less than that.
    #[must_use]
    pub fn at_least_permille_with(&self, requests: Resources) -> u32 {
        let more = Fullness::of(requests, self.largest).unwrap_or(Fullness::NONE);
        self.emptiest.plus(more).fuller() / 1_000
    }

    /// The same: on no node more than that.
    #[must_use]
    pub fn at_most_permille_with(&self, requests: Resources) -> u32 {
        let more = Fullness::of(requests, self.smallest).unwrap_or(Fullness::BEYOND);
        // Both were rounded down.
        match self.fullest.plus(more).fuller().checked_add(2) {
            Some(millionths) => millionths / 1_000,
            None => u32::MAX,
        }
    }
}

/// A part of the tree.
#[derive(Clone, Debug)]
pub struct Branch {
    extent: Extent,
    below: Below,
}

#[derive(Clone, Debug)]
enum Below {
    Rooms(Arc<[Option<Room>; WIDTH]>),
    Branches(Arc<[Option<Branch>; WIDTH]>),
}

/// What a branch has below it.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// One node.
    Room(&'a Room),
    /// More of them.
    Branch(&'a Branch),
}

impl Branch {
    /// Between what bounds the nodes below lie.
    #[must_use]
    pub const fn extent(&self) -> &Extent {
        &self.extent
    }

    /// Gives each thing below to `see`.
    pub fn each<'a>(&'a self, mut see: impl FnMut(Part<'a>)) {
        match &self.below {
            Below::Rooms(rooms) => rooms.iter().flatten().for_each(|room| see(Part::Room(room))),
            Below::Branches(branches) => {
                branches.iter().flatten().for_each(|branch| see(Part::Branch(branch)));
            }
        }
    }

    /// What `extent` should be.
    fn measured(&self) -> Option<Extent> {
        let mut all: Option<Extent> = None;
        self.each(|part| {
            let one = match part {
                Part::Room(room) => Extent::of_room(room),
                Part::Branch(branch) => branch.extent,
            };
            all = Some(all.map_or(one, |all| all.and(one)));
        });
        all
    }
}

impl Capacity {
    /// The whole tree; `None` where no node takes tasks.
    #[must_use]
    pub const fn root(&self) -> Option<&Branch> {
        self.root.as_ref()
    }

    /// A node changed, or is new.
    pub(super) fn put(&mut self, node: &Node, usage: Option<&NodeUsage>) {
        if !node.takes_new_tasks() {
            self.remove(node.id);
            return;
        }
        let place = match self.places.get(&node.id) {
            Some(place) => *place,
            None => {
                let place = self.free.remove_min().unwrap_or_else(|| self.places.len());
                self.places.insert(node.id, place);
                place
            }
        };
        while place >= WIDTH.saturating_pow(self.height + 1) {
            self.grow();
        }
        let room = usage.map_or_else(|| Room::of(node, &NodeUsage::default()), |usage| Room::of(node, usage));
        set(&mut self.root, self.height, place, |_| Some(room));
    }

    /// A node is no more.
    pub(super) fn remove(&mut self, node: NodeId) {
        if let Some(place) = self.places.remove(&node) {
            self.free.insert(place);
            set(&mut self.root, self.height, place, |_| None);
        }
    }

    /// Other tasks hold something of a node. Nothing comes of it where the node takes no new ones.
    pub(super) fn take(&mut self, node: NodeId, usage: &NodeUsage) {
        if let Some(place) = self.places.get(&node) {
            let taken = |room: Room| Room::new(room.node, room.allocatable, usage.reserved, usage.tasks);
            set(&mut self.root, self.height, *place, |room| room.map(taken));
        }
    }

    fn grow(&mut self) {
        self.height += 1;
        if let Some(root) = self.root.take() {
            let extent = root.extent;
            let mut branches = [const { None }; WIDTH];
            branches[0] = Some(root);
            self.root = Some(Branch { extent, below: Below::Branches(Arc::new(branches)) });
        }
    }

    /// Every room, by node. Walks the whole tree.
    pub(super) fn rooms(&self) -> Vec<Room> {
        let mut rooms = Vec::with_capacity(self.places.len());
        let mut left: Vec<&Branch> = self.root.iter().collect();
        while let Some(branch) = left.pop() {
            branch.each(|part| match part {
                Part::Room(room) => rooms.push(*room),
                Part::Branch(branch) => left.push(branch),
            });
        }
        rooms.sort_by_key(|room| room.node);
        rooms
    }

    /// Whether each branch says of what is below it what is so.
    pub(super) fn is_true_to_itself(&self) -> bool {
        let mut left: Vec<&Branch> = self.root.iter().collect();
        while let Some(branch) = left.pop() {
            if branch.measured() != Some(branch.extent) {
                return false;
            }
            branch.each(|part| {
                if let Part::Branch(branch) = part {
                    left.push(branch);
                }
            });
        }
        true
    }
}

/// Changes what is at `place` below a branch of that height, and what the branches on the way say of it.
fn set(
    slot: &mut Option<Branch>,
    height: u32,
    place: usize,
    change: impl FnOnce(Option<Room>) -> Option<Room>,
) {
    let Some(branch) = slot else {
        if let Some(room) = change(None) {
            *slot = Some(path_to(room, height, place));
        }
        return;
    };
    match &mut branch.below {
        Below::Rooms(rooms) => {
            let room = &mut Arc::make_mut(rooms)[place];
            *room = change(*room);
        }
        Below::Branches(branches) => {
            let each = WIDTH.pow(height);
            set(&mut Arc::make_mut(branches)[place / each], height - 1, place % each, change);
        }
    }
    match branch.measured() {
        Some(extent) => branch.extent = extent,
        None => *slot = None,
    }
}

/// A branch of that height with one room.
fn path_to(room: Room, height: u32, place: usize) -> Branch {
    let extent = Extent::of_room(&room);
    let below = if height == 0 {
        let mut rooms = [None; WIDTH];
        rooms[place] = Some(room);
        Below::Rooms(Arc::new(rooms))
    } else {
        let each = WIDTH.pow(height);
        let mut branches = [const { None }; WIDTH];
        branches[place / each] = Some(path_to(room, height - 1, place % each));
        Below::Branches(Arc::new(branches))
    };
    Branch { extent, below }
}

#[cfg(test)]
mod tests;
