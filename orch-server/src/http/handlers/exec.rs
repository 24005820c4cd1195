//! Commands inside containers.

use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::StreamExt as _;
use orch_core::api::endpoint::{self as ep, Bytes};
use orch_core::command::OpenExec;

use super::super::App;
use super::super::body::streamed;
use super::super::call::Call;
use super::super::error::ApiError;

pub(crate) async fn exec(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let (call, body) = Call::<ep::ExecTask, OpenExec>::streaming(request, &app, Bytes {}).await?;
    let (task, command) = (call.id()?, call.query.parse()?);
    let input = body.into_data_stream().map(|piece| piece.map_err(std::io::Error::other)).boxed();
    let output = app.control.exec(call.permit, task, command, input, call.options).await?;
    Ok(streamed("application/octet-stream", output.take_until(call.standing.lost(app.clone())).boxed()))
}
