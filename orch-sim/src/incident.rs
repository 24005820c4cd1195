//! What goes wrong in a story.

use std::time::Duration;

use crate::engine::Ailment;
use crate::network::Cut;

/// One thing that goes wrong, or well again. The number is the place of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incident {
    /// The server's process is gone, and comes up again.
    ServerCrashes,
    /// The server's process stands still for so long.
    ServerStands(Duration),
    /// The server's wall clock jumps by so many seconds.
    ServerClock(i64),
    /// An agent's process is gone.
    AgentCrashes(usize),
    /// An agent is told to stop, and says goodbye.
    AgentStops(usize),
    /// An agent that is not up is started.
    AgentStarts(usize),
    /// An agent's process stands still for so long.
    AgentStands(usize, Duration),
    /// A machine's wall clock jumps by so many seconds.
    NodeClock(usize, i64),
    /// A machine restarts, with all that runs on it.
    NodeReboots(usize),
    /// A container ends with this code.
    ContainerEnds(usize, i32),
    /// A container reaches its memory limit.
    ContainerOutOfMemory(usize),
    /// An engine does not answer, until it is in reach again.
    EngineAway(usize),
    /// An engine is in reach again.
    EngineBack(usize),
    /// An engine restarts, and its containers end.
    EngineRestarts(usize),
    /// An engine loses events.
    EngineLosesEvents(usize),
    /// An engine forgets a container.
    EngineForgets(usize),
    /// An engine is so for a while.
    EngineAils(usize, Ailment, Duration),
    /// A node is cut off, one way or both.
    CutOff(usize, Cut),
    /// More than half of the nodes that are heard are cut off, for so long.
    CutOffMost(Duration),
    /// No node is cut off.
    Reconnected,
    /// A thief tries what he has.
    Theft,
    /// A thief registers under a node's name.
    Impostor(usize),
}

impl Incident {
    /// From the seed's numbers.
    pub fn draw(mut random: impl FnMut() -> u64, nodes: usize) -> Self {
        let node = usize::try_from(random() % nodes as u64).unwrap_or(0);
        let spell = Duration::from_millis(500 + random() % 40_000);
        let jump = i64::try_from(random() % 7_200).unwrap_or(0) - 3_600;
        match random() % 100 {
            0..=8 => Self::ServerCrashes,
            9..=11 => Self::ServerStands(spell),
            12 | 13 => Self::ServerClock(jump),
            14..=22 => Self::AgentCrashes(node),
            23..=26 => Self::AgentStops(node),
            27..=44 => Self::AgentStarts(node),
            45..=47 => Self::AgentStands(node, spell),
            48 | 49 => Self::NodeClock(node, jump),
            50 | 51 => Self::NodeReboots(node),
            52..=58 => {
                Self::ContainerEnds(node, [0, 1, 137, 143][usize::try_from(random() % 4).unwrap_or(0)])
            }
            59 => Self::ContainerOutOfMemory(node),
            60..=63 => Self::EngineAway(node),
            64..=70 => Self::EngineBack(node),
            71..=73 => Self::EngineRestarts(node),
            74 | 75 => Self::EngineLosesEvents(node),
            76 | 77 => Self::EngineForgets(node),
            78..=82 => {
                let all = Ailment::ALL;
                let which = usize::try_from(random() % all.len() as u64).unwrap_or(0);
                Self::EngineAils(node, all[which], spell)
            }
            83..=87 => {
                let all = [Cut::Both, Cut::Requests, Cut::Answers];
                Self::CutOff(node, all[usize::try_from(random() % 3).unwrap_or(0)])
            }
            88..=94 => Self::Reconnected,
            95 => Self::Impostor(node),
            96 | 97 => Self::CutOffMost(Duration::from_secs(60) + spell),
            _ => Self::Theft,
        }
    }

    /// Every word.
    pub const WORDS: &[&str] = &[
        "server crashes",
        "server stands still",
        "server's clock jumps",
        "agent crashes",
        "agent stops",
        "agent starts",
        "agent stands still",
        "node's clock jumps",
        "node reboots",
        "container ends well",
        "container dies",
        "container out of memory",
        "engine out of reach",
        "engine in reach",
        "engine restarts",
        "engine loses events",
        "engine forgets a container",
        "engine full",
        "pulls fail",
        "images are not there",
        "listing stale",
        "listing slow",
        "cut off",
        "requests cut off",
        "answers cut off",
        "most nodes cut off",
        "reconnected",
        "theft",
        "impostor",
    ];

    /// A few words.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::ServerCrashes => "server crashes",
            Self::ServerStands(_) => "server stands still",
            Self::ServerClock(_) => "server's clock jumps",
            Self::AgentCrashes(_) => "agent crashes",
            Self::AgentStops(_) => "agent stops",
            Self::AgentStarts(_) => "agent starts",
            Self::AgentStands(..) => "agent stands still",
            Self::NodeClock(..) => "node's clock jumps",
            Self::NodeReboots(_) => "node reboots",
            Self::ContainerEnds(_, 0) => "container ends well",
            Self::ContainerEnds(..) => "container dies",
            Self::ContainerOutOfMemory(_) => "container out of memory",
            Self::EngineAway(_) => "engine out of reach",
            Self::EngineBack(_) => "engine in reach",
            Self::EngineRestarts(_) => "engine restarts",
            Self::EngineLosesEvents(_) => "engine loses events",
            Self::EngineForgets(_) => "engine forgets a container",
            Self::EngineAils(_, Ailment::Full, _) => "engine full",
            Self::EngineAils(_, Ailment::NoImages, _) => "pulls fail",
            Self::EngineAils(_, Ailment::WrongImages, _) => "images are not there",
            Self::EngineAils(_, Ailment::Stale, _) => "listing stale",
            Self::EngineAils(_, Ailment::Slow, _) => "listing slow",
            Self::CutOff(_, Cut::Both) => "cut off",
            Self::CutOff(_, Cut::Requests) => "requests cut off",
            Self::CutOff(_, Cut::Answers) => "answers cut off",
            Self::CutOffMost(_) => "most nodes cut off",
            Self::Reconnected => "reconnected",
            Self::Theft => "theft",
            Self::Impostor(_) => "impostor",
        }
    }
}
