//! [`Call`]: a user's request, once it is known who asks and that he may. Only then the body is read.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts as _, RawPathParams, Request};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use orch_core::api::endpoint::Endpoint;
use orch_core::command::{FieldPath, Rejection};
use orch_core::control_plane::{RequestOptions, UserChanges};
use orch_core::id::TypedId;
use orch_core::identity::action::Reach;
use orch_core::identity::{Authorized, Permit, Principal, RequestContext, Scope, UserProof};
use orch_core::name::{IdempotencyKey, Namespace};
use orch_core::record::RequestDigest;
use orch_core::secret::Secret;

use super::error::ApiError;
use super::layers::RequestId;
use super::{App, Peer, body};

/// A user's request to endpoint `E`, permitted for `C`. That `E` and `C` name the same action is checked at compile time.
pub(crate) struct Call<E: Endpoint, C> {
    /// Proof that the caller may.
    pub(crate) permit: Permit<C>,
    /// Who asks.
    pub(crate) principal: Principal,
    /// In which namespace.
    pub(crate) namespace: Namespace,
    /// What followed `?`.
    pub(crate) query: E::Query,
    /// What was sent.
    pub(crate) body: E::Request,
    /// Where it came from, and its idempotency key.
    pub(crate) options: RequestOptions,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// What tells later whether the caller still may.
    pub(crate) standing: Standing<C>,
    params: Vec<(String, String)>,
}

impl<E: Endpoint, C> Call<E, C> {
    /// The id in the path.
    pub(crate) fn id<I: TypedId<Err: std::fmt::Display>>(&self) -> Result<I, ApiError> {
        Ok(orch_core::api::parse_id(self.param("id"), "id")?)
    }

    /// Something that varies in the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        param(&self.params, name)
    }
}

impl<E: Endpoint, C: Authorized> Call<E, C> {
    /// For endpoints whose body is a stream: it is not touched.
    pub(crate) async fn streaming(
        request: Request,
        app: &App,
        body: E::Request,
    ) -> Result<(Self, axum::body::Body), ApiError> {
        const { assert!(same_action::<E, C>(), "the endpoint's row names another action than the permit is for") }
        let (mut parts, stream) = request.into_parts();
        let principal = authenticate(app, &parts).await?;
        let namespace = namespace(&parts)?;
        let scope = Scope::Namespace(namespace.clone());
        let permit = app.control.authorize::<C>(principal.clone(), scope.clone())?;
        let standing = Standing::new(app, &parts, scope);
        let params = path_params(&mut parts).await?;
        let query = body::query::<E>(&parts.uri)?;
        let options = RequestOptions { context: context(&parts), idempotency: None };
        let headers = parts.headers;
        let call = Self { permit, principal, namespace, query, body, options, headers, standing, params };
        Ok((call, stream))
    }
}

/// How often it is asked anew whether a caller still may, if nothing about users changed: his token may have ended.
const STILL_MAY: Duration = Duration::from_secs(10);

/// What a caller showed, to be looked at again.
pub(crate) struct Standing<C> {
    proof: UserProof,
    scope: Scope,
    changes: UserChanges,
    _for: std::marker::PhantomData<fn() -> C>,
}

impl<C: Authorized> Standing<C> {
    fn new(app: &App, parts: &Parts, scope: Scope) -> Self {
        let (proof, changes) = (proof(app, parts), app.control.user_changes());
        Self { proof, scope, changes, _for: std::marker::PhantomData }
    }

    /// Completes once the caller may no longer: at once when he is disabled or what he showed is taken back, and within
    /// [`STILL_MAY`] when it expires.
    pub(crate) async fn lost(mut self, app: App) {
        while self.holds(&app).await {
            tokio::select! {
                biased;
                () = self.changes.changed() => {}
                () = tokio::time::sleep(STILL_MAY) => {}
            }
        }
    }

    async fn holds(&self, app: &App) -> bool {
        let mut proof = UserProof::at(app.control.now());
        proof.bearer.clone_from(&self.proof.bearer);
        proof.peer.clone_from(&self.proof.peer);
        match app.control.authenticate(&proof).await {
            Ok(principal) => app.control.authorize::<C>(principal, self.scope.clone()).is_ok(),
            // Who cannot be asked has not said no.
            Err(orch_core::identity::AuthError::Unavailable(_)) => true,
            Err(_) => false,
        }
    }
}

const fn same_action<E: Endpoint, C: Authorized>() -> bool {
    match E::ROW.access.action() {
        Some(action) => action as u16 == C::ACTION as u16,
        None => false,
    }
}

pub(crate) fn param<'a>(params: &'a [(String, String)], name: &str) -> &'a str {
    params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

impl<E: Endpoint, C: Authorized> FromRequest<App> for Call<E, C> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        const { assert!(same_action::<E, C>(), "the endpoint's row names another action than the permit is for") }
        let (mut parts, sent) = request.into_parts();
        let principal = authenticate(app, &parts).await?;
        let namespace = namespace(&parts)?;
        let scope = match C::ACTION.reach() {
            Reach::Namespace => Scope::Namespace(namespace.clone()),
            Reach::Cluster | Reach::Node => Scope::Cluster,
        };
        let permit = app.control.authorize::<C>(principal.clone(), scope.clone())?;
        let standing = Standing::new(app, &parts, scope);
        let params = path_params(&mut parts).await?;
        let query = body::query::<E>(&parts.uri)?;
        let idempotency_key = idempotency_key(&parts.headers)?;
        let mut options = RequestOptions { context: context(&parts), idempotency: None };
        let headers = parts.headers.clone();
        let (method, uri) = (parts.method.clone(), parts.uri.clone());
        let bytes = if body::takes_a_body::<E>() {
            body::read(Request::from_parts(parts, sent), app.inner.limits.body_bytes).await?
        } else {
            bytes::Bytes::new()
        };
        options.idempotency = idempotency_key.map(|key| {
            let head = format!("{method} {uri}\n");
            let canonical = [head.as_bytes(), &bytes].concat();
            (key, RequestDigest(app.inner.request_key.request_digest(&canonical)))
        });
        let body = body::parse::<E>(&bytes)?;
        Ok(Self { permit, principal, namespace, query, body, options, headers, standing, params })
    }
}

async fn authenticate(app: &App, parts: &Parts) -> Result<Principal, ApiError> {
    Ok(app.control.authenticate(&proof(app, parts)).await?)
}

/// What a caller shows.
fn proof(app: &App, parts: &Parts) -> UserProof {
    let mut proof = UserProof::at(app.control.now());
    proof.bearer = bearer(&parts.headers);
    proof.peer = parts.extensions.get::<Peer>().and_then(|peer| peer.certificate.clone());
    proof
}

/// The token of `Authorization: Bearer …`, scheme in any case.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<Secret<String>> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| Secret::new(token.to_owned()))
}

/// The namespace of a request: header, else query, else `default`.
fn namespace(parts: &Parts) -> Result<Namespace, ApiError> {
    #[derive(serde::Deserialize)]
    struct Named {
        namespace: Option<String>,
    }
    let header =
        parts.headers.get("x-orch-namespace").map(|value| value.to_str().unwrap_or("\u{fffd}").to_owned());
    let query = || {
        let named = axum::extract::Query::<Named>::try_from_uri(&parts.uri);
        named.ok().and_then(|axum::extract::Query(named)| named.namespace)
    };
    let text = header.filter(|name| !name.trim().is_empty()).or_else(query).unwrap_or_default();
    match text.trim().to_ascii_lowercase().as_str() {
        "" => Ok(Namespace::default_namespace()),
        name => name.parse().map_err(|error: orch_core::name::InvalidName| {
            Rejection::invalid(FieldPath::new("namespace"), error.to_string(), "a namespace's name").into()
        }),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    key.map(Some).ok_or_else(|| {
        let expected = "1 to 128 printable ASCII characters";
        Rejection::invalid(FieldPath::new("Idempotency-Key"), "not a key", expected).into()
    })
}

/// Where a request came from: the peer, whatever its headers say.
pub(crate) fn context(parts: &Parts) -> RequestContext {
    RequestContext {
        request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()),
        source_ip: parts.extensions.get::<Peer>().map(|peer| peer.address.ip().to_string()),
    }
}

pub(crate) async fn path_params(parts: &mut Parts) -> Result<Vec<(String, String)>, ApiError> {
    let params = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| {
        Rejection::invalid(FieldPath::new("path"), "not UTF-8 once decoded", "percent-encoded UTF-8")
    })?;
    Ok(params.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}
