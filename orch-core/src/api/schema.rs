//! Schemas of the wire types that read and write themselves.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::agent::{SecretText, Token};
use super::{Cpu, Memory, Time};
use crate::runtime::LogTime;

/// Declares the schema of a type under its name in the document.
macro_rules! schemas {
    ($($type:ty = $name:literal $schema:tt)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

schemas! {
    Time = "Time" {
        "description": "A time in RFC 3339, UTC.",
        "type": "string",
        "format": "date-time",
    }
    LogTime = "LogTime" {
        "description": "A time in RFC 3339, UTC, with nine digits; empty where nobody noted it.",
        "type": "string",
    }
    Cpu = "Cpu" {
        "description": "Thousandths of a core as a number, or `250m`, `0.5`, `2` (cores). Answers hold the number. 0 or empty: unset.",
        "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^([0-9]+m|[0-9]+(\\.[0-9]{1,3})?)?$"}],
    }
    Memory = "Memory" {
        "description": "Bytes as a number, or a whole number with Ki, Mi, Gi, K, M or G. Answers hold the number. 0 or empty: unset.",
        "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^([0-9]+(Ki|Mi|Gi|K|M|G)?)?$"}],
    }
    Token = "Token" {
        "description": "A credential: keep it secret.",
        "type": "string",
        "format": "password",
    }
    SecretText = "SecretText" {
        "description": "The bytes of a secret in base64.",
        "type": "string",
        "contentEncoding": "base64",
    }
}
