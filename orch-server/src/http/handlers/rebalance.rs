//! Rebalancing.

use axum::extract::State;
use orch_core::api::endpoint as ep;
use orch_core::api::rebalance::RebalanceAnswer;
use orch_core::command::MoveTasks;

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::Reply;

pub(crate) async fn rebalance(
    State(app): State<App>,
    call: Call<ep::Rebalance, MoveTasks>,
) -> Reply<ep::Rebalance> {
    let at_most = call.body.parse_at_most()?;
    let plan = app.control.read(&call.permit).rebalance();
    let mut answer = RebalanceAnswer::from(&plan);
    if call.body.apply {
        let free = at_most.saturating_sub(plan.under_way) as usize;
        let tasks = plan.moves.iter().take(free).map(|one| one.task).collect();
        let moved = app.control.execute_with(call.permit, MoveTasks { tasks }, call.options).await?;
        answer.begun = u32::try_from(moved.len()).unwrap_or(u32::MAX);
    }
    Ok(Answer(answer))
}
