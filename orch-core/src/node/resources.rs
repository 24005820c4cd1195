//! CPU and memory, and their arithmetic.

use std::ops::{Add, AddAssign, SubAssign};

use serde::{Deserialize, Serialize};

/// An amount of CPU and memory. Zero means unset where a request or limit may be unset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Bytes.
    pub memory_bytes: u64,
}

impl Resources {
    /// From thousandths of a core and bytes.
    #[must_use]
    pub const fn new(cpu_millis: u64, memory_bytes: u64) -> Self {
        Self { cpu_millis, memory_bytes }
    }

    /// What is left of `self` after `used`; zero where more is used than there is.
    #[must_use]
    pub const fn less(self, used: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(used.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_sub(used.memory_bytes),
        }
    }

    /// Whether this fits into `room`, in each dimension.
    #[must_use]
    pub const fn fits_in(self, room: Self) -> bool {
        self.cpu_millis <= room.cpu_millis && self.memory_bytes <= room.memory_bytes
    }
}

impl Add for Resources {
    type Output = Self;
    fn add(mut self, rhs: Self) -> Self {
        self += rhs;
        self
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, rhs: Self) {
        self.cpu_millis = self.cpu_millis.saturating_add(rhs.cpu_millis);
        self.memory_bytes = self.memory_bytes.saturating_add(rhs.memory_bytes);
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, rhs: Self) {
        *self = self.less(rhs);
    }
}
