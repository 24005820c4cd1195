//! Events and audit records.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use orch_core::api::audit::AuditAnswer;
use orch_core::api::endpoint as ep;
use orch_core::api::event::{Event, EventFrame, EventsAnswer};
use orch_core::command::{FieldPath, Rejection};
use orch_core::control_plane::history::EventBatch;
use orch_core::control_plane::query::{ReadAudit, ReadEvents};
use orch_core::identity::Scope;

use super::super::App;
use super::super::body::{Answer, streamed};
use super::super::call::Call;
use super::super::error::ApiError;
use super::Reply;

pub(crate) async fn events(
    State(app): State<App>,
    call: Call<ep::ListEvents, ReadEvents>,
) -> Result<Response, ApiError> {
    let (after, follow) = (call.query.parse_after()?, call.query.follow);
    let filter = call.query.parse(call.namespace)?;
    if follow {
        let no_type =
            || Rejection::invalid(FieldPath::new("type"), "there is no such type", "a type of event");
        let filter = filter.ok_or_else(no_type)?;
        let follow = app.control.follow_events(&call.permit, after, filter).await?;
        let body = unfold(follow, |mut follow| async move {
            let batch = follow.next().await?;
            Some((batch.map_err(std::io::Error::other).and_then(|batch| encode(&batch)), follow))
        });
        let body = body.take_until(call.standing.lost(app.clone()));
        return Ok(streamed("application/x-ndjson", body.boxed()));
    }
    let events = match (filter, after) {
        (None, _) => Vec::new(),
        (Some(filter), None) => {
            app.control.events(&call.permit, filter).await?.iter().map(Into::into).collect()
        }
        (Some(filter), Some(after)) => {
            let events = app.control.events_after(&call.permit, after, filter).await?;
            events.iter().map(|(seq, event)| Event::at(event, Some(*seq))).collect()
        }
    };
    Ok(Answer::<ep::ListEvents>(EventsAnswer { events }).into_response())
}

fn encode(batch: &EventBatch) -> Result<Bytes, std::io::Error> {
    let mut text = Vec::new();
    let events = batch.events.iter().map(|(seq, event)| EventFrame::Event(Box::new(Event::at(event, *seq))));
    for frame in events.chain([EventFrame::At { seq: batch.at.to_string() }]) {
        serde_json::to_writer(&mut text, &frame)?;
        text.push(b'\n');
    }
    Ok(text.into())
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
