//! Events and audit records.

use axum::extract::State;
use orch_core::api::audit::AuditAnswer;
use orch_core::api::endpoint as ep;
use orch_core::api::event::EventsAnswer;
use orch_core::control_plane::query::{ReadAudit, ReadEvents};
use orch_core::identity::Scope;

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::Reply;

pub(crate) async fn events(
    State(app): State<App>,
    call: Call<ep::ListEvents, ReadEvents>,
) -> Reply<ep::ListEvents> {
    let events = match call.query.parse(call.namespace)? {
        None => Vec::new(),
        Some(filter) => app.control.events(&call.permit, filter).await?,
    };
    Ok(Answer(EventsAnswer { events: events.iter().map(Into::into).collect() }))
}

pub(crate) async fn audit(
    State(app): State<App>,
    call: Call<ep::ListAudit, ReadAudit>,
) -> Reply<ep::ListAudit> {
    let filter = call.query.parse(call.namespace)?;
    // Who may read audit in the whole cluster sees cluster-wide records beside the namespace's.
    let wide = app.control.authorize::<ReadAudit>(call.principal, Scope::Cluster);
    let records = app.control.audit(wide.as_ref().unwrap_or(&call.permit), filter).await?;
    Ok(Answer(AuditAnswer { audit_logs: records.iter().map(Into::into).collect() }))
}
