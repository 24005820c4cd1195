//! [`HttpAgentApi`]: what an agent asks of a control plane, over HTTP.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use orch_core::agent::{
    AgentApi, AgentApiError, Authority, DesiredSet, DesiredVersion, Heartbeat, HeartbeatAnswer,
    RegisterRequest, Registered, ReportAnswer, TicketId,
};
use orch_core::api::agent as wire;
use orch_core::api::endpoint::{
    AgentChallenge, AgentDesired, AgentHeartbeat, AgentInput, AgentRegister, AgentReports, AgentSecrets,
    AgentStream, Endpoint, Nothing,
};
use orch_core::id::TaskId;
use orch_core::identity::Challenge;
use orch_core::name::NodeName;
use orch_core::secret::ResolvedSecrets;
use orch_core::task::TaskReport;

use crate::call::{decode, method, outgoing, path_and_query};
use crate::client::{ClientBuilder, bearer};
use crate::error::ClientError;
use crate::transport::retry::RetryPolicy;
use crate::transport::{Answer, Transport};

/// An agent's side of the agent routes. Connections are kept; a server that does not answer is passed over for the next.
///
/// A call is never delayed for a retry here: the agent's loop has its own back-off, and knows what is newer by then.
pub struct HttpAgentApi {
    transport: Transport,
    timeout: Duration,
    /// What the server showed on the connection that the last challenge came over.
    certificate: Mutex<Option<[u8; 32]>>,
}

impl HttpAgentApi {
    /// From the settings of a client; its token and namespace mean nothing here.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn new(settings: &ClientBuilder) -> Result<Self, ClientError> {
        Ok(Self {
            transport: settings.transport()?,
            timeout: settings.timeout(),
            certificate: Mutex::new(None),
        })
    }

    async fn send<E: Endpoint>(
        &self,
        path: &[&str],
        query: &E::Query,
        body: &E::Request,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Result<Answer, AgentApiError> {
        let request = outgoing::<E>(path, query, body, headers, timeout).map_err(agent_error)?;
        self.transport.exchange(&request, &RetryPolicy::one_round()).await.map_err(agent_error)
    }

    async fn call<E: Endpoint>(
        &self,
        path: &[&str],
        query: &E::Query,
        body: &E::Request,
        headers: HeaderMap,
    ) -> Result<E::Response, AgentApiError> {
        let answer = self.send::<E>(path, query, body, headers, self.timeout).await?;
        decode(&answer).map_err(agent_error)
    }
}

fn authorized(authority: &Authority) -> Result<HeaderMap, AgentApiError> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, bearer(&authority.credential).map_err(agent_error)?);
    if let Some(sequence) = authority.sequence {
        headers.insert(wire::SEQUENCE_HEADER, HeaderValue::from(sequence));
    }
    Ok(headers)
}

fn of_node(authority: &Authority) -> wire::NodeQuery {
    wire::NodeQuery { node_id: authority.node.to_string() }
}

#[async_trait]
impl AgentApi for HttpAgentApi {
    async fn challenge(&self, name: &NodeName) -> Result<Challenge, AgentApiError> {
        let request = wire::ChallengeRequest { node_name: name.to_string() };
        let headers = HeaderMap::new();
        let answer = self.send::<AgentChallenge>(&[], &Nothing {}, &request, headers, self.timeout).await?;
        *self.certificate.lock().unwrap_or_else(PoisonError::into_inner) = answer.certificate;
        decode(&answer).map_err(agent_error)
    }

    async fn register(&self, request: RegisterRequest) -> Result<Registered, AgentApiError> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &request.token {
            let mut value = HeaderValue::from_str(token.expose()).map_err(|_| {
                AgentApiError::Refused(
                    "the registration token holds characters that no header may have".to_owned(),
                )
            })?;
            value.set_sensitive(true);
            headers.insert(wire::BOOTSTRAP_HEADER, value);
        }
        let body = wire::RegisterRequest::of(&request.claim, request.key);
        let answer = self.call::<AgentRegister>(&[], &Nothing {}, &body, headers).await?;
        answer.into_registered().map_err(unusable)
    }

    async fn heartbeat(
        &self,
        authority: &Authority,
        heartbeat: Heartbeat,
    ) -> Result<HeartbeatAnswer, AgentApiError> {
        let body = wire::HeartbeatRequest::of(authority.node, &heartbeat);
        let answer = self.call::<AgentHeartbeat>(&[], &Nothing {}, &body, authorized(authority)?).await?;
        answer.into_heartbeat().map_err(unusable)
    }

    async fn desired(
        &self,
        authority: &Authority,
        have: Option<DesiredVersion>,
        wait: Duration,
    ) -> Result<DesiredSet, AgentApiError> {
        let query = wire::DesiredQuery::of(authority.node, have, wait);
        let timeout = self.timeout + wait.min(wire::MAX_POLL);
        let headers = authorized(authority)?;
        let answer = self.send::<AgentDesired>(&[], &query, &Nothing {}, headers, timeout).await?;
        decode(&answer).map_err(agent_error)
    }

    async fn report(
        &self,
        authority: &Authority,
        reports: Vec<TaskReport>,
    ) -> Result<ReportAnswer, AgentApiError> {
        let sent = reports.len();
        let body = wire::ReportsRequest { node_id: authority.node, reports };
        let answer = self.call::<AgentReports>(&[], &Nothing {}, &body, authorized(authority)?).await?;
        if answer.verdicts.len() != sent {
            return Err(unusable(wire::Unusable("verdicts")));
        }
        Ok(answer.into())
    }

    async fn secrets(&self, authority: &Authority, task: TaskId) -> Result<ResolvedSecrets, AgentApiError> {
        let (path, query) = (task.to_string(), of_node(authority));
        let answer = self.call::<AgentSecrets>(&[&path], &query, &Nothing {}, authorized(authority)?).await?;
        Ok(answer.into())
    }

    async fn deliver(
        &self,
        authority: &Authority,
        ticket: TicketId,
        stream: BoxStream<'static, Result<Bytes, std::io::Error>>,
    ) -> Result<(), AgentApiError> {
        let row = AgentStream::ROW;
        let target = path_and_query(&row, &[&ticket.0], &of_node(authority)).map_err(agent_error)?;
        let frames = stream.map(|chunk| chunk.map(Frame::data).map_err(orch_core::BoxError::from));
        let body = StreamBody::new(frames).boxed_unsync();
        let headers = authorized(authority)?;
        self.transport.upload(method(&row), &target, headers, body).await.map_err(agent_error)
    }

    async fn input(
        &self,
        authority: &Authority,
        ticket: TicketId,
    ) -> Result<BoxStream<'static, Result<Bytes, std::io::Error>>, AgentApiError> {
        let (query, headers) = (of_node(authority), authorized(authority)?);
        let request = outgoing::<AgentInput>(&[&ticket.0], &query, &Nothing {}, headers, self.timeout);
        let opened = self.transport.open(&request.map_err(agent_error)?, &RetryPolicy::one_round()).await;
        let (_, body) = opened.map_err(agent_error)?;
        Ok(body.into_data_stream().map(|piece| piece.map_err(std::io::Error::other)).boxed())
    }

    fn server_certificate(&self) -> Option<[u8; 32]> {
        *self.certificate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unusable(error: wire::Unusable) -> AgentApiError {
    AgentApiError::Unavailable { retry_after: None, cause: error.into() }
}

/// What the agent does next, by what went wrong.
fn agent_error(error: ClientError) -> AgentApiError {
    match error {
        ClientError::Config { .. } | ClientError::Request(_) => AgentApiError::Refused(error.to_string()),
        ClientError::Unreachable { .. }
        | ClientError::Broken { .. }
        | ClientError::Timeout { .. }
        | ClientError::Protocol { .. } => {
            AgentApiError::Unavailable { retry_after: None, cause: error.into() }
        }
        ClientError::Api(answer) => match answer.code.as_str() {
            "credential_expired" => AgentApiError::CredentialExpired,
            "credential_superseded" => AgentApiError::CredentialSuperseded,
            "node_reset" => AgentApiError::NodeReset,
            "node_revoked" => AgentApiError::NodeRevoked,
            "node_active" => AgentApiError::NodeActive,
            _ => match answer.status {
                401 => AgentApiError::Unauthorized,
                408 | 425 | 429 | 500.. => {
                    AgentApiError::Unavailable { retry_after: answer.retry_after, cause: answer }
                }
                _ => AgentApiError::Refused(answer.message),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ApiError;

    fn mapped(status: u16, code: &str) -> AgentApiError {
        agent_error(ClientError::from(ApiError {
            status,
            code: code.to_owned(),
            message: "words".to_owned(),
            request_id: None,
            details: serde_json::Value::Null,
            retry_after: Some(Duration::from_secs(2)),
        }))
    }

    #[test]
    fn every_code_says_what_the_agent_does_next() {
        assert!(matches!(mapped(401, "credential_expired"), AgentApiError::CredentialExpired));
        assert!(matches!(mapped(401, "credential_superseded"), AgentApiError::CredentialSuperseded));
        assert!(matches!(mapped(401, "node_reset"), AgentApiError::NodeReset));
        assert!(matches!(mapped(401, "node_revoked"), AgentApiError::NodeRevoked));
        assert!(matches!(mapped(409, "node_active"), AgentApiError::NodeActive));
        assert!(matches!(mapped(401, "unauthorized"), AgentApiError::Unauthorized));
        assert!(matches!(mapped(400, "invalid_argument"), AgentApiError::Refused(m) if m == "words"));
        for (status, code) in
            [(503, "unavailable"), (500, "uncertain"), (429, "too_many_requests"), (502, "http_502")]
        {
            let AgentApiError::Unavailable { retry_after, .. } = mapped(status, code) else {
                panic!("{code}")
            };
            assert_eq!(retry_after, Some(Duration::from_secs(2)));
        }
    }
}
