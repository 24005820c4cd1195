//! Quantities: a number in the unit itself, or a string as people write it. Zero and the empty string are unset.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::node;

/// CPU: a number is thousandths of a core; a string is `250m`, or cores as a decimal (`0.5`, `2`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Cpu(pub u64);

/// Memory: a number is bytes; a string is a whole number with `Ki`, `Mi`, `Gi`, `K`, `M` or `G`, or bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Memory(pub u64);

/// A text that is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuantity {
    /// Not CPU.
    #[error("not an amount of CPU: expected millicores (`250m`) or cores (`0.5`, `2`)")]
    Cpu,
    /// Not memory.
    #[error("not an amount of memory: expected a whole number with Ki, Mi, Gi, K, M or G, or bytes")]
    Memory,
}

impl FromStr for Cpu {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let wrong = InvalidQuantity::Cpu;
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self(0));
        }
        if let Some(millis) = text.strip_suffix('m') {
            return digits(millis).map(Self).ok_or(wrong);
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        // More than three digits would be less than a thousandth: refused rather than rounded.
        if fraction.is_empty() || fraction.len() > 3 {
            return Err(wrong);
        }
        let scale = 10u64.pow(3 - u32::try_from(fraction.len()).map_err(|_| wrong)?);
        let cores = digits(whole).ok_or(wrong)?;
        let thousandths = digits(fraction).ok_or(wrong)? * scale;
        cores.checked_mul(1000).and_then(|m| m.checked_add(thousandths)).map(Self).ok_or(wrong)
    }
}

impl FromStr for Memory {
    type Err = InvalidQuantity;
    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        const UNITS: [(&str, u64); 6] = [
            ("Ki", 1 << 10),
            ("Mi", 1 << 20),
            ("Gi", 1 << 30),
            ("K", 1_000),
            ("M", 1_000_000),
            ("G", 1_000_000_000),
        ];
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self(0));
        }
        let (number, unit) = UNITS
            .iter()
            .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, *unit)))
            .unwrap_or((text, 1));
        digits(number).and_then(|n| n.checked_mul(unit)).map(Self).ok_or(InvalidQuantity::Memory)
    }
}

/// A whole number of plain digits: no sign, no exponent, no space.
fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

struct Quantity<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = InvalidQuantity> + From<u64>> de::Visitor<'_> for Quantity<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number of at least 0, or a quantity in a string")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        u64::try_from(value).map(T::from).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        value.parse().map_err(E::custom)
    }
}

macro_rules! quantity {
    ($name:ident) => {
        impl From<u64> for $name {
            fn from(value: u64) -> Self {
                Self(value)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Quantity::<Self>(std::marker::PhantomData))
            }
        }
    };
}
quantity!(Cpu);
quantity!(Memory);

/// CPU and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu: Cpu,
    /// Bytes.
    pub memory: Memory,
}

impl From<node::Resources> for Resources {
    fn from(from: node::Resources) -> Self {
        Self { cpu: Cpu(from.cpu_millis), memory: Memory(from.memory_bytes) }
    }
}

impl From<Resources> for node::Resources {
    fn from(from: Resources) -> Self {
        Self::new(from.cpu.0, from.memory.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_people_write_them() {
        for (text, millis) in
            [("250m", 250), ("0.5", 500), ("2", 2000), ("1.25", 1250), ("0.001", 1), ("", 0)]
        {
            assert_eq!(text.parse(), Ok(Cpu(millis)), "{text}");
        }
        for (text, bytes) in [("128Mi", 128 << 20), ("1G", 1_000_000_000), ("2Ki", 2048), ("7", 7), ("", 0)] {
            assert_eq!(text.parse(), Ok(Memory(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for bad in ["-1", "1e3", "1.", ".5", "0.0001", "m", "1 m", "+1", "99999999999999999999", "NaN"] {
            assert!(bad.parse::<Cpu>().is_err(), "{bad}");
        }
        for bad in ["-1", "1.5Gi", "Mi", "1 Mi", "1Ti", "99999999999Gi", "1m"] {
            assert!(bad.parse::<Memory>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_is_the_unit_itself_and_a_string_is_parsed() {
        let read = |json: &str| serde_json::from_str::<Resources>(json);
        assert_eq!(read(r#"{"cpu":1,"memory":0}"#).unwrap(), Resources { cpu: Cpu(1), memory: Memory(0) });
        let strings = read(r#"{"cpu":"1","memory":"1Ki"}"#).unwrap();
        assert_eq!(strings, Resources { cpu: Cpu(1000), memory: Memory(1024) });
        assert!(read(r#"{"cpu":-1}"#).is_err());
        assert!(read(r#"{"cpu":0.5}"#).is_err());
    }
}
