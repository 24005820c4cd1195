//! Why nothing fits, in one line: `4 nodes: 2 draining, 1 lacks memory (needs 512Mi, has 300Mi), 1 label zone≠a`.

use std::fmt;

use super::Misfit;
use super::filter::{Demand, admits, fits};
use crate::cluster::{Cluster, NodeUsage};
use crate::name::NodeName;
use crate::node::Node;
use crate::service::{Constraint, Protocol, ServiceSpec};

/// The nodes that cannot take a task, counted by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons<'a> {
    counts: Vec<(Misfit<'a>, u32)>,
}

impl<'a> Reasons<'a> {
    /// One more node that cannot. Of those that lack the same, the one that has most of it is told.
    pub fn add(&mut self, misfit: Misfit<'a>) {
        match self.counts.iter_mut().find(|(other, _)| same_kind(other, &misfit)) {
            Some((known, count)) => {
                *count += 1;
                if room(&misfit) > room(known) {
                    *known = misfit;
                }
            }
            None => self.counts.push((misfit, 1)),
        }
    }
}

/// Each node that cannot take one more task of `spec`, by name, with what it lacks.
#[must_use]
pub fn unfit_nodes(cluster: &Cluster, spec: &ServiceSpec) -> Vec<(NodeName, String)> {
    let demand = Demand::of_spec(spec);
    let untouched = NodeUsage::default();
    let lacks = |node: &Node| {
        let usage = cluster.index().usage(node.id).unwrap_or(&untouched);
        let misfit = admits(node, &spec.constraints).and_then(|()| fits(node, usage, &demand)).err()?;
        let mut reasons = Reasons::default();
        reasons.add(misfit);
        let text = reasons.to_string();
        // Of one node the count says nothing.
        Some(text.strip_prefix("1 node: 1 ").unwrap_or(&text).to_owned())
    };
    let mut unfit: Vec<_> =
        cluster.nodes().filter_map(|node| Some((node.name.clone(), lacks(node)?))).collect();
    unfit.sort();
    unfit
}

/// Whether two explanations differ in no more than how much is free: not worth writing anew.
#[must_use]
pub fn same_reason(a: &str, b: &str) -> bool {
    fn without_room(text: &str) -> impl Iterator<Item = &str> {
        text.split(", has ").enumerate().map(|(i, part)| match part.split_once(')') {
            Some((_, rest)) if i > 0 => rest,
            _ => part,
        })
    }
    without_room(a).eq(without_room(b))
}

fn same_kind(a: &Misfit<'_>, b: &Misfit<'_>) -> bool {
    match (a, b) {
        (Misfit::Cpu { .. }, Misfit::Cpu { .. }) | (Misfit::Memory { .. }, Misfit::Memory { .. }) => true,
        _ => a == b,
    }
}

/// What a person can mend soonest comes first; then the spec's own words, so that two rules of a kind keep their order.
const fn rank<'a>(misfit: &Misfit<'a>) -> (u8, u64, Option<&'a Constraint>) {
    match misfit {
        Misfit::Offline => (0, 0, None),
        Misfit::Draining => (1, 0, None),
        Misfit::Cordoned => (2, 0, None),
        Misfit::EngineAway => (2, 1, None),
        Misfit::Revoked => (3, 0, None),
        Misfit::Cpu { .. } => (4, 0, None),
        Misfit::Memory { .. } => (5, 0, None),
        Misfit::PortTaken(Protocol::Tcp, port) => (6, *port as u64, None),
        Misfit::PortTaken(Protocol::Udp, port) => (7, *port as u64, None),
        Misfit::NoDynamicPort => (8, 0, None),
        Misfit::Constraint(constraint) => (9, 0, Some(constraint)),
    }
}

const fn room(misfit: &Misfit<'_>) -> u64 {
    match misfit {
        Misfit::Cpu { has, .. } | Misfit::Memory { has, .. } => *has,
        _ => 0,
    }
}

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: u32 = self.counts.iter().map(|(_, count)| count).sum();
        match nodes {
            0 => return f.write_str("there are no nodes"),
            1 => f.write_str("1 node: ")?,
            _ => write!(f, "{nodes} nodes: ")?,
        }
        let mut counts: Vec<_> = self.counts.iter().map(|(misfit, count)| (*count, misfit)).collect();
        // Never in the order in which the nodes were met: equal clusters are explained in equal words.
        counts.sort_by_key(|(count, misfit)| (std::cmp::Reverse(*count), rank(misfit)));
        for (i, (count, misfit)) in counts.into_iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{count} ")?;
            let lacks = if count == 1 { "lacks" } else { "lack" };
            match misfit {
                Misfit::Offline => f.write_str("offline")?,
                Misfit::Draining => f.write_str("draining")?,
                Misfit::Cordoned => f.write_str("cordoned")?,
                Misfit::EngineAway => f.write_str("without its engine")?,
                Misfit::Revoked => f.write_str("revoked")?,
                Misfit::Constraint(constraint) => write!(f, "label {}", constraint.broken())?,
                Misfit::Cpu { needs, has } => write!(f, "{lacks} cpu (needs {needs}m, has {has}m)")?,
                Misfit::Memory { needs, has } => {
                    write!(f, "{lacks} memory (needs {}, has {})", Bytes(*needs, Up), Bytes(*has, Down))?;
                }
                Misfit::PortTaken(protocol, port) => write!(f, "port {port}/{protocol} taken")?,
                Misfit::NoDynamicPort => write!(f, "{lacks} a free dynamic port")?,
            }
        }
        Ok(())
    }
}

/// Which way an amount is rounded, so that what is needed never reads as less than what there is.
#[derive(Clone, Copy)]
enum Rounding {
    Up,
    Down,
}
use Rounding::{Down, Up};

/// Bytes, in the largest unit that leaves a whole number to read.
struct Bytes(u64, Rounding);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
        for (size, unit) in UNITS {
            // Gibibytes only where they are exact: 1.5Gi is better read as 1536Mi.
            if self.0 >= size && (size != 1 << 30 || self.0.is_multiple_of(size)) {
                let amount = match self.1 {
                    Up => self.0.div_ceil(size),
                    Down => self.0 / size,
                };
                return write!(f, "{amount}{unit}");
            }
        }
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Rule;

    #[test]
    fn the_reasons_are_counted_and_the_best_of_those_that_lack_room_is_told() {
        let constraint = Constraint { key: "zone".into(), rule: Rule::Equals("a".into()) };
        let mut reasons = Reasons::default();
        assert_eq!(reasons.to_string(), "there are no nodes");
        for misfit in [
            Misfit::Memory { needs: 512 << 20, has: 100 << 20 },
            Misfit::Draining,
            Misfit::Constraint(&constraint),
            Misfit::Memory { needs: 512 << 20, has: 300 << 20 },
        ] {
            reasons.add(misfit);
        }
        assert_eq!(
            reasons.to_string(),
            "4 nodes: 2 lack memory (needs 512Mi, has 300Mi), 1 draining, 1 label zone≠a"
        );
    }

    #[test]
    fn only_how_much_is_free_does_not_make_another_reason() {
        let one = "3 nodes: 2 lack cpu (needs 500m, has 20m), 1 draining";
        assert!(same_reason(one, "3 nodes: 2 lack cpu (needs 500m, has 499m), 1 draining"));
        assert!(!same_reason(one, "3 nodes: 2 lack cpu (needs 600m, has 20m), 1 draining"));
        assert!(!same_reason(one, "3 nodes: 2 lack cpu (needs 500m, has 20m), 1 offline"));
        assert!(!same_reason(one, "3 nodes: 3 draining"));
    }
}
