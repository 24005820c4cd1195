//! What agents ask.

use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::StreamExt as _;
use orch_core::agent::{self, TicketId};
use orch_core::api::agent::AgentResponse;
use orch_core::api::endpoint::{self as ep, Bytes, Nothing};
use orch_core::api::node::Node;
use orch_core::api::parse_id;
use orch_core::command::{FieldPath, Rejection};
use orch_core::id::NodeId;

use super::super::App;
use super::super::body::{Answer, streamed};
use super::super::error::ApiError;
use super::super::node_call::{EnrollCall, NodeCall};
use super::Reply;

pub(crate) async fn challenge(call: EnrollCall<ep::AgentChallenge>) -> Reply<ep::AgentChallenge> {
    let name = call.body.node_name.parse().map_err(|error: orch_core::name::InvalidName| {
        Rejection::invalid(FieldPath::new("node_name"), error.to_string(), "a node's name")
    })?;
    Ok(Answer(call.api.challenge(&name).await?))
}

pub(crate) async fn register(
    State(app): State<App>,
    call: EnrollCall<ep::AgentRegister>,
) -> Reply<ep::AgentRegister> {
    let request = agent::RegisterRequest { claim: call.body.parse()?, token: call.token, key: call.body.key };
    let registered = call.api.register(request).await?;
    let node = node(&app, registered.node)?;
    Ok(Answer(AgentResponse::registered(&registered, node, app.control.now())))
}

pub(crate) async fn heartbeat(
    State(app): State<App>,
    call: NodeCall<ep::AgentHeartbeat>,
) -> Reply<ep::AgentHeartbeat> {
    let (id, heartbeat) = call.body.parse()?;
    let answer = call.api.heartbeat(&call.authority(id), heartbeat).await?;
    Ok(Answer(AgentResponse::heartbeat(&answer, node(&app, id)?, app.control.now())))
}

/// The node as it is now: of a node that was just let in, so there is one unless it was removed this moment.
fn node(app: &App, id: NodeId) -> Result<Node, ApiError> {
    let image = app.control.image();
    let row = image.node(id).ok_or_else(|| ApiError::unauthorized("not authorized"))?;
    Ok(Node::view(&image, row, Some(app.control.now())))
}

pub(crate) async fn desired(call: NodeCall<ep::AgentDesired>) -> Reply<ep::AgentDesired> {
    let (id, have, wait) = call.query.parse()?;
    Ok(Answer(call.api.desired(&call.authority(id), have, wait).await?))
}

pub(crate) async fn reports(call: NodeCall<ep::AgentReports>) -> Reply<ep::AgentReports> {
    let authority = call.authority(call.body.node_id);
    let answer = call.api.report(&authority, call.body.reports).await?;
    Ok(Answer((&answer).into()))
}

pub(crate) async fn secrets(call: NodeCall<ep::AgentSecrets>) -> Reply<ep::AgentSecrets> {
    let (node, task) = (call.query.parse()?, parse_id(call.param("id"), "id")?);
    Ok(Answer(call.api.secrets(&call.authority(node), task).await?.into()))
}

pub(crate) async fn stream(State(app): State<App>, request: Request) -> Reply<ep::AgentStream> {
    let (call, body) = NodeCall::<ep::AgentStream>::streaming(request, &app, Bytes {}).await?;
    let ticket = TicketId(call.param("ticket").to_owned());
    let pieces = body.into_data_stream().map(|piece| piece.map_err(std::io::Error::other)).boxed();
    call.api.deliver(&call.authority(call.query.parse()?), ticket, pieces).await?;
    Ok(Answer(Nothing {}))
}

pub(crate) async fn input(call: NodeCall<ep::AgentInput>) -> Result<Response, ApiError> {
    let ticket = TicketId(call.param("ticket").to_owned());
    let input = call.api.input(&call.authority(call.query.parse()?), ticket).await?;
    Ok(streamed("application/octet-stream", input))
}
