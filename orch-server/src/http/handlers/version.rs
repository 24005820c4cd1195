//! What the server is, and who one is.

use axum::extract::State;
use orch_core::api::endpoint as ep;
use orch_core::api::openapi::Document;
use orch_core::api::version::{API_VERSION, VersionInfo, WhoAmI};
use orch_core::control_plane::query::ReadVersion;
use orch_core::node::version::{NEWEST_TESTED_AGENT, OLDEST_AGENT};

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::Reply;

pub(crate) async fn version(
    State(app): State<App>,
    call: Call<ep::GetVersion, ReadVersion>,
) -> Reply<ep::GetVersion> {
    let schema = app.inner.schema_version;
    Ok(Answer(VersionInfo {
        api_version: API_VERSION.to_owned(),
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        minimum_agent_version: OLDEST_AGENT.to_owned(),
        maximum_tested_agent_version: NEWEST_TESTED_AGENT.to_owned(),
        database_schema_version: schema,
        minimum_schema_version: schema,
        maximum_schema_version: schema,
        cluster_id: app.control.read(&call.permit).cluster().id().to_string(),
    }))
}

pub(crate) async fn openapi(_: Call<ep::GetOpenApi, ReadVersion>) -> Reply<ep::GetOpenApi> {
    Ok(Answer(Document::of_this_version()))
}

pub(crate) async fn who_am_i(call: Call<ep::GetWhoAmI, ReadVersion>) -> Reply<ep::GetWhoAmI> {
    Ok(Answer(WhoAmI::of(&call.principal, &call.namespace)))
}
