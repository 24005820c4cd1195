//! Tasks.

use axum::extract::State;
use orch_core::api::endpoint as ep;
use orch_core::api::parse_id;
use orch_core::api::task::{STATUSES, Task, TaskAnswer, TasksAnswer};
use orch_core::command::{FieldPath, Rejection};
use orch_core::control_plane::query::ReadServices;
use orch_core::id::{NodeId, ServiceId, TaskId};

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::Reply;

pub(crate) async fn list(
    State(app): State<App>,
    call: Call<ep::ListTasks, ReadServices>,
) -> Reply<ep::ListTasks> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let service: Option<ServiceId> =
        given(&call.query.service_id).map(|text| parse_id(&text, "service_id")).transpose()?;
    let node: Option<NodeId> =
        given(&call.query.node_id).map(|text| parse_id(&text, "node_id")).transpose()?;
    let status = given(&call.query.status);
    if status.as_ref().is_some_and(|status| !STATUSES.contains(&status.as_str())) {
        let field = FieldPath::new("status");
        return Err(Rejection::invalid(field, "there is no such status", STATUSES.join(", ")).into());
    }
    let view = app.control.read(&call.permit);
    let tasks = view
        .cluster()
        .tasks()
        .filter(|task| view.visible(&task.namespace))
        .filter(|task| service.is_none_or(|service| task.service == service))
        .filter(|task| node.is_none() || task.node == node)
        .map(|task| Task::view(view.cluster(), task))
        .filter(|task| status.as_ref().is_none_or(|status| task.actual_status == *status));
    Ok(Answer(TasksAnswer { tasks: tasks.collect() }))
}

pub(crate) async fn get(State(app): State<App>, call: Call<ep::GetTask, ReadServices>) -> Reply<ep::GetTask> {
    let view = app.control.read(&call.permit);
    let id: TaskId = call.id()?;
    let task = view.cluster().task(id).filter(|task| view.visible(&task.namespace));
    let task = task.ok_or_else(|| Rejection::not_found("task", id))?;
    Ok(Answer(TaskAnswer { task: Task::view(view.cluster(), task) }))
}
