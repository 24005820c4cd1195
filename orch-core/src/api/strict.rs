//! Reading what a caller sent: strictly, with the path of what is wrong.

mod meant;
mod unique;

use schemars::JsonSchema;
use serde::de::{Deserialize, Deserializer};

pub use meant::{closest, snake};

use crate::command::{FieldPath, Rejection};

/// Reads a wire type and refuses fields that it does not have. Works for JSON and YAML alike.
///
/// # Errors
/// [`Rejection::Invalid`] with the path of the first field that is wrong, or of the unknown ones.
pub fn read<'de, T, D>(deserializer: D) -> Result<T, Rejection>
where
    T: Deserialize<'de> + JsonSchema,
    D: Deserializer<'de>,
{
    let (mut unknown, mut meant) = (Vec::new(), None);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(deserializer, &mut track);
    let value = serde_ignored::deserialize(tracked, |path| {
        if unknown.is_empty() {
            meant = meant::field::<T>(&path);
        }
        unknown.push(path_of(&path));
    });
    match value {
        // What is missing may stand there misspelt.
        Err(error) if unknown.is_empty() || !error.to_string().starts_with("missing field") => {
            let field = track.path().to_string();
            let field = if field == "." { FieldPath::new("body") } else { FieldPath::new(&field) };
            Err(Rejection::invalid(field, error.to_string(), "a value of the documented type"))
        }
        Ok(value) if unknown.is_empty() => Ok(value),
        _ => {
            let problem = meant.map_or_else(
                || "there is no such field".to_owned(),
                |meant| format!("there is no such field; did you mean `{meant}`?"),
            );
            let expected = format!("only documented fields; unknown here: {}", list(&unknown));
            Err(Rejection::invalid(unknown.swap_remove(0), problem, expected))
        }
    }
}

/// Reads exactly one JSON value from the bytes of a request.
///
/// # Errors
/// As [`read`]; and where something follows the value, or a key stands twice.
pub fn read_json<T: for<'de> Deserialize<'de> + JsonSchema>(bytes: &[u8]) -> Result<T, Rejection> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = read(&mut deserializer)?;
    deserializer.end().map_err(|_| {
        Rejection::invalid(
            FieldPath::new("body"),
            "something follows the JSON value",
            "exactly one JSON object",
        )
    })?;
    // Fields of ours are told by the reader itself; keys of the user's own are not.
    match unique::first_repeated(bytes) {
        Some(field) => Err(Rejection::invalid(field, "it stands twice", "each key once")),
        None => Ok(value),
    }
}

fn list(fields: &[FieldPath]) -> String {
    fields
        .iter()
        .take(8)
        .map(|field| format!("`{}`", field.as_str().escape_debug()))
        .collect::<Vec<_>>()
        .join(", ")
}

fn path_of(path: &serde_ignored::Path<'_>) -> FieldPath {
    use serde_ignored::Path;
    match path {
        Path::Root => FieldPath::default(),
        Path::Seq { parent, index } => path_of(parent).index(*index),
        Path::Map { parent, key } => path_of(parent).field(key),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            path_of(parent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, JsonSchema, serde::Deserialize)]
    struct Outer {
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        named: std::collections::BTreeMap<String, Option<Inner>>,
    }

    #[derive(Debug, JsonSchema, serde::Deserialize)]
    struct Inner {
        number: u8,
    }

    fn problem(json: &str) -> (String, String) {
        match read_json::<Outer>(json.as_bytes()) {
            Err(Rejection::Invalid { field, problem, .. }) => (field.to_string(), problem),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_is_answered_with_its_path() {
        let (field, problem) = problem(r#"{"list":[{"number":1},{"number":"x"}]}"#);
        assert_eq!(field, "list[1].number");
        assert!(problem.contains("u8"), "{problem}");
    }

    #[test]
    fn unknown_fields_are_refused_wherever_they_are() {
        assert_eq!(problem(r#"{"list":[{"number":1,"colour":2}]}"#).0, "list[0].colour");
        assert_eq!(problem(r#"{"size":1}"#).0, "size");
    }

    #[test]
    fn the_field_that_was_probably_meant_is_said_wherever_it_is() {
        for (json, field, meant) in [
            (r#"{"lst":[]}"#, "lst", Some("list")),
            (r#"{"list":[{"nubmer":1}]}"#, "list[0].nubmer", Some("number")),
            (r#"{"named":{"a":{"number":1,"numbers":2}}}"#, "named.a.numbers", Some("number")),
            (r#"{"list":[{"list":1,"number":2}]}"#, "list[0].list", None),
        ] {
            let told = problem(json);
            let hint = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
            assert_eq!(told, (field.to_owned(), format!("there is no such field{hint}")), "{json}");
        }
    }

    #[test]
    fn exactly_one_value_is_read() {
        assert_eq!(problem("{} {}").0, "body");
        assert_eq!(problem("").0, "body");
        let read = read_json::<Outer>(b" {\"list\":[{\"number\":3}]} ").unwrap();
        assert_eq!((read.list[0].number, read.named.len()), (3, 0));
    }
}
