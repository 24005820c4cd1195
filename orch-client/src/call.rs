//! One logical call: typed by its endpoint, safe to repeat where the table or a key makes it so.

use std::any::TypeId;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use orch_core::api::endpoint::{self, Endpoint, Nothing, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::error::ClientError;
use crate::transport::retry::fresh_key;
use crate::transport::{Answer, Outgoing};

/// What goes with a call besides path, query and body.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// Only if the object is still at this revision; else 409.
    pub if_match: Option<u64>,
    /// The `Idempotency-Key`. Left out, the client makes one for each call, so that its own retries are safe; a caller that
    /// repeats a call across its own crashes gives one that it keeps.
    pub idempotency_key: Option<String>,
}

impl Client {
    /// Calls an endpoint of the table: `path` fills its placeholders in order.
    ///
    /// # Errors
    /// See [`ClientError`]. Calls that cannot do harm twice are tried again as the client's policy says.
    pub async fn call<E: Endpoint>(
        &self,
        path: &[&str],
        query: &E::Query,
        body: &E::Request,
    ) -> Result<E::Response, ClientError> {
        self.call_with::<E>(path, query, body, &CallOptions::default()).await
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call_with<E: Endpoint>(
        &self,
        path: &[&str],
        query: &E::Query,
        body: &E::Request,
        options: &CallOptions,
    ) -> Result<E::Response, ClientError> {
        let mut headers = self.headers();
        if !E::ROW.is_read() && E::ROW.method != endpoint::Method::Delete {
            let key = options.idempotency_key.clone().unwrap_or_else(fresh_key);
            headers.insert("idempotency-key", header("idempotency key", &key)?);
        }
        if let Some(revision) = options.if_match {
            headers.insert("if-match", header("revision", &format!("\"{revision}\""))?);
        }
        let request = outgoing::<E>(path, query, body, headers, self.timeout)?;
        let answer = self.transport.exchange(&request, &self.retry).await?;
        decode(&answer)
    }
}

fn header(what: &str, text: &str) -> Result<HeaderValue, ClientError> {
    HeaderValue::from_str(text).map_err(|_| ClientError::Request(format!("the {what} is no header's value")))
}

/// The request of an endpoint. Every one may be repeated: reads do nothing, writes of users carry a key, removals and what
/// agents say mean the same twice.
pub(crate) fn outgoing<E: Endpoint>(
    path: &[&str],
    query: &E::Query,
    body: &E::Request,
    headers: HeaderMap,
    timeout: std::time::Duration,
) -> Result<Outgoing, ClientError> {
    let body = if TypeId::of::<E::Request>() == TypeId::of::<Nothing>() {
        Bytes::new()
    } else {
        serde_json::to_vec(body).map_err(|e| ClientError::Request(e.to_string()))?.into()
    };
    Ok(Outgoing {
        method: method(&E::ROW),
        path_and_query: path_and_query(&E::ROW, path, query)?,
        headers,
        body,
        timeout,
        repeatable: true,
    })
}

pub(crate) fn method(row: &Row) -> Method {
    match row.method {
        endpoint::Method::Get => Method::GET,
        endpoint::Method::Post => Method::POST,
        endpoint::Method::Put => Method::PUT,
        endpoint::Method::Delete => Method::DELETE,
    }
}

pub(crate) fn path_and_query(
    row: &Row,
    path: &[&str],
    query: &impl Serialize,
) -> Result<String, ClientError> {
    if path.iter().any(|value| value.is_empty()) {
        return Err(ClientError::Request(format!("an id or name is empty; expected {}", row.path)));
    }
    let mut text = row.path_with(path);
    let value = serde_json::to_value(query).map_err(|e| ClientError::Request(e.to_string()))?;
    let mut separator = '?';
    for (name, value) in value.as_object().into_iter().flatten() {
        let value = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        text.push(separator);
        separator = '&';
        text.push_str(&encode(name));
        text.push('=');
        text.push_str(&encode(&value));
    }
    Ok(text)
}

fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Reads an answer of success. No body reads as an empty object.
pub(crate) fn decode<T: DeserializeOwned>(answer: &Answer) -> Result<T, ClientError> {
    let body: &[u8] = if answer.body.is_empty() { b"{}" } else { &answer.body };
    serde_json::from_slice(body).map_err(|error| ClientError::Protocol {
        server: answer.server.clone(),
        problem: format!("status {}, but {error}", answer.status.as_u16()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_core::api::endpoint::{GetNode, ListEvents};
    use orch_core::api::event::EventsQuery;

    #[test]
    fn paths_and_queries_are_encoded_and_what_is_unset_is_left_out() {
        let query = EventsQuery {
            kind: Some("task.failed".to_owned()),
            since: Some("2026-01-02T03:04:05+01:00".to_owned()),
            ..EventsQuery::default()
        };
        assert_eq!(
            path_and_query(&ListEvents::ROW, &[], &query).unwrap(),
            "/v1/events?since=2026-01-02T03%3A04%3A05%2B01%3A00&type=task.failed"
        );
        assert_eq!(path_and_query(&GetNode::ROW, &["a/../b"], &Nothing {}).unwrap(), "/v1/nodes/a%2F..%2Fb");
        assert!(path_and_query(&GetNode::ROW, &[""], &Nothing {}).is_err());
    }
}
