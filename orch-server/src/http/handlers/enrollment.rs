//! Tokens that admit nodes.

use std::time::Duration;

use axum::extract::State;
use orch_core::api::endpoint as ep;
use orch_core::api::enrollment::{
    EnrollmentToken, EnrollmentTokenAnswer, EnrollmentTokensAnswer, NewEnrollmentTokenAnswer,
};
use orch_core::api::node::{Node, NodeAnswer};
use orch_core::command::approve_node_key::DEFAULT_APPROVAL;
use orch_core::command::{self, FieldPath, Rejection};
use orch_core::control_plane::query::ReadEnrollmentTokens;
use orch_core::identity::InvalidFingerprint;

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::Reply;

pub(crate) async fn create(
    State(app): State<App>,
    call: Call<ep::CreateEnrollmentToken, command::CreateEnrollmentToken>,
) -> Reply<ep::CreateEnrollmentToken> {
    let request = call.body.parse(app.inner.server_pin)?;
    let (row, token) = app.control.create_enrollment_token(call.permit, request, call.options).await?;
    let enrollment_token = EnrollmentToken::view(&row, app.control.now());
    Ok(Answer(NewEnrollmentTokenAnswer { token: token.into(), enrollment_token }))
}

pub(crate) async fn list(
    State(app): State<App>,
    call: Call<ep::ListEnrollmentTokens, ReadEnrollmentTokens>,
) -> Reply<ep::ListEnrollmentTokens> {
    let view = app.control.read(&call.permit);
    let mut rows: Vec<_> = view.cluster().enrollment_tokens().collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
    let enrollment_tokens = rows.into_iter().map(|row| EnrollmentToken::view(row, view.now())).collect();
    Ok(Answer(EnrollmentTokensAnswer { enrollment_tokens }))
}

pub(crate) async fn revoke(
    State(app): State<App>,
    call: Call<ep::RevokeEnrollmentToken, command::RevokeEnrollmentToken>,
) -> Reply<ep::RevokeEnrollmentToken> {
    let command = command::RevokeEnrollmentToken { token: call.id()? };
    let row = app.control.execute_with(call.permit, command, call.options).await?;
    let enrollment_token = EnrollmentToken::view(&row, app.control.now());
    Ok(Answer(EnrollmentTokenAnswer { enrollment_token }))
}

pub(crate) async fn approve_key(
    State(app): State<App>,
    call: Call<ep::ApproveNodeKey, command::ApproveNodeKey>,
) -> Reply<ep::ApproveNodeKey> {
    let fingerprint = call.body.fingerprint.parse().map_err(|error: InvalidFingerprint| {
        let expected = "sha256: and 64 hexadecimal digits";
        Rejection::invalid(FieldPath::new("fingerprint"), error.to_string(), expected)
    })?;
    let within = call.body.within_seconds.map_or(DEFAULT_APPROVAL, Duration::from_secs);
    let command = command::ApproveNodeKey { node: call.id()?, fingerprint, within };
    let node = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(NodeAnswer { node: Node::view(&app.control.image(), &node, None) }))
}
