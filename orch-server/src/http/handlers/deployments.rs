//! Deployments; the routes call them rollouts.

use std::sync::Arc;

use axum::extract::State;
use orch_core::api::deployment::{DeploymentAnswer, SteerQuery};
use orch_core::api::endpoint::{self as ep, Endpoint};
use orch_core::command::{self, Command, Rejection};
use orch_core::control_plane::query::ReadServices;
use orch_core::deployment::Deployment;
use orch_core::id::{DeploymentId, ServiceId};
use orch_core::record::Remark;
use orch_core::service::Version;

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::{Reply, service};

pub(crate) async fn roll_out(
    State(app): State<App>,
    call: Call<ep::RollOut, command::RollOut>,
) -> Reply<ep::RollOut> {
    let (image, limits) = call.body.parse()?;
    let (max_unavailable, max_surge) = limits.unzip();
    let command = command::RollOut { service: call.id()?, image, max_unavailable, max_surge };
    let deployment = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(DeploymentAnswer { deployment: deployment.as_ref().into() }))
}

pub(crate) async fn roll_back(
    State(app): State<App>,
    call: Call<ep::RollBack, command::RollBack>,
) -> Reply<ep::RollBack> {
    let command = command::RollBack { service: call.id()?, to_version: call.query.to_version.map(Version) };
    let deployment = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(DeploymentAnswer { deployment: deployment.as_ref().into() }))
}

/// Carries out a command on the rollout under way of the service of the path.
async fn steer<E, C>(
    app: App,
    call: Call<E, C>,
    command: impl FnOnce(ServiceId, Option<Remark>) -> C,
) -> Reply<E>
where
    E: Endpoint<Query = SteerQuery, Response = DeploymentAnswer>,
    C: Command<Output = Arc<Deployment>>,
{
    let command = command(call.id()?, call.query.parse()?);
    let deployment = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(DeploymentAnswer { deployment: deployment.as_ref().into() }))
}

pub(crate) async fn pause(
    State(app): State<App>,
    call: Call<ep::PauseRollout, command::PauseRollout>,
) -> Reply<ep::PauseRollout> {
    steer(app, call, |service, because| command::PauseRollout { service, because }).await
}

pub(crate) async fn go_on(
    State(app): State<App>,
    call: Call<ep::ContinueRollout, command::ContinueRollout>,
) -> Reply<ep::ContinueRollout> {
    steer(app, call, |service, because| command::ContinueRollout { service, because }).await
}

pub(crate) async fn abort(
    State(app): State<App>,
    call: Call<ep::AbortRollout, command::AbortRollout>,
) -> Reply<ep::AbortRollout> {
    steer(app, call, |service, because| command::AbortRollout { service, because }).await
}

pub(crate) async fn restart(
    State(app): State<App>,
    call: Call<ep::RestartService, command::RestartService>,
) -> Reply<ep::RestartService> {
    steer(app, call, |service, because| command::RestartService { service, because }).await
}

pub(crate) async fn newest(
    State(app): State<App>,
    call: Call<ep::GetServiceRollout, ReadServices>,
) -> Reply<ep::GetServiceRollout> {
    let view = app.control.read(&call.permit);
    let service = service(&view, call.id()?)?;
    let deployments = view.cluster().deployments_of(service.id);
    let newest = deployments.last().ok_or_else(|| Rejection::not_found("rollout of service", service.id))?;
    Ok(Answer(DeploymentAnswer { deployment: newest.as_ref().into() }))
}

pub(crate) async fn get(
    State(app): State<App>,
    call: Call<ep::GetRollout, ReadServices>,
) -> Reply<ep::GetRollout> {
    let view = app.control.read(&call.permit);
    let id: DeploymentId = call.id()?;
    let found = view.cluster().deployment(id).filter(|deployment| view.visible(&deployment.namespace));
    let deployment = found.ok_or_else(|| Rejection::not_found("rollout", id))?;
    Ok(Answer(DeploymentAnswer { deployment: deployment.as_ref().into() }))
}
