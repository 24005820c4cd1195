//! Services.

use axum::extract::State;
use http::HeaderMap;
use http::header::IF_MATCH;
use orch_core::api::apply::{ApplyAnswer, ApplyQuery};
use orch_core::api::endpoint::{self as ep, Endpoint, Nothing};
use orch_core::api::history::HistoryAnswer;
use orch_core::api::plan::PlanAnswer;
use orch_core::api::service::{Held, Service, ServiceAnswer, ServicesAnswer, SpecRequest};
use orch_core::api::why::WhyAnswer;
use orch_core::cluster::Revision;
use orch_core::command::{self, ApplyService, FieldPath, Rejection, apply_service::ApplyTarget};
use orch_core::control_plane::query::{PlanChanges, ReadServices};

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::super::error::ApiError;
use super::{Reply, service};

pub(crate) async fn create(
    State(app): State<App>,
    call: Call<ep::CreateService, command::CreateService>,
) -> Reply<ep::CreateService> {
    let command = command::CreateService { namespace: call.namespace, spec: call.body.parse()? };
    let service = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(ServiceAnswer { service: service.as_ref().into() }))
}

pub(crate) async fn list(
    State(app): State<App>,
    call: Call<ep::ListServices, ReadServices>,
) -> Reply<ep::ListServices> {
    let view = app.control.read(&call.permit);
    let services = view.cluster().services().filter(|service| view.visible(&service.namespace));
    let services = services.map(|service| Service::view(view.cluster(), service)).collect();
    Ok(Answer(ServicesAnswer { services }))
}

pub(crate) async fn get(
    State(app): State<App>,
    call: Call<ep::GetService, ReadServices>,
) -> Reply<ep::GetService> {
    let view = app.control.read(&call.permit);
    let service = Service::view(view.cluster(), service(&view, call.id()?)?);
    Ok(Answer(ServiceAnswer { service }))
}

pub(crate) async fn update(
    State(app): State<App>,
    call: Call<ep::UpdateService, ApplyService>,
) -> Reply<ep::UpdateService> {
    let target = ApplyTarget::Id(call.id()?);
    apply_to(app, call, target).await
}

pub(crate) async fn apply(State(app): State<App>, call: Call<ep::Apply, ApplyService>) -> Reply<ep::Apply> {
    apply_to(app, call, ApplyTarget::Name).await
}

pub(crate) async fn plan(State(app): State<App>, call: Call<ep::Plan, PlanChanges>) -> Reply<ep::Plan> {
    let (spec, expected) = (call.body.parse()?, if_match(&call.headers)?);
    let (namespace, target) = (call.namespace, ApplyTarget::Name);
    let command = ApplyService { namespace, target, spec, expected, dry_run: true };
    let tried = app.control.read(&call.permit).rehearse(command)?;
    Ok(Answer(PlanAnswer::from(&tried)))
}

async fn apply_to<E>(app: App, call: Call<E, ApplyService>, target: ApplyTarget) -> Reply<E>
where
    E: Endpoint<Query = ApplyQuery, Request = SpecRequest, Response = ApplyAnswer>,
{
    let (spec, expected, dry_run) = (call.body.parse()?, if_match(&call.headers)?, call.query.dry_run);
    let command = ApplyService { namespace: call.namespace, target, spec, expected, dry_run };
    let applied = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(ApplyAnswer::of(&applied, dry_run)))
}

/// The revision that the caller saw: a number, in quotes or not.
fn if_match(headers: &HeaderMap) -> Result<Option<Revision>, ApiError> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().trim_matches('"').parse().ok());
    let wrong = || Rejection::invalid(FieldPath::new("If-Match"), "not a revision", "a service's `revision`");
    Ok(Some(Revision(number.ok_or_else(wrong)?)))
}

pub(crate) async fn delete(
    State(app): State<App>,
    call: Call<ep::DeleteService, command::DeleteService>,
) -> Reply<ep::DeleteService> {
    let command = command::DeleteService { service: call.id()? };
    app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(Nothing {}))
}

pub(crate) async fn scale(
    State(app): State<App>,
    call: Call<ep::ScaleService, command::ScaleService>,
) -> Reply<ep::ScaleService> {
    let expected = if_match(&call.headers)?;
    let command = command::ScaleService { service: call.id()?, replicas: call.body.parse()?, expected };
    let service = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(ServiceAnswer { service: service.as_ref().into() }))
}

pub(crate) async fn why(State(app): State<App>, call: Call<ep::GetWhy, ReadServices>) -> Reply<ep::GetWhy> {
    let view = app.control.read(&call.permit);
    let service = service(&view, call.id()?)?;
    let held = view.held(service.id);
    let why = orch_core::why::service(view.cluster(), service, &held).into();
    let held = held.iter().map(Held::from).collect();
    Ok(Answer(WhyAnswer { service_id: service.id.to_string(), held, why }))
}

pub(crate) async fn history(
    State(app): State<App>,
    call: Call<ep::GetHistory, ReadServices>,
) -> Reply<ep::GetHistory> {
    let view = app.control.read(&call.permit);
    let service = service(&view, call.id()?)?;
    Ok(Answer(HistoryAnswer::view(view.cluster(), service)))
}
