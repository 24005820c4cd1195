//! Users, their API tokens, and what one may.

use axum::extract::State;
use orch_core::api::endpoint::{self as ep, Nothing};
use orch_core::api::user::{
    AccessAnswer, ApiTokenMade, ApiTokensAnswer, User, UserAnswer, UsersAnswer, parse_token, parse_user,
};
use orch_core::cluster::Cluster;
use orch_core::command::{self, Rejection};
use orch_core::control_plane::query::{ReadUsers, ReadVersion};
use orch_core::identity::Scope;
use orch_core::identity::action::Reach;
use orch_core::name::Subject;
use orch_core::user::{self, UserStatus};

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::super::error::ApiError;
use super::Reply;

fn shown(cluster: &Cluster, row: &user::User) -> User {
    User::of(row, cluster.api_tokens_of(&row.name).count())
}

fn find<'c>(cluster: &'c Cluster, name: &Subject) -> Result<&'c user::User, ApiError> {
    let known = cluster.user(name).filter(|user| user.status != UserStatus::Removed);
    known.map(AsRef::as_ref).ok_or_else(|| Rejection::not_found("user", name).into())
}

pub(crate) async fn list(
    State(app): State<App>,
    call: Call<ep::ListUsers, ReadUsers>,
) -> Reply<ep::ListUsers> {
    let view = app.control.read(&call.permit);
    let known = view.cluster().users().filter(|user| user.status != UserStatus::Removed);
    Ok(Answer(UsersAnswer { users: known.map(|user| shown(view.cluster(), user)).collect() }))
}

pub(crate) async fn get(State(app): State<App>, call: Call<ep::GetUser, ReadUsers>) -> Reply<ep::GetUser> {
    let view = app.control.read(&call.permit);
    let user = find(view.cluster(), &parse_user(call.param("name"))?)?;
    Ok(Answer(UserAnswer { user: shown(view.cluster(), user) }))
}

pub(crate) async fn create(
    State(app): State<App>,
    call: Call<ep::CreateUser, command::CreateUser>,
) -> Reply<ep::CreateUser> {
    let (name, kind, grants) = call.body.parse()?;
    let command = command::CreateUser { name, kind, grants };
    let user = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(UserAnswer { user: shown(&app.control.image(), &user) }))
}

pub(crate) async fn set_role(
    State(app): State<App>,
    call: Call<ep::SetUserRole, command::SetUserRole>,
) -> Reply<ep::SetUserRole> {
    let name = parse_user(call.param("name"))?;
    let command = command::SetUserRole { name, grants: call.body.parse()? };
    let user = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(UserAnswer { user: shown(&app.control.image(), &user) }))
}

pub(crate) async fn disable(
    State(app): State<App>,
    call: Call<ep::DisableUser, command::DisableUser>,
) -> Reply<ep::DisableUser> {
    let command = command::DisableUser { name: parse_user(call.param("name"))? };
    let user = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(UserAnswer { user: shown(&app.control.image(), &user) }))
}

pub(crate) async fn enable(
    State(app): State<App>,
    call: Call<ep::EnableUser, command::EnableUser>,
) -> Reply<ep::EnableUser> {
    let command = command::EnableUser { name: parse_user(call.param("name"))? };
    let user = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(UserAnswer { user: shown(&app.control.image(), &user) }))
}

pub(crate) async fn revoke_tokens(
    State(app): State<App>,
    call: Call<ep::RevokeUserTokens, command::RevokeUserTokens>,
) -> Reply<ep::RevokeUserTokens> {
    let command = command::RevokeUserTokens { name: parse_user(call.param("name"))? };
    let user = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(UserAnswer { user: shown(&app.control.image(), &user) }))
}

pub(crate) async fn remove(
    State(app): State<App>,
    call: Call<ep::RemoveUser, command::RemoveUser>,
) -> Reply<ep::RemoveUser> {
    let command = command::RemoveUser { name: parse_user(call.param("name"))? };
    app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(Nothing {}))
}

pub(crate) async fn tokens(
    State(app): State<App>,
    call: Call<ep::ListApiTokens, ReadUsers>,
) -> Reply<ep::ListApiTokens> {
    let view = app.control.read(&call.permit);
    let user = find(view.cluster(), &parse_user(call.param("name"))?)?;
    let mut tokens: Vec<_> = view.cluster().api_tokens_of(&user.name).collect();
    tokens.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Answer(ApiTokensAnswer {
        api_tokens: tokens.into_iter().map(|token| token.as_ref().into()).collect(),
    }))
}

pub(crate) async fn create_token(
    State(app): State<App>,
    call: Call<ep::CreateApiToken, command::CreateApiToken>,
) -> Reply<ep::CreateApiToken> {
    let user = parse_user(call.param("name"))?;
    let (name, ttl) = call.body.parse()?;
    let (made, token) = app.control.create_api_token(call.permit, user, name, ttl, call.options).await?;
    // The one answer that holds it.
    Ok(Answer(ApiTokenMade { api_token: made.as_ref().into(), token: token.expose().clone() }))
}

pub(crate) async fn revoke_token(
    State(app): State<App>,
    call: Call<ep::RevokeApiToken, command::RevokeApiToken>,
) -> Reply<ep::RevokeApiToken> {
    let (user, name) = (parse_user(call.param("name"))?, parse_token(call.param("token"))?);
    app.control.execute_with(call.permit, command::RevokeApiToken { user, name }, call.options).await?;
    Ok(Answer(Nothing {}))
}

/// By the same authorizer that every request is asked of.
pub(crate) async fn access(
    State(app): State<App>,
    call: Call<ep::GetAccess, ReadVersion>,
) -> Reply<ep::GetAccess> {
    let action = call.query.parse()?;
    let scope = match action.reach() {
        Reach::Namespace => Scope::Namespace(call.namespace.clone()),
        Reach::Cluster | Reach::Node => Scope::Cluster,
    };
    let namespace = (action.reach() == Reach::Namespace).then(|| call.namespace.to_string());
    let denied = app.control.may(&call.principal, action, &scope).err();
    Ok(Answer(AccessAnswer {
        allowed: denied.is_none(),
        action: action.as_str().to_owned(),
        namespace,
        reason: denied.map(|denied| denied.reason),
    }))
}
