//! How things stand, for people: what the control plane knows of each task that is not at its end, and what the engines run.

use std::fmt::Write as _;

use orch_core::service::ServiceStatus;
use orch_core::task::TaskStatus;

use crate::world::World;

/// One line a node, a service, a task and a container.
pub(crate) fn of(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(control) = world.control() else { return vec!["the server is down".to_owned()] };
    let image = control.image();
    lines.push(format!("revision {}, {:?}", image.revision(), control.now()));
    for node in image.nodes() {
        lines.push(format!(
            "{} {}: {:?}, incarnation {}",
            node.name, node.id, node.status, node.incarnation.0
        ));
    }
    for service in image.services().filter(|service| service.status != ServiceStatus::Deleted) {
        let (spec, status) = (&service.spec, service.status);
        let mut line = format!("{} v{}: {status:?}, {} wanted", spec.name, service.version, spec.replicas);
        if let Some(deployment) = image.active_deployment(service.id) {
            let _ = write!(line, ", {:?} to v{}", deployment.status, deployment.to_version);
            let _ = write!(line, ", {:?}, due {:?}", deployment.reason, deployment.deadline);
        }
        lines.push(line);
        for task in image.tasks_of_service(service.id).filter(|task| task.status != TaskStatus::Removed) {
            let node = task.node.and_then(|node| image.node(node));
            let (slot, version, attempt) = (task.slot, task.version, task.attempt);
            lines.push(format!(
                "  slot {slot} v{version} {} on {}: {:?} (attempt {attempt}) since {:?}, wanted {:?} since {:?} {:?} {:?}",
                task.id,
                node.map_or("no node", |node| node.name.as_str()),
                task.status,
                task.status_since,
                task.desired,
                task.desired_since,
                task.stop_cause,
                task.note,
            ));
        }
    }
    for node in &world.nodes {
        for container in node.containers() {
            let (labels, state) = (&container.labels, &container.state);
            lines.push(format!("{}: {} attempt {}: {state:?}", node.name, labels.task, labels.attempt));
        }
    }
    lines
}
