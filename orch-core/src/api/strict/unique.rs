//! No key twice. Readers of JSON keep the last of a map's values and drop the others, of which nobody would learn.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::command::FieldPath;

/// The first key that stands a second time in its object. What is no JSON is for others to tell.
pub(super) fn first_repeated(bytes: &[u8]) -> Option<FieldPath> {
    let mut repeated = None;
    let look = Look { at: At::Root, repeated: &mut repeated };
    let _ = look.deserialize(&mut serde_json::Deserializer::from_slice(bytes));
    repeated
}

/// Where a value stands: made a path only where that is told.
#[derive(Clone, Copy)]
enum At<'a> {
    Root,
    Field(&'a At<'a>, &'a str),
    Entry(&'a At<'a>, usize),
}

impl At<'_> {
    fn path(&self) -> FieldPath {
        match self {
            Self::Root => FieldPath::default(),
            Self::Field(within, name) => within.path().field(name),
            Self::Entry(within, index) => within.path().index(*index),
        }
    }
}

struct Look<'a> {
    at: At<'a>,
    repeated: &'a mut Option<FieldPath>,
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            let at = At::Field(&self.at, &key);
            if seen.contains(&key) {
                *self.repeated = Some(at.path());
                return Err(A::Error::custom("a key stands twice"));
            }
            entries.next_value_seed(Look { at, repeated: &mut *self.repeated })?;
            seen.insert(key);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        for index in 0.. {
            let at = At::Entry(&self.at, index);
            if entries.next_element_seed(Look { at, repeated: &mut *self.repeated })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_that_stands_twice_is_found_wherever_it_is() {
        let repeated = |json: &str| first_repeated(json.as_bytes()).map(|path| path.to_string());
        assert_eq!(repeated(r#"{"a":[{"b":1},{"c":{"x":null,"x":true}}]}"#).as_deref(), Some("a[1].c.x"));
        assert_eq!(repeated(r#"{"a":1,"b":2,"a":"3"}"#).as_deref(), Some("a"));
        assert_eq!(repeated(r#"{"a":{"x":1.5},"b":{"x":-1},"c":"\u0061"}"#), None);
        assert_eq!(repeated(r#"{"a":1,"a""#).as_deref(), Some("a"), "cut off");
        assert_eq!(repeated("not JSON"), None);
    }
}
