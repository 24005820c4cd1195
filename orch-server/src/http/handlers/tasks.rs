//! Tasks.

use std::sync::Arc;

use axum::extract::State;
use orch_core::api::endpoint as ep;
use orch_core::api::parse_id;
use orch_core::api::task::{STATUSES, Task, TaskAnswer, TasksAnswer};
use orch_core::api::why::TaskWhyAnswer;
use orch_core::command::{FieldPath, Rejection};
use orch_core::control_plane::query::{ReadServices, View};
use orch_core::id::{NodeId, ServiceId, TaskId};
use orch_core::task;

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::super::error::ApiError;
use super::{Reply, service};

pub(crate) async fn list(
    State(app): State<App>,
    call: Call<ep::ListTasks, ReadServices>,
) -> Reply<ep::ListTasks> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let of_service: Option<ServiceId> =
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
        .filter(|task| of_service.is_none_or(|service| task.service == service))
        .filter(|task| node.is_none() || task.node == node)
        .map(|task| Task::view(view.cluster(), task))
        .filter(|task| status.as_ref().is_none_or(|status| task.actual_status == *status));
    Ok(Answer(TasksAnswer { tasks: tasks.collect() }))
}

pub(crate) async fn get(State(app): State<App>, call: Call<ep::GetTask, ReadServices>) -> Reply<ep::GetTask> {
    let view = app.control.read(&call.permit);
    let task = find(&view, call.id()?)?;
    Ok(Answer(TaskAnswer { task: Task::view(view.cluster(), task) }))
}

pub(crate) async fn why(
    State(app): State<App>,
    call: Call<ep::GetTaskWhy, ReadServices>,
) -> Reply<ep::GetTaskWhy> {
    let view = app.control.read(&call.permit);
    let task = find(&view, call.id()?)?;
    let service = service(&view, task.service)?;
    let why = orch_core::why::task(view.cluster(), service, task, &view.held(service.id)).into();
    Ok(Answer(TaskWhyAnswer { task_id: task.id.to_string(), why }))
}

/// A task that the caller may see.
fn find(view: &View, id: TaskId) -> Result<&Arc<task::Task>, ApiError> {
    let found = view.cluster().task(id).filter(|task| view.visible(&task.namespace));
    found.ok_or_else(|| Rejection::not_found("task", id).into())
}
