//! Deployments; the routes call them rollouts.

use axum::extract::State;
use orch_core::api::deployment::DeploymentAnswer;
use orch_core::api::endpoint as ep;
use orch_core::command::{self, Rejection};
use orch_core::control_plane::query::ReadServices;
use orch_core::id::DeploymentId;
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
