//! A node says where its tasks are.

use std::collections::BTreeMap;

use super::pins::Pins;
use super::{Command, Ctx, Decision, Rejection};
use crate::agent::{ReportAnswer, TaskVerdict};
use crate::cluster::{Cluster, Transaction};
use crate::id::{NodeId, TaskId};
use crate::identity::{Action, NodePrincipal};
use crate::record::{Event, EventKind, Severity};
use crate::task::{
    Attempt, DesiredStatus, Exit, Failure, Health, ReportNumber, Task, TaskReport, TaskStatus,
};

/// A node says where its tasks are, oldest report first. Each report has a verdict of its own: one that is late, or speaks of
/// a task that is not the node's, is refused and keeps no other from being taken.
#[derive(Clone, Debug)]
pub struct ReportTasks {
    /// The reports.
    pub reports: Vec<TaskReport>,
}

impl Command for ReportTasks {
    const ACTION: Action = Action::ActAsNode;
    type Output = ReportAnswer;

    fn decide(self, cluster: &Cluster, ctx: &mut Ctx<'_>) -> Result<Decision<ReportAnswer>, Rejection> {
        let standing = ctx.standing(cluster)?;
        let NodePrincipal { incarnation, sequence, .. } = standing.principal;
        let number = sequence.map(|sequence| ReportNumber { incarnation, sequence });
        let node = standing.node.id;
        let mut changed: BTreeMap<TaskId, Task> = BTreeMap::new();
        let mut transaction = Transaction::default();
        let mut verdicts = Vec::with_capacity(self.reports.len());
        let mut pins = Pins::default();
        for report in self.reports {
            let known = changed.get(&report.task).or_else(|| cluster.task(report.task).map(|task| &**task));
            match known.ok_or_else(not_yours).and_then(|before| {
                let mut after = taken(before, &report, node, number, ctx)?;
                pins.take(cluster, before, &report)?;
                pins.take_prepared(cluster, &mut after, &report)?;
                note(before, &mut after, number, ctx);
                Ok((before, after))
            }) {
                Err(words) => verdicts.push(TaskVerdict::Refused(words)),
                Ok((before, after)) => {
                    verdicts.push(TaskVerdict::Accepted);
                    if *before != after {
                        let label = label(cluster, &after);
                        transaction.events.extend(news(before, &after, &label, ctx));
                        changed.insert(after.id, after);
                    }
                }
            }
        }
        if changed.is_empty() && pins.is_empty() {
            let answer = ReportAnswer { verdicts, revision: cluster.revision() };
            return Ok(Decision::unchanged(answer));
        }
        pins.write(cluster, ctx, &mut transaction);
        for task in changed.into_values() {
            transaction.put(task);
        }
        Ok(Decision::commit(transaction, ReportAnswer { verdicts, revision: ctx.revision }))
    }
}

/// One answer for tasks that are not there and tasks of other nodes.
fn not_yours() -> String {
    "this node has no such task".to_owned()
}

/// The task as the report tells it; the same again where it tells nothing new.
fn taken(
    before: &Task,
    report: &TaskReport,
    node: NodeId,
    number: Option<ReportNumber>,
    ctx: &Ctx<'_>,
) -> Result<Task, String> {
    if before.node != Some(node) {
        return Err(not_yours());
    }
    // Attempt and status order the most of it, but health may alternate: what overtook a report is newer than it.
    if number.is_some() && number < before.reported {
        return Err("a newer report of this task was taken".to_owned());
    }
    if report.status == TaskStatus::Pending {
        return Err("a task that has a node is not pending".to_owned());
    }
    let attempt = attempt_of(before, report);
    before.status.check_advance(before.attempt, &report.status, attempt).map_err(|back| back.to_string())?;
    let is_on_its_way_out = report.status.is_terminal() || report.status == TaskStatus::Stopping;
    if before.desired != DesiredStatus::Running && !is_on_its_way_out {
        return Err(format!("the task is to be {}", before.desired.as_str()));
    }

    let mut after = before.clone();
    if attempt > before.attempt {
        after.attempt = attempt;
        after.container = None;
    }
    if before.status != report.status || attempt != before.attempt {
        after.status_since = ctx.now;
    }
    after.status = report.status.clone();
    after.container = report.container.clone().or(after.container);
    after.image_digest = report.image.clone().or(after.image_digest);
    after.last_exit = report.last_exit.clone().or(after.last_exit);
    after.note = report.note.clone();
    if after.status == TaskStatus::Removed {
        keep_end(before, &mut after);
    }
    if after.status.is_running() {
        after.started_at = after.started_at.or(Some(ctx.now));
    }
    if after.status.is_terminal() {
        after.finished_at = after.finished_at.or(Some(ctx.now));
    }
    Ok(after)
}

/// When it changed, and by which report.
fn note(before: &Task, after: &mut Task, number: Option<ReportNumber>, ctx: &Ctx<'_>) {
    let is_news = after != before;
    if is_news {
        after.updated_at = ctx.now;
    }
    // Of a task that runs even what is no news counts: what it overtook is to be known as late.
    if is_news || after.status.is_running() {
        after.reported = number.or(after.reported);
    }
}

/// How a task ended is not forgotten when its container is cleared away.
fn keep_end(before: &Task, after: &mut Task) {
    if let TaskStatus::Failed(why) = &before.status {
        after.note.get_or_insert_with(|| why.reason.clone());
    }
    if let TaskStatus::Failed(Failure { exit, .. }) | TaskStatus::Stopped(exit) = &before.status {
        after.last_exit = exit.clone().or(after.last_exit.take());
    }
    if before.status != TaskStatus::Stopping {
        after.note = after.note.take().or_else(|| before.note.clone());
    }
}

/// Which attempt a report speaks of. An agent that knows no attempts means the present one; if it fetches the image of a task
/// that ran, the container had vanished, and this is the next.
fn attempt_of(before: &Task, report: &TaskReport) -> Attempt {
    match report.attempt {
        Some(attempt) => attempt,
        None if before.status.is_running() && report.status == TaskStatus::Pulling => before.attempt.next(),
        None => before.attempt,
    }
}

/// `web.3`, as people call a task.
fn label(cluster: &Cluster, task: &Task) -> String {
    match cluster.service(task.service) {
        Some(service) => format!("{}.{}", service.spec.name, task.slot),
        None => task.id.to_string(),
    }
}

/// What of a change people want to hear: that it runs, serves or does not, failed, or is gone. Not the steps on the way there.
fn news(before: &Task, after: &Task, label: &str, ctx: &mut Ctx<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    if after.attempt > before.attempt
        && let Some(exit) = after.last_exit.as_ref().filter(|exit| !exit.is_success() && !exit.by_us)
    {
        let message = format!("attempt {} of {label} failed: {}", before.attempt, exit.describe());
        events.push(failure(ctx, after, message, Some(exit)));
    }
    let same = before.attempt == after.attempt;
    match (&before.status, &after.status) {
        (TaskStatus::Stopping, TaskStatus::Stopping) if before.note != after.note => {
            events.push(stopping(ctx, after, label));
        }
        (from, to) if same && from == to => {}
        (_, TaskStatus::Stopping) => events.push(stopping(ctx, after, label)),
        (_, TaskStatus::Failed(why)) => {
            let message = format!("{label} failed: {}", why.reason);
            events.push(failure(ctx, after, message, why.exit.as_ref()));
        }
        (TaskStatus::Running(from), TaskStatus::Running(to)) if same => {
            events.extend(health(ctx, after, *from, *to, label));
        }
        (_, TaskStatus::Running(to)) => {
            events.push(moved(ctx, after, label));
            events.extend(health(ctx, after, Health::Unchecked, *to, label));
        }
        (_, TaskStatus::Stopped(_) | TaskStatus::Removed) => events.push(moved(ctx, after, label)),
        _ => {}
    }
    events
}

/// One step of the way out. The control plane's own word that it stops the task came before.
fn stopping(ctx: &mut Ctx<'_>, task: &Task, label: &str) -> Event {
    let stage = task.note.as_deref().unwrap_or("on its way out");
    let message = format!("{label} stops: {stage}");
    let mut event = ctx.task_event(EventKind::TaskStopping, Severity::Info, task, message);
    event.details.insert("status".to_owned(), task.status.as_str().to_owned());
    event
}

fn moved(ctx: &mut Ctx<'_>, task: &Task, label: &str) -> Event {
    let word = match task.status {
        TaskStatus::Running(_) => "running",
        _ => task.status.as_str(),
    };
    let exit = match &task.status {
        TaskStatus::Stopped(exit) => exit.as_ref(),
        TaskStatus::Removed => task.last_exit.as_ref().filter(|exit| exit.by_us),
        _ => None,
    };
    let how = exit.map_or_else(String::new, |exit| format!(": {}", exit.describe()));
    let message = format!("{label} is {word}{how}");
    let mut event = ctx.task_event(EventKind::TaskStatusChanged, Severity::Info, task, message);
    event.details.insert("status".to_owned(), word.to_owned());
    if let Some(exit) = exit {
        event.details.insert("exit".to_owned(), exit.describe());
    }
    event
}

fn health(ctx: &mut Ctx<'_>, task: &Task, from: Health, to: Health, label: &str) -> Option<Event> {
    let (kind, severity, words) = match (from, to) {
        (from, to) if from == to => return None,
        (_, Health::Healthy) => (EventKind::TaskHealthy, Severity::Info, "serves"),
        (_, Health::Unhealthy) => (EventKind::TaskUnhealthy, Severity::Warning, "runs but does not serve"),
        (_, Health::Unchecked) => return None,
    };
    let message = match &task.note {
        Some(note) if to == Health::Unhealthy => format!("{label} {words}: {note}"),
        _ => format!("{label} {words}"),
    };
    Some(ctx.task_event(kind, severity, task, message))
}

fn failure(ctx: &mut Ctx<'_>, task: &Task, message: String, exit: Option<&Exit>) -> Event {
    let mut event = ctx.task_event(EventKind::TaskFailed, Severity::Error, task, message);
    if let TaskStatus::Failed(why) = &task.status {
        event.details.insert("reason".to_owned(), why.reason.clone());
    }
    if let Some(exit) = exit {
        event.details.insert("exit".to_owned(), exit.describe());
        if let Some(code) = exit.code {
            event.details.insert("exit_code".to_owned(), code.to_string());
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::DeleteService;
    use crate::command::versions::tests::service;
    use crate::id::ServiceId;
    use crate::identity::{Principal, Scope};
    use crate::node::Resources;
    use crate::task::FailureKind;
    use crate::testing::World;

    struct Bed {
        world: World,
        service: ServiceId,
        node: NodeId,
        task: TaskId,
    }

    fn bed() -> Bed {
        let (mut world, service) = service();
        let node = world.register_node("a", Resources::new(4000, 8 << 30));
        let task = world.place(service, 3, Some(node));
        Bed { world, service, node, task }
    }

    fn report(task: TaskId, attempt: impl Into<Option<u32>>, status: TaskStatus) -> TaskReport {
        TaskReport::new(task, attempt.into().map(Attempt), status)
    }

    fn exit(code: i32) -> Exit {
        Exit { code: Some(code), ..Exit::default() }
    }

    fn failed(reason: &str) -> TaskStatus {
        let exit = Some(exit(1));
        TaskStatus::Failed(Failure { kind: FailureKind::Exited, reason: reason.to_owned(), exit })
    }

    const RUNNING: TaskStatus = TaskStatus::Running(Health::Unchecked);
    const HEALTHY: TaskStatus = TaskStatus::Running(Health::Healthy);
    const UNHEALTHY: TaskStatus = TaskStatus::Running(Health::Unhealthy);

    impl Bed {
        fn send_from(&mut self, node: NodeId, reports: Vec<TaskReport>) -> Vec<TaskVerdict> {
            let principal = self.world.principal_of(node);
            let answer =
                self.world.execute_as(&principal, &Scope::Node(node), ReportTasks { reports }).unwrap();
            assert_eq!(answer.revision, self.world.cluster.revision());
            answer.verdicts
        }

        fn send(&mut self, report: TaskReport) -> TaskVerdict {
            self.send_from(self.node, vec![report]).remove(0)
        }

        fn row(&self) -> &Task {
            self.world.cluster.task(self.task).unwrap()
        }

        fn events_since(&self, from: usize) -> Vec<&'static str> {
            self.world.events[from..].iter().map(|event| event.kind.as_str()).collect()
        }
    }

    #[test]
    fn a_batch_moves_a_task_along_and_tells_only_what_matters() {
        let mut bed = bed();
        let from = bed.world.events.len();
        let started = TaskReport {
            container: Some(crate::runtime::ContainerId("c1".to_owned())),
            ..report(bed.task, 1, RUNNING)
        };
        let batch = vec![
            report(bed.task, 1, TaskStatus::Pulling),
            report(bed.task, 1, TaskStatus::Created),
            started,
            report(bed.task, 1, HEALTHY),
        ];
        let revision = bed.world.cluster.revision();
        assert_eq!(bed.send_from(bed.node, batch), vec![TaskVerdict::Accepted; 4]);
        assert_eq!(bed.world.cluster.revision(), revision.next(), "one transaction");
        assert_eq!(bed.row().status, HEALTHY);
        assert_eq!(bed.row().started_at, Some(bed.world.now));
        assert!(bed.row().container.is_some());
        assert_eq!(bed.events_since(from), ["task.status", "task.health.healthy"]);
        let event = &bed.world.events[from];
        assert_eq!(event.message, "web.3 is running");
        assert_eq!(event.details["node_id"], bed.node.to_string());
    }

    #[test]
    fn what_is_known_already_is_accepted_and_not_written() {
        let mut bed = bed();
        bed.send(report(bed.task, 1, RUNNING));
        let revision = bed.world.cluster.revision();
        bed.world.advance(std::time::Duration::from_secs(1));
        assert_eq!(bed.send(report(bed.task, 1, RUNNING)), TaskVerdict::Accepted);
        assert_eq!(bed.send_from(bed.node, Vec::new()), []);
        assert_eq!(bed.world.cluster.revision(), revision);
    }

    #[test]
    fn late_reports_and_those_of_other_nodes_are_refused_and_keep_no_other_from_being_taken() {
        let mut bed = bed();
        bed.send(report(bed.task, 2, RUNNING));
        let stranger = bed.world.register_node("b", Resources::new(4000, 8 << 30));
        let words = TaskVerdict::Refused("this node has no such task".to_owned());
        assert_eq!(bed.send_from(stranger, vec![report(bed.task, 2, HEALTHY)])[0], words);
        let nowhere = bed.world.ids.next();
        let batch = vec![
            report(nowhere, 1, RUNNING),
            report(bed.task, 1, HEALTHY),
            report(bed.task, 2, TaskStatus::Created),
            report(bed.task, 3, TaskStatus::Pending),
            report(bed.task, 2, HEALTHY),
        ];
        let verdicts = bed.send_from(bed.node, batch);
        assert_eq!(verdicts[0], words);
        assert!(verdicts[1..4].iter().all(|verdict| matches!(verdict, TaskVerdict::Refused(_))));
        assert_eq!(verdicts[4], TaskVerdict::Accepted);
        assert_eq!((bed.row().attempt, &bed.row().status), (Attempt(2), &HEALTHY));
    }

    /// Found by the simulation: a repeated message that was overtaken set health back to unchecked, for ever. Without the
    /// comparison of numbers in `taken` the last word on a task is the one that the network delivered last.
    #[test]
    fn a_report_that_newer_ones_overtook_is_late_even_if_it_only_speaks_of_health() {
        let mut bed = bed();
        let mut send = |sequence: Option<u64>, status: TaskStatus| {
            let Principal::Node(principal) = bed.world.principal_of(bed.node) else { panic!("a node's") };
            let principal = Principal::Node(NodePrincipal { sequence, ..principal });
            let reports = vec![report(bed.task, 1, status)];
            let answer = bed.world.execute_as(&principal, &Scope::Node(bed.node), ReportTasks { reports });
            let status = bed.world.cluster.task(bed.task).unwrap().status.clone();
            (answer.unwrap().verdicts.remove(0) == TaskVerdict::Accepted, status)
        };
        assert_eq!(send(Some(3), RUNNING), (true, RUNNING));
        assert_eq!(send(Some(5), HEALTHY), (true, HEALTHY));
        assert_eq!(send(Some(4), RUNNING), (false, HEALTHY), "overtaken");
        assert_eq!(send(Some(5), HEALTHY), (true, HEALTHY), "repeated");
        assert_eq!(send(Some(7), HEALTHY), (true, HEALTHY), "no news, and newer");
        assert_eq!(send(Some(6), UNHEALTHY), (false, HEALTHY), "overtaken by what was no news");
        assert_eq!(send(Some(8), UNHEALTHY), (true, UNHEALTHY));
        assert_eq!(send(None, HEALTHY), (true, HEALTHY), "an agent that numbers nothing is believed");
    }

    #[test]
    fn a_restart_after_a_failed_exit_is_told_and_one_after_success_is_not() {
        let mut bed = bed();
        bed.send(report(bed.task, 1, RUNNING));
        let from = bed.world.events.len();
        let again = TaskReport {
            last_exit: Some(exit(137)),
            note: Some("restarting in 2 s".to_owned()),
            ..report(bed.task, 2, TaskStatus::Assigned)
        };
        bed.send(again);
        assert_eq!(bed.events_since(from), ["task.failed"]);
        let event = &bed.world.events[from];
        assert_eq!(event.message, "attempt 1 of web.3 failed: exit 137 (SIGKILL), not by orch");
        assert_eq!((event.severity, event.details["exit_code"].as_str()), (Severity::Error, "137"));
        assert_eq!(bed.row().note.as_deref(), Some("restarting in 2 s"));
        bed.send(report(bed.task, 2, RUNNING));
        assert_eq!(bed.row().note, None);
        let from = bed.world.events.len();
        bed.send(TaskReport { last_exit: Some(exit(0)), ..report(bed.task, 3, TaskStatus::Created) });
        assert_eq!(bed.events_since(from), [""; 0]);
        assert_eq!(bed.row().last_exit, Some(exit(0)));
    }

    #[test]
    fn health_may_alternate_and_each_turn_is_told() {
        let mut bed = bed();
        bed.send(report(bed.task, 1, HEALTHY));
        let from = bed.world.events.len();
        let sick = TaskReport { note: Some("status 500".to_owned()), ..report(bed.task, 1, UNHEALTHY) };
        for turn in [sick.clone(), report(bed.task, 1, HEALTHY), sick] {
            assert_eq!(bed.send(turn), TaskVerdict::Accepted);
        }
        let turns = ["task.health.unhealthy", "task.health.healthy", "task.health.unhealthy"];
        assert_eq!(bed.events_since(from), turns);
        assert_eq!(bed.world.events[from].message, "web.3 runs but does not serve: status 500");
    }

    #[test]
    fn a_failure_ends_the_task_and_is_told_once() {
        let mut bed = bed();
        let from = bed.world.events.len();
        bed.send(report(bed.task, 1, failed("exit 1")));
        bed.send(report(bed.task, 1, failed("exit 1")));
        assert_eq!(bed.events_since(from), ["task.failed"]);
        assert_eq!(bed.row().finished_at, Some(bed.world.now));
        assert!(matches!(bed.send(report(bed.task, 2, RUNNING)), TaskVerdict::Refused(_)));
        bed.world.advance(std::time::Duration::from_secs(1));
        assert_eq!(bed.send(report(bed.task, 1, TaskStatus::Removed)), TaskVerdict::Accepted);
        assert_ne!(bed.row().finished_at, Some(bed.world.now), "it had ended before");
        assert_eq!((bed.row().note.as_deref(), &bed.row().last_exit), (Some("exit 1"), &Some(exit(1))));
    }

    #[test]
    fn of_a_task_that_is_to_go_only_its_going_is_taken() {
        let mut bed = bed();
        bed.send(report(bed.task, 1, RUNNING));
        bed.world.execute(DeleteService { service: bed.service }).unwrap();
        let refused = bed.send(report(bed.task, 1, HEALTHY));
        assert_eq!(refused, TaskVerdict::Refused("the task is to be removed".to_owned()));
        for status in [TaskStatus::Stopping, TaskStatus::Stopped(Some(exit(0))), TaskStatus::Removed] {
            assert_eq!(bed.send(report(bed.task, 1, status)), TaskVerdict::Accepted);
        }
        assert_eq!(bed.row().status, TaskStatus::Removed);
        assert_eq!(bed.world.cluster.index().usage(bed.node).map_or(0, |usage| usage.tasks), 0);
    }

    #[test]
    fn each_step_of_a_stop_is_an_event_and_the_last_one_says_how_it_ended() {
        let mut bed = bed();
        bed.send(report(bed.task, 1, RUNNING));
        bed.world.execute(DeleteService { service: bed.service }).unwrap();
        let from = bed.world.events.len();
        let wait = "out of discovery; SIGTERM in 2.0 s";
        for note in [wait, wait, "SIGTERM is sent"] {
            let step = report(bed.task, 1, TaskStatus::Stopping);
            bed.send(TaskReport { note: Some(note.to_owned()), ..step });
        }
        let killed = Exit { by_us: true, ..exit(137) };
        bed.send(TaskReport { last_exit: Some(killed), ..report(bed.task, 1, TaskStatus::Removed) });
        let told: Vec<_> = bed.world.events[from..]
            .iter()
            .map(|event| format!("{} {}", event.kind.as_str(), event.message))
            .collect();
        assert_eq!(
            told,
            [
                format!("task.stopping web.3 stops: {wait}"),
                "task.stopping web.3 stops: SIGTERM is sent".to_owned(),
                "task.status web.3 is removed: exit 137 (SIGKILL), stopped by orch".to_owned(),
            ]
        );
        assert_eq!(bed.row().note, None, "what was under way is no matter any more");
    }

    #[test]
    fn an_agent_without_attempts_is_understood() {
        let mut bed = bed();
        for status in [TaskStatus::Pulling, TaskStatus::Created, RUNNING] {
            assert_eq!(bed.send(report(bed.task, None, status)), TaskVerdict::Accepted);
        }
        assert_eq!(bed.row().attempt, Attempt::FIRST);
        assert!(matches!(bed.send(report(bed.task, None, TaskStatus::Created)), TaskVerdict::Refused(_)));
        assert_eq!(bed.send(report(bed.task, None, TaskStatus::Pulling)), TaskVerdict::Accepted);
        assert_eq!((bed.row().attempt, &bed.row().status), (Attempt(2), &TaskStatus::Pulling));
    }

    #[test]
    fn a_node_that_no_longer_stands_reports_nothing() {
        let mut bed = bed();
        let principal = bed.world.principal_of(bed.node);
        bed.world.execute(crate::command::RevokeNode { node: bed.node }).unwrap();
        let command = ReportTasks { reports: vec![report(bed.task, 1, RUNNING)] };
        let answer = bed.world.execute_as(&principal, &Scope::Node(bed.node), command);
        assert!(matches!(answer, Err(Rejection::Unauthorized(_))));
    }
}
