//! The API as an OpenAPI 3.1 document: made from the [table of endpoints](super::endpoint::TABLE) and the wire types, so
//! that nothing is said twice. Schemas are as requests are read; fields that answers always hold may be optional there.

mod operation;
mod statuses;

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::endpoint::{Endpoint, Visit, visit_all};
use super::error::ErrorBody;
use super::event::EventFrame;
use super::logs::LogFrame;

/// Where the document holds its schemas.
const SCHEMAS: &str = "/components/schemas";

/// The document.
#[derive(Clone, Debug, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document(pub Map<String, Value>);

impl Document {
    /// Of this version of the API.
    #[must_use]
    pub fn of_this_version() -> Self {
        static DOCUMENT: LazyLock<Map<String, Value>> = LazyLock::new(make);
        Self(DOCUMENT.clone())
    }
}

/// Collects operations by path, and the schemas that they name.
struct Paths {
    paths: Map<String, Value>,
    schemas: SchemaGenerator,
}

impl Visit for Paths {
    fn visit<E: Endpoint>(&mut self) {
        let operation = operation::of::<E>(&mut self.schemas);
        let path = self.paths.entry(E::ROW.path).or_insert_with(|| json!({}));
        path[E::ROW.method.as_str().to_ascii_lowercase()] = operation;
    }
}

fn make() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = SCHEMAS.into();
        settings.meta_schema = None;
    });
    let mut all = Paths { paths: Map::new(), schemas: settings.into_generator() };
    visit_all(&mut all);
    // Named by no schema of a whole body: a line of a stream each.
    all.schemas.subschema_for::<EventFrame>();
    all.schemas.subschema_for::<LogFrame>();
    let error = all.schemas.subschema_for::<ErrorBody>();
    let responses: Map<String, Value> = statuses::WORDS
        .iter()
        .map(|(status, words)| {
            let content = json!({"application/json": {"schema": error}});
            (status.to_string(), json!({"description": words, "content": content}))
        })
        .collect();
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "orch",
            "version": super::version::API_VERSION,
            "summary": "A container orchestrator",
            "description": DESCRIPTION,
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": all.paths,
        "components": {
            "schemas": all.schemas.take_definitions(true),
            "responses": responses,
            "parameters": operation::shared_parameters(),
            "securitySchemes": {
                "user": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "A user's token. Its role, cluster-wide or in the namespace, must be at least the one that the operation names."},
                "node": {"type": "http", "scheme": "bearer",
                    "description": "A node's credential: answered at registration, and replaced by each heartbeat's answer."},
                "registration": {"type": "http", "scheme": "bearer", "description": "The registration token."},
                "registrationHeader": {"type": "apiKey", "in": "header", "name": super::agent::BOOTSTRAP_HEADER,
                    "description": "The registration token, in a header of its own."},
            },
        },
    });
    match document {
        Value::Object(document) => document,
        _ => Map::new(),
    }
}

const DESCRIPTION: &str = "Requests hold JSON, whatever their content type says; a field that is not documented is refused, a \
    parameter of a query that is not documented is skipped. Readers of answers skip what they do not know: fields are added \
    within a version. Every answer that is no success holds the error envelope, with `field` and `expected` in `details` \
    where a field is wrong. Every answer bears the header `X-Request-Id`, every one below `/v1/` the header `API-Version`.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::endpoint::{Access, Row, TABLE};

    fn operation<'a>(document: &'a Value, row: &Row) -> &'a Value {
        &document["paths"][row.path][row.method.as_str().to_ascii_lowercase()]
    }

    #[test]
    fn every_row_has_its_document_its_role_its_statuses_and_the_error_envelope() {
        let document = Value::Object(make());
        for row in TABLE {
            let operation = operation(&document, row);
            assert_eq!(operation["operationId"], row.name);
            assert_eq!(operation["summary"], row.doc, "{}", row.name);
            assert!(!row.doc.is_empty(), "{}", row.name);
            let role = row.access.action().and_then(crate::identity::Action::least_role);
            assert_eq!(operation["x-orch-role"].as_str(), role.map(|role| role.as_str()), "{}", row.name);
            let secured = operation["security"].as_array().is_some_and(|list| !list.is_empty());
            assert_eq!(secured, row.access != Access::Open, "{}", row.name);
            let responses = operation["responses"].as_object().expect("there are answers");
            assert!(responses.contains_key(&row.status.to_string()), "{}", row.name);
            let refused: &[&str] = match row.access {
                Access::Open => &[],
                Access::User(_) => &["400", "401", "403", "503"],
                Access::Registration => &["400", "401", "409", "413", "503"],
                Access::Node => &["400", "401", "503"],
            };
            assert!(refused.iter().all(|status| responses.contains_key(*status)), "{}", row.name);
            for (status, response) in responses.iter().filter(|(status, _)| status.as_str() >= "400") {
                assert_eq!(response["$ref"], format!("#/components/responses/{status}"), "{}", row.name);
                let shared = &document["components"]["responses"][status];
                let schema = &shared["content"]["application/json"]["schema"];
                assert_eq!(schema["$ref"], "#/components/schemas/ErrorBody", "{}", row.name);
            }
            let named = row.path.split('/').filter(|segment| segment.starts_with('{')).count();
            let of_path = operation["parameters"].as_array().expect("a list");
            let of_path = of_path.iter().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(of_path, named, "{}", row.name);
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_field_says_what_it_is() {
        let document = Value::Object(make());
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > 100, "{}", references.len());
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let mut silent = Vec::new();
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let fields = fields.filter(|(_, schema)| !schema["description"].is_string());
            silent.extend(fields.map(|(field, _)| format!("{name}.{field}")));
        }
        assert_eq!(silent, Vec::<String>::new());
    }

    fn collect<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                into.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| collect(value, into));
            }
            Value::Array(items) => items.iter().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
}
