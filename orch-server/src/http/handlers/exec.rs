//! Commands inside containers.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::StreamExt as _;
use orch_core::api::endpoint::{self as ep, Bytes};
use orch_core::command::OpenExec;

use super::super::App;
use super::super::body::streamed;
use super::super::call::{Call, Standing};
use super::super::error::ApiError;

/// How often it is asked anew whether the user still may.
const STILL_MAY: Duration = Duration::from_secs(10);

pub(crate) async fn exec(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let (call, standing, body) = Call::<ep::ExecTask, OpenExec>::streaming(request, &app, Bytes {}).await?;
    let (task, command) = (call.id()?, call.query.parse()?);
    let input = body.into_data_stream().map(|piece| piece.map_err(std::io::Error::other)).boxed();
    let output = app.control.exec(call.permit, task, command, input, call.options).await?;
    Ok(streamed("application/octet-stream", output.take_until(lost(app.clone(), standing)).boxed()))
}

/// Completes once the user may no longer.
async fn lost(app: App, standing: Standing<OpenExec>) {
    loop {
        tokio::time::sleep(STILL_MAY).await;
        if !standing.holds(&app).await {
            return;
        }
    }
}
