//! What agents of the existing implementation ask: the same control plane, in older words.

use std::time::Duration;

use axum::extract::State;
use orch_core::agent::TaskVerdict;
use orch_core::api::agent::{AgentTask, AgentTasksAnswer};
use orch_core::api::endpoint as ep;
use orch_core::api::parse_id;
use orch_core::api::task::{Task, TaskAnswer};
use orch_core::command::Rejection;
use orch_core::id::TaskId;
use orch_core::secret::ResolvedSecrets;
use orch_core::task::{DesiredStatus, TaskStatus};

use super::super::App;
use super::super::body::Answer;
use super::super::node_call::NodeCall;
use super::Reply;

pub(crate) async fn tasks(State(app): State<App>, call: NodeCall<ep::AgentTasks>) -> Reply<ep::AgentTasks> {
    let authority = call.authority(call.query.parse()?);
    let set = call.api.desired(&authority, None, Duration::ZERO).await?;
    let image = app.control.image();
    let mut tasks = Vec::with_capacity(set.tasks.len());
    for desired in &set.tasks {
        let Some(task) = image.task(desired.id) else { continue };
        let mut view = Task::view(&image, task);
        if desired.desired == DesiredStatus::Removed {
            // Such an agent clears away what is left out. Of a task that it never spoke of it may have nothing, and would
            // say nothing: as stopped, it is reported removed.
            if task.status != TaskStatus::Assigned {
                continue;
            }
            view.desired_status = DesiredStatus::Stopped.as_str().to_owned();
        }
        let runs = desired.desired == DesiredStatus::Running && !task.status.is_terminal();
        // A secret that cannot be had fails the poll: a task left out would be stopped by such an agent.
        let secrets = match runs && !desired.template.secrets.is_empty() {
            true => call.api.secrets(&authority, desired.id).await?,
            false => ResolvedSecrets::default(),
        };
        tasks.push(AgentTask::of(view, &desired.template, desired.image.as_ref(), &secrets));
    }
    Ok(Answer(AgentTasksAnswer { tasks }))
}

pub(crate) async fn status(
    State(app): State<App>,
    call: NodeCall<ep::AgentTaskStatus>,
) -> Reply<ep::AgentTaskStatus> {
    let id: TaskId = parse_id(call.param("id"), "id")?;
    let (node, report) = call.body.parse(id)?;
    let answer = call.api.report(&call.authority(node), vec![report]).await?;
    if let Some(TaskVerdict::Refused(reason)) = answer.verdicts.into_iter().next() {
        return Err(Rejection::WrongState(reason).into());
    }
    let image = app.control.image();
    let task = image.task(id).ok_or_else(|| Rejection::not_found("task", id))?;
    Ok(Answer(TaskAnswer { task: Task::view(&image, task) }))
}
