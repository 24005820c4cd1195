//! One endpoint as an operation of the document.

use std::any::TypeId;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::statuses;
use crate::api::agent::SEQUENCE_HEADER;
use crate::api::endpoint::{Access, Bytes, Endpoint, Nothing, Pace, Row};

/// The operation of an endpoint.
pub(super) fn of<E: Endpoint>(schemas: &mut SchemaGenerator) -> Value {
    let row = &E::ROW;
    let body = body::<E>(schemas);
    let mut operation = json!({
        "operationId": row.name,
        "summary": row.doc,
        "tags": [tag(row)],
        "security": security(row.access),
        "parameters": parameters::<E>(schemas),
        "responses": responses::<E>(schemas, body.is_some()),
    });
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    if let Some(action) = row.access.action() {
        operation["x-orch-action"] = action.as_str().into();
        if let Some(role) = action.least_role() {
            operation["x-orch-role"] = role.as_str().into();
            operation["description"] = format!("Needs the role `{role}`.").into();
        }
    }
    operation
}

/// The first word of the path behind the version.
fn tag(row: &Row) -> &'static str {
    let path = row.path.strip_prefix("/v1").unwrap_or(row.path);
    path.split('/').nth(1).unwrap_or_default().split('.').next().unwrap_or_default()
}

fn security(access: Access) -> Value {
    match access {
        Access::Open => json!([]),
        Access::User(_) => json!([{"user": []}]),
        Access::Registration => json!([{"registration": []}, {"registrationHeader": []}]),
        Access::Node => json!([{"node": []}]),
    }
}

fn body<E: Endpoint>(schemas: &mut SchemaGenerator) -> Option<Value> {
    let request = TypeId::of::<E::Request>();
    if request == TypeId::of::<Nothing>() {
        return None;
    }
    if request == TypeId::of::<Bytes>() {
        return Some(json!({"content": {"application/octet-stream": {}}}));
    }
    let schema = schemas.subschema_for::<E::Request>();
    Some(json!({"required": true, "content": {"application/json": {"schema": schema}}}))
}

fn responses<E: Endpoint>(schemas: &mut SchemaGenerator, takes_a_body: bool) -> Value {
    let row = &E::ROW;
    let mut responses = Map::new();
    let response = TypeId::of::<E::Response>();
    let mut content = Map::new();
    if response == TypeId::of::<Bytes>() {
        content.extend(streamed(row.name));
    } else if response != TypeId::of::<Nothing>() {
        let schema = schemas.subschema_for::<E::Response>();
        content.insert("application/json".to_owned(), json!({"schema": schema}));
        if row.pace == Pace::Stream {
            content.extend(streamed(row.name));
        }
    }
    let mut success = json!({"description": "It went well."});
    if !content.is_empty() {
        success["content"] = Value::Object(content);
    }
    responses.insert(row.status.to_string(), success);
    for status in statuses::of(row, takes_a_body) {
        responses.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{status}")}));
    }
    Value::Object(responses)
}

/// The forms of what is no JSON, or goes on: lines each of the schema that is named.
fn streamed(name: &str) -> Vec<(String, Value)> {
    let text = || ("text/plain".to_owned(), json!({"schema": {"type": "string"}}));
    let lines = |schema: &str| {
        let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
        ("application/x-ndjson".to_owned(), json!({"schema": {"type": "string"}, "x-orch-line": schema}))
    };
    match name {
        "Metrics" => vec![text()],
        "GetLogs" => vec![text(), lines("LogFrame")],
        "ListEvents" => vec![lines("EventFrame")],
        _ => vec![("application/octet-stream".to_owned(), json!({}))],
    }
}

fn parameters<E: Endpoint>(schemas: &mut SchemaGenerator) -> Vec<Value> {
    let row = &E::ROW;
    let mut parameters: Vec<Value> = row.path.split('/').filter_map(of_path).collect();
    parameters.extend(of_query::<E::Query>(schemas));
    let shared = |name: &str| json!({"$ref": format!("#/components/parameters/{name}")});
    match row.access {
        Access::Open | Access::Registration => {}
        Access::User(_) => {
            parameters.extend([shared("namespace"), shared("X-Orch-Namespace")]);
            if !row.is_read() && row.pace == Pace::Prompt {
                parameters.push(shared("Idempotency-Key"));
            }
        }
        Access::Node => parameters.push(shared(SEQUENCE_HEADER)),
    }
    if matches!(row.name, "Apply" | "Plan" | "UpdateService" | "ScaleService") {
        parameters.push(shared("If-Match"));
    }
    parameters
}

/// `{id}` is the id of whatever the segment before names.
fn of_path(segment: &str) -> Option<Value> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    let schema = match name {
        "id" => json!({"type": "string", "format": "uuid"}),
        _ => json!({"type": "string", "minLength": 1}),
    };
    Some(json!({"name": name, "in": "path", "required": true, "schema": schema}))
}

/// The fields of a query, each a parameter.
fn of_query<Q: JsonSchema>(schemas: &mut SchemaGenerator) -> Vec<Value> {
    let schema = Q::json_schema(schemas).to_value();
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|of| of == name));
    let fields = schema["properties"].as_object().into_iter().flatten();
    let parameter = |(name, field): (&String, &Value)| {
        let mut field = field.clone();
        let description = field.as_object_mut().and_then(|field| field.remove("description"));
        // What is left out of a query is no null.
        if let Some(types) = field["type"].as_array() {
            field["type"] = types.iter().find(|of| *of != "null").cloned().unwrap_or_default();
        }
        if field["default"].is_null() {
            field.as_object_mut().and_then(|field| field.remove("default"));
        }
        json!({"name": name, "in": "query", "required": required(name), "description": description, "schema": field})
    };
    fields.map(parameter).collect()
}

/// Parameters that several operations take.
pub(super) fn shared_parameters() -> Value {
    let one = |name: &str, of: &str, description: &str, schema: Value| json!({"name": name, "in": of, "required": false, "description": description, "schema": schema});
    let name = || json!({"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"});
    json!({
        "namespace": one("namespace", "query", "The namespace, where the header does not say; `default` if neither does.", name()),
        "X-Orch-Namespace": one("X-Orch-Namespace", "header", "The namespace.", name()),
        "Idempotency-Key": one("Idempotency-Key", "header",
            "A request that is repeated under its key within 24 hours is carried out once.",
            json!({"type": "string", "pattern": "^[!-~]{1,128}$"})),
        "If-Match": one("If-Match", "header", "The `revision` that the service must still have; quotes are ignored.",
            json!({"type": "string", "pattern": "^[0-9]{1,19}$"})),
        SEQUENCE_HEADER: one(SEQUENCE_HEADER, "header", "Counts up over a node's requests: an older one is refused.",
            json!({"type": "integer", "minimum": 0})),
    })
}
