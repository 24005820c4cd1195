//! Where services are reached.

use axum::extract::State;
use orch_core::api::discovery::{DiscoveryAnswer, ServiceEndpoints};
use orch_core::api::endpoint as ep;
use orch_core::command::Rejection;
use orch_core::control_plane::query::ReadServices;
use orch_core::service::ServiceStatus;

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::{Reply, service};

pub(crate) async fn endpoints(
    State(app): State<App>,
    call: Call<ep::GetEndpoints, ReadServices>,
) -> Reply<ep::GetEndpoints> {
    let view = app.control.read(&call.permit);
    let service = service(&view, call.id()?)?;
    Ok(Answer(ServiceEndpoints::view(view.cluster(), service, call.query.include_unhealthy)))
}

pub(crate) async fn list(
    State(app): State<App>,
    call: Call<ep::ListDiscovery, ReadServices>,
) -> Reply<ep::ListDiscovery> {
    let view = app.control.read(&call.permit);
    let active = view
        .cluster()
        .services()
        .filter(|service| view.visible(&service.namespace) && service.status == ServiceStatus::Active);
    let endpoints = |service| ServiceEndpoints::view(view.cluster(), service, call.query.include_unhealthy);
    Ok(Answer(DiscoveryAnswer { services: active.map(|service| endpoints(service)).collect() }))
}

pub(crate) async fn by_name(
    State(app): State<App>,
    call: Call<ep::GetDiscovery, ReadServices>,
) -> Reply<ep::GetDiscovery> {
    let view = app.control.read(&call.permit);
    let name = call.param("name");
    let named = name.parse().ok().and_then(|name| view.cluster().service_named(&call.namespace, &name));
    let service = named.ok_or_else(|| Rejection::not_found("service", name))?;
    Ok(Answer(ServiceEndpoints::view(view.cluster(), service, call.query.include_unhealthy)))
}
