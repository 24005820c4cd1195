//! [`NodeCall`] and [`EnrollCall`]: what machines ask. Who a node is, the control plane finds out from what it shows; here
//! it is only taken from the request.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::request::Parts;
use orch_core::agent::{AgentApi, Authority};
use orch_core::api::agent::{BOOTSTRAP_HEADER, SEQUENCE_HEADER};
use orch_core::api::endpoint::{Access, Endpoint};
use orch_core::command::{FieldPath, Rejection};
use orch_core::control_plane::AgentConnection;
use orch_core::id::NodeId;
use orch_core::secret::Secret;

use super::call::{bearer, context, param, path_params};
use super::error::ApiError;
use super::{App, Peer, body};

/// A request that shows a node's credential.
pub(crate) struct NodeCall<E: Endpoint> {
    /// The control plane, over this connection.
    pub(crate) api: Arc<dyn AgentApi>,
    /// What followed `?`.
    pub(crate) query: E::Query,
    /// What was sent.
    pub(crate) body: E::Request,
    credential: Secret<String>,
    sequence: Option<u64>,
    params: Vec<(String, String)>,
}

impl<E: Endpoint> NodeCall<E> {
    /// What is shown, for the node that the request names.
    pub(crate) fn authority(&self, node: NodeId) -> Authority {
        Authority { node, credential: self.credential.clone(), sequence: self.sequence }
    }

    /// Something that varies in the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        param(&self.params, name)
    }

    /// All but the body.
    async fn open(parts: &mut Parts, app: &App, body: E::Request) -> Result<Self, ApiError> {
        Ok(Self {
            credential: credential(&parts.headers)?,
            sequence: sequence(&parts.headers)?,
            api: app.control.agent_api(connection(parts, app)),
            query: body::query::<E>(&parts.uri)?,
            params: path_params(parts).await?,
            body,
        })
    }

    /// For endpoints whose body is a stream: it is not touched.
    pub(crate) async fn streaming(
        request: Request,
        app: &App,
        body: E::Request,
    ) -> Result<(Self, axum::body::Body), ApiError> {
        let (mut parts, stream) = request.into_parts();
        Ok((Self::open(&mut parts, app, body).await?, stream))
    }
}

impl<E: Endpoint> FromRequest<App> for NodeCall<E> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        const { assert!(matches!(E::ROW.access, Access::Node), "the endpoint is not for nodes") }
        let (mut parts, sent) = request.into_parts();
        // Whoever shows nothing is not read.
        credential(&parts.headers)?;
        let bytes = if body::takes_a_body::<E>() {
            body::read(Request::new(sent), app.inner.limits.body_bytes).await?
        } else {
            bytes::Bytes::new()
        };
        Self::open(&mut parts, app, body::parse::<E>(&bytes)?).await
    }
}

/// A request of a machine that wants to be a node.
pub(crate) struct EnrollCall<E: Endpoint> {
    /// The control plane, over this connection.
    pub(crate) api: Arc<dyn AgentApi>,
    /// What was sent.
    pub(crate) body: E::Request,
    /// The registration token, if one is shown.
    pub(crate) token: Option<Secret<String>>,
}

impl<E: Endpoint> FromRequest<App> for EnrollCall<E> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        const { assert!(matches!(E::ROW.access, Access::Registration), "the endpoint is not for enrolment") }
        let (parts, sent) = request.into_parts();
        let token = registration_token(&parts.headers);
        let api = app.control.agent_api(connection(&parts, app));
        let bytes = body::read(Request::new(sent), app.inner.limits.body_bytes).await?;
        Ok(Self { api, body: body::parse::<E>(&bytes)?, token })
    }
}

fn credential(headers: &HeaderMap) -> Result<Secret<String>, ApiError> {
    bearer(headers).ok_or_else(|| ApiError::unauthorized("not authorized"))
}

fn sequence(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(SEQUENCE_HEADER) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong = || Rejection::invalid(FieldPath::new(SEQUENCE_HEADER), "not a number", "a whole number");
    Ok(Some(number.ok_or_else(wrong)?))
}

/// The token in its own header, else in `Authorization`, there with or without `Bearer`.
fn registration_token(headers: &HeaderMap) -> Option<Secret<String>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let own = text(BOOTSTRAP_HEADER).filter(|token| !token.is_empty());
    let plain = || text("authorization").filter(|token| !token.is_empty() && !token.contains(' '));
    own.map(|token| Secret::new(token.to_owned()))
        .or_else(|| bearer(headers))
        .or_else(|| plain().map(|token| Secret::new(token.to_owned())))
}

fn connection(parts: &Parts, app: &App) -> AgentConnection {
    AgentConnection {
        peer: parts.extensions.get::<Peer>().and_then(|peer| peer.certificate.clone()),
        server_certificate: app.inner.server_certificate,
        context: context(parts),
    }
}
