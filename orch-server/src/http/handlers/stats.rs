//! What tasks use.

use axum::extract::State;
use orch_core::api::endpoint as ep;
use orch_core::api::stats::StatsAnswer;
use orch_core::control_plane::query::ReadStats;

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::Reply;

pub(crate) async fn get(State(app): State<App>, call: Call<ep::GetStats, ReadStats>) -> Reply<ep::GetStats> {
    let stats = app.control.stats(&call.permit, call.query.parse()?).await?;
    Ok(Answer(StatsAnswer { stats }))
}
