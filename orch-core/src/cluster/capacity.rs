//! [`Capacity`]: what the nodes that take new tasks have left, in a tree whose branches say between what bounds
//! their nodes lie.
//!
//! A search that wants the best node for a task looks only into the branches that may hold it: some dozens of nodes of
//! thousands. The tree shares structure like the cluster's maps; one change costs one path.

use std::sync::Arc;

use super::NodeUsage;
use crate::id::NodeId;
use crate::node::{Node, Resources};

/// How many things a branch has below it, at most. Where two neighbours have no more together, they become one.
const WIDTH: usize = 16;

/// The nodes that take new tasks, by what they have left: a tree in the order of their ids, the same way down to each room. So
/// of branches with nodes that are equally good, the first has the one that is taken, and the others are not looked into.
#[derive(Clone, Debug, Default)]
pub struct Capacity {
    root: Option<Branch>,
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
    Rooms(Arc<Vec<Room>>),
    Branches(Arc<Vec<Branch>>),
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
            Below::Rooms(rooms) => rooms.iter().for_each(|room| see(Part::Room(room))),
            Below::Branches(branches) => branches.iter().for_each(|branch| see(Part::Branch(branch))),
        }
    }

    /// What `extent` should be; nothing is below only for a moment.
    fn measured(&self) -> Option<Extent> {
        match &self.below {
            Below::Rooms(rooms) => rooms.iter().map(Extent::of_room).reduce(Extent::and),
            Below::Branches(branches) => branches.iter().map(|branch| branch.extent).reduce(Extent::and),
        }
    }

    fn of_rooms(rooms: Vec<Room>) -> Option<Self> {
        let extent = rooms.iter().map(Extent::of_room).reduce(Extent::and)?;
        Some(Self { extent, below: Below::Rooms(Arc::new(rooms)) })
    }

    fn of_branches(branches: Vec<Self>) -> Option<Self> {
        let extent = branches.iter().map(|branch| branch.extent).reduce(Extent::and)?;
        Some(Self { extent, below: Below::Branches(Arc::new(branches)) })
    }

    fn len(&self) -> usize {
        match &self.below {
            Below::Rooms(rooms) => rooms.len(),
            Below::Branches(branches) => branches.len(),
        }
    }

    fn room(&self, node: NodeId) -> Option<&Room> {
        match &self.below {
            Below::Rooms(rooms) => {
                rooms.binary_search_by_key(&node, |room| room.node).ok().map(|at| &rooms[at])
            }
            Below::Branches(branches) => branches[way_to(branches, node)].room(node),
        }
    }

    /// Puts a room where it belongs. What no longer fits is answered: it comes after this.
    fn put(&mut self, room: Room) -> Option<Self> {
        let more = match &mut self.below {
            Below::Rooms(rooms) => {
                let rooms = Arc::make_mut(rooms);
                match rooms.binary_search_by_key(&room.node, |room| room.node) {
                    Ok(at) => rooms[at] = room,
                    Err(at) => rooms.insert(at, room),
                }
                (rooms.len() > WIDTH).then(|| Self::of_rooms(rooms.split_off(WIDTH / 2)))
            }
            Below::Branches(branches) => {
                let branches = Arc::make_mut(branches);
                let at = way_to(branches, room.node);
                if let Some(after) = branches[at].put(room) {
                    branches.insert(at + 1, after);
                }
                (branches.len() > WIDTH).then(|| Self::of_branches(branches.split_off(WIDTH / 2)))
            }
        };
        self.extent = self.measured().unwrap_or(self.extent);
        more.flatten()
    }

    /// Takes a room out. Nothing may be left below.
    fn remove(&mut self, node: NodeId) {
        match &mut self.below {
            Below::Rooms(rooms) => Arc::make_mut(rooms).retain(|room| room.node != node),
            Below::Branches(branches) => {
                let branches = Arc::make_mut(branches);
                let at = way_to(branches, node);
                branches[at].remove(node);
                if branches[at].len() == 0 {
                    branches.remove(at);
                } else if at + 1 < branches.len() && branches[at].len() + branches[at + 1].len() <= WIDTH {
                    let after = branches.remove(at + 1);
                    branches[at].append(after);
                } else if at > 0 && branches[at - 1].len() + branches[at].len() <= WIDTH {
                    let after = branches.remove(at);
                    branches[at - 1].append(after);
                }
            }
        }
        self.extent = self.measured().unwrap_or(self.extent);
    }

    /// Takes over what is below a neighbour that comes after.
    fn append(&mut self, after: Self) {
        match (&mut self.below, after.below) {
            (Below::Rooms(rooms), Below::Rooms(after)) => Arc::make_mut(rooms).extend_from_slice(&after),
            (Below::Branches(branches), Below::Branches(after)) => {
                Arc::make_mut(branches).extend_from_slice(&after);
            }
            // Neighbours are of one height.
            (Below::Rooms(_), Below::Branches(_)) | (Below::Branches(_), Below::Rooms(_)) => return,
        }
        self.extent = self.extent.and(after.extent);
    }
}

/// Which of the branches a node is below, if it is below any.
fn way_to(branches: &[Branch], node: NodeId) -> usize {
    branches.partition_point(|branch| branch.extent.first <= node).saturating_sub(1)
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
        let room = usage.map_or_else(|| Room::of(node, &NodeUsage::default()), |usage| Room::of(node, usage));
        self.put_room(room);
    }

    fn put_room(&mut self, room: Room) {
        let Some(root) = &mut self.root else {
            self.root = Branch::of_rooms(vec![room]);
            return;
        };
        if let Some(after) = root.put(room) {
            let before = self.root.take();
            self.root = Branch::of_branches(before.into_iter().chain([after]).collect());
        }
    }

    /// A node is no more, or takes no more tasks.
    pub(super) fn remove(&mut self, node: NodeId) {
        let Some(root) = self.root.as_mut().filter(|root| root.room(node).is_some()) else { return };
        root.remove(node);
        match &root.below {
            Below::Rooms(rooms) if rooms.is_empty() => self.root = None,
            Below::Branches(branches) if branches.len() == 1 => self.root = branches.first().cloned(),
            Below::Rooms(_) | Below::Branches(_) => {}
        }
    }

    /// Other tasks hold something of a node. Nothing comes of it where the node takes no new ones.
    pub(super) fn take(&mut self, node: NodeId, usage: &NodeUsage) {
        let Some(room) = self.root.as_ref().and_then(|root| root.room(node)) else { return };
        let room = Room::new(room.node, room.allocatable, usage.reserved, usage.tasks);
        self.put_room(room);
    }

    /// Every room, by node. Walks the whole tree.
    pub(super) fn rooms(&self) -> Vec<Room> {
        let mut rooms = Vec::new();
        self.walk(|part| {
            if let Part::Room(room) = part {
                rooms.push(*room);
            }
        });
        rooms
    }

    /// Whether each branch says of what is below it what is so.
    pub(super) fn is_true_to_itself(&self) -> bool {
        let mut is = true;
        self.walk(|part| {
            if let Part::Branch(branch) = part {
                is &= branch.measured() == Some(branch.extent);
            }
        });
        is
    }

    /// Sees every part, each branch before what is below it, in the order of the rooms.
    fn walk<'a>(&'a self, mut see: impl FnMut(Part<'a>)) {
        let mut left: Vec<Part<'a>> = self.root.iter().map(Part::Branch).collect();
        while let Some(part) = left.pop() {
            see(part);
            if let Part::Branch(branch) = part {
                let from = left.len();
                branch.each(|part| left.push(part));
                left[from..].reverse();
            }
        }
    }
}

#[cfg(test)]
mod tests;
