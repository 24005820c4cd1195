//! Nodes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use orch_core::api::endpoint::{self as ep, Endpoint, Nothing};
use orch_core::api::node::{DrainStatus, DrainStatusAnswer, Node, NodeAnswer, NodesAnswer};
use orch_core::api::why::NodeWhyAnswer;
use orch_core::command::{self, Command, Rejection};
use orch_core::control_plane::query::{ReadNodes, View};
use orch_core::id::NodeId;
use orch_core::node;

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::super::error::ApiError;
use super::Reply;

fn find(view: &View, id: NodeId) -> Result<&Arc<node::Node>, ApiError> {
    view.cluster().node(id).ok_or_else(|| Rejection::not_found("node", id).into())
}

pub(crate) async fn list(
    State(app): State<App>,
    call: Call<ep::ListNodes, ReadNodes>,
) -> Reply<ep::ListNodes> {
    let view = app.control.read(&call.permit);
    let nodes = view.cluster().nodes();
    let nodes = nodes.map(|node| Node::view(view.cluster(), node, view.last_heartbeat(node.id))).collect();
    Ok(Answer(NodesAnswer { nodes }))
}

pub(crate) async fn get(State(app): State<App>, call: Call<ep::GetNode, ReadNodes>) -> Reply<ep::GetNode> {
    let view = app.control.read(&call.permit);
    let node = find(&view, call.id()?)?;
    Ok(Answer(NodeAnswer { node: Node::view(view.cluster(), node, view.last_heartbeat(node.id)) }))
}

pub(crate) async fn drain_status(
    State(app): State<App>,
    call: Call<ep::GetDrainStatus, ReadNodes>,
) -> Reply<ep::GetDrainStatus> {
    let view = app.control.read(&call.permit);
    let drain_status = DrainStatus::view(view.cluster(), find(&view, call.id()?)?);
    Ok(Answer(DrainStatusAnswer { drain_status }))
}

/// Carries out a command on the node of the path, and answers the node as it is then.
async fn change<E, C>(app: App, call: Call<E, C>, command: impl FnOnce(NodeId) -> C) -> Reply<E>
where
    E: Endpoint<Response = NodeAnswer>,
    C: Command<Output = Arc<node::Node>>,
{
    let command = command(call.id()?);
    let node = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(NodeAnswer { node: Node::view(&app.control.image(), &node, None) }))
}

pub(crate) async fn drain(
    State(app): State<App>,
    call: Call<ep::DrainNode, command::DrainNode>,
) -> Reply<ep::DrainNode> {
    let within = call.query.deadline_seconds.map(Duration::from_secs);
    change(app, call, |node| command::DrainNode { node, within }).await
}

pub(crate) async fn uncordon(
    State(app): State<App>,
    call: Call<ep::UncordonNode, command::UncordonNode>,
) -> Reply<ep::UncordonNode> {
    change(app, call, |node| command::UncordonNode { node }).await
}

pub(crate) async fn cordon(
    State(app): State<App>,
    call: Call<ep::CordonNode, command::CordonNode>,
) -> Reply<ep::CordonNode> {
    change(app, call, |node| command::CordonNode { node }).await
}

pub(crate) async fn give_up(
    State(app): State<App>,
    call: Call<ep::GiveUpNode, command::GiveUpNode>,
) -> Reply<ep::GiveUpNode> {
    change(app, call, |node| command::GiveUpNode { node }).await
}

pub(crate) async fn revoke(
    State(app): State<App>,
    call: Call<ep::RevokeNode, command::RevokeNode>,
) -> Reply<ep::RevokeNode> {
    change(app, call, |node| command::RevokeNode { node }).await
}

pub(crate) async fn reset(
    State(app): State<App>,
    call: Call<ep::ResetNode, command::ResetNode>,
) -> Reply<ep::ResetNode> {
    change(app, call, |node| command::ResetNode { node }).await
}

pub(crate) async fn remove(
    State(app): State<App>,
    call: Call<ep::RemoveNode, command::RemoveNode>,
) -> Reply<ep::RemoveNode> {
    let command = command::RemoveNode { node: call.id()?, confirmed_dead: call.query.confirmed_dead };
    app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(Nothing {}))
}

pub(crate) async fn why(
    State(app): State<App>,
    call: Call<ep::GetNodeWhy, ReadNodes>,
) -> Reply<ep::GetNodeWhy> {
    let view = app.control.read(&call.permit);
    let node = find(&view, call.id()?)?;
    let (held, visible) = (|service| view.held(service), |namespace: &_| view.visible(namespace));
    let why = orch_core::why::node(view.cluster(), node, held, visible).into();
    Ok(Answer(NodeWhyAnswer { node_id: node.id.to_string(), why }))
}
