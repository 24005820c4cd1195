//! Watching a service until it is what was asked for, and saying meanwhile what it waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use orch_core::api::deployment::Deployment;
use orch_core::api::endpoint::{GetRollout, GetService, GetWhy, ListNodes, ListTasks, Nothing};
use orch_core::api::service::Service;
use orch_core::api::task::{Task, TasksQuery};
use tokio::time::Instant;

use super::error::{CliError, FAILED, INTERRUPTED, NOT_PLACEABLE, TIMED_OUT};
use super::output::{Output, printable};
use crate::client::Client;
use crate::error::ClientError;

/// Between looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Flags of every command that can wait.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Waiting")]
pub(super) struct WaitArgs {
    /// Wait until it is done
    #[arg(long)]
    pub(super) wait: bool,
    /// Wait no longer than this: 30s, 10m (with --wait)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "15m")]
    pub(super) timeout: Duration,
    /// Give up on a replica that fits nowhere after this (with --wait)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub(super) patience: Duration,
}

/// A duration with a unit, as deploy files write it.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    crate::deploy_file::parse_duration(text).map_err(|problem| format!("it {problem}"))
}

/// One look at a service.
struct Look {
    service: Service,
    deployment: Option<Deployment>,
    /// Wanted ones, the newest of each slot.
    tasks: BTreeMap<u32, Task>,
    /// Reasons from `/why`.
    held: Vec<String>,
}

impl Look {
    fn serves(&self, task: &Task) -> bool {
        let checked = self.service.spec.healthcheck.is_some();
        task.actual_status == "healthy" || (task.actual_status == "running" && !checked)
    }

    fn serving(&self) -> usize {
        let version = self.service.deployment_version;
        self.tasks.values().filter(|task| task.version == version && self.serves(task)).count()
    }

    /// Something is on its way that may change the picture by itself.
    fn moves(&self) -> bool {
        self.tasks.values().any(|task| {
            let status = task.actual_status.as_str();
            matches!(status, "assigned" | "pulling" | "created" | "starting" | "stopping")
                || (status == "running" && !self.serves(task))
        })
    }

    /// Why a replica has no node, if one has none.
    fn unplaced(&self) -> Option<String> {
        let task = self.tasks.values().find(|task| task.node_id.is_none() && task.actual_status == "pending");
        let held = || self.held.iter().find(|reason| reason.contains("no node fits")).cloned();
        match task {
            Some(task) => Some(task.note.clone().or_else(held).unwrap_or_else(|| "no node fits".to_owned())),
            None => held(),
        }
    }

    /// The end, if this is one.
    fn verdict(&self) -> Option<Result<(), CliError>> {
        let name = &self.service.spec.name;
        if self.service.status != "active" {
            let message = format!("{name}: the service is {}", self.service.status);
            return Some(Err(CliError::failed(message)));
        }
        let Some(deployment) = &self.deployment else {
            let wanted = self.service.spec.replicas as usize;
            return (self.serving() == wanted && self.tasks.len() == wanted).then_some(Ok(()));
        };
        let because = deployment.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
        let version = deployment.to_version;
        let ended = match deployment.status.as_str() {
            "succeeded" => return Some(Ok(())),
            "rolled_back" if deployment.to_version < deployment.from_version => return Some(Ok(())),
            "rolled_back" => format!("version {version} was rolled back{because}"),
            "failed" => format!("version {version} failed{because}"),
            "cancelled" => format!("version {version} was cancelled{because}"),
            "superseded" => format!("version {version} gave way to a newer one{because}"),
            "paused" => format!("version {version} is paused{because}"),
            _ => return None,
        };
        let error = CliError::new(FAILED, format!("{name}: {ended}"));
        Some(Err(error.hint(format!("orch service ps {name}\norch events --service {name}"))))
    }
}

/// Waits for a deployment to end, or without one for all replicas to serve. Interrupting it changes nothing on the server.
pub(super) async fn until_done(
    client: &Client,
    service: &Service,
    deployment: Option<&Deployment>,
    args: &WaitArgs,
    out: &Output,
) -> Result<(), CliError> {
    let name = service.spec.name.clone();
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let mut watch = Watch::new(client, service, deployment, args.patience, out);
    tokio::select! {
        biased;
        () = interrupted => {
            watch.progress.end();
            Err(CliError::new(INTERRUPTED, format!("no longer watching; {name} goes on by itself"))
                .hint(format!("watch it with: orch rollout status {name} --wait")))
        }
        result = watch.run(args.timeout) => result,
    }
}

struct Watch<'a> {
    client: &'a Client,
    id: String,
    name: String,
    deployment: Option<String>,
    nodes: BTreeMap<String, String>,
    progress: Progress<'a>,
    /// Since when a replica fits nowhere.
    stuck: Option<Instant>,
    /// How long that is waited out, with nothing else moving.
    patience: Duration,
    looks: u32,
    held: Vec<String>,
}

impl<'a> Watch<'a> {
    fn new(
        client: &'a Client,
        service: &Service,
        deployment: Option<&Deployment>,
        patience: Duration,
        out: &'a Output,
    ) -> Self {
        Self {
            client,
            id: service.id.clone(),
            name: service.spec.name.clone(),
            deployment: deployment.map(|deployment| deployment.id.clone()),
            nodes: BTreeMap::new(),
            progress: Progress::new(out),
            stuck: None,
            patience,
            looks: 0,
            held: Vec::new(),
        }
    }

    async fn run(&mut self, timeout: Duration) -> Result<(), CliError> {
        let begun = Instant::now();
        let end = begun + timeout;
        let mut away = false;
        loop {
            match tokio::time::timeout_at(end, self.look()).await {
                Ok(Ok(look)) => {
                    away = false;
                    if let Some(verdict) = self.judge(&look, begun) {
                        self.progress.end();
                        return verdict;
                    }
                }
                Ok(Err(error)) if is_passing(&error) => {
                    if !away {
                        self.progress.say(&format!("{}; trying on", error.chain()));
                    }
                    away = true;
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {}
            }
            if Instant::now() >= end {
                self.progress.end();
                let waits = self.held.first().map_or(String::new(), |reason| format!(": {reason}"));
                let message = format!("{}: not done within {}{waits}", self.name, human(timeout));
                return Err(CliError::new(TIMED_OUT, message).hint(format!(
                    "it goes on by itself; watch it with: orch rollout status {} --wait",
                    self.name
                )));
            }
            tokio::time::sleep_until((Instant::now() + INTERVAL).min(end)).await;
        }
    }

    async fn look(&mut self) -> Result<Look, ClientError> {
        let nothing = Nothing {};
        let id = self.id.as_str();
        let service = self.client.call::<GetService>(&[id], &nothing, &nothing).await?.service;
        let query = TasksQuery { service_id: Some(id.to_owned()), ..TasksQuery::default() };
        let tasks = self.client.call::<ListTasks>(&[], &query, &nothing).await?.tasks;
        let deployment = match &self.deployment {
            None => None,
            Some(id) => Some(self.client.call::<GetRollout>(&[id], &nothing, &nothing).await?.deployment),
        };
        // What it waits for is asked less often: it is for people.
        if self.looks.is_multiple_of(4) {
            let why = self.client.call::<GetWhy>(&[id], &nothing, &nothing).await?;
            self.held = why.held.into_iter().map(|held| held.reason).collect();
        }
        self.looks += 1;
        let mut newest: BTreeMap<u32, Task> = BTreeMap::new();
        for task in tasks {
            let ended = matches!(task.actual_status.as_str(), "failed" | "stopped" | "removed");
            if task.desired_status != "running" || ended {
                continue;
            }
            let older = newest.get(&task.slot).is_some_and(|other| {
                (other.version, other.created_at, &other.id) > (task.version, task.created_at, &task.id)
            });
            if !older {
                newest.insert(task.slot, task);
            }
        }
        if newest.values().filter_map(|task| task.node_id.as_ref()).any(|node| !self.nodes.contains_key(node))
        {
            let nodes = self.client.call::<ListNodes>(&[], &nothing, &nothing).await?.nodes;
            self.nodes = nodes.into_iter().map(|node| (node.id, node.hostname)).collect();
        }
        Ok(Look { service, deployment, tasks: newest, held: self.held.clone() })
    }

    fn judge(&mut self, look: &Look, begun: Instant) -> Option<Result<(), CliError>> {
        let lines = look.tasks.iter().map(|(slot, task)| (*slot, describe(task, &self.nodes))).collect();
        self.progress.show(&self.name, &lines, &look.held);
        if let Some(verdict) = look.verdict() {
            if verdict.is_ok() {
                let (serving, wanted) = (look.serving(), look.service.spec.replicas);
                let took = human(begun.elapsed());
                let version = look.service.deployment_version;
                self.progress.end();
                self.progress.say(&format!(
                    "{}: {serving} of {wanted} replicas serve, version {version}, after {took}",
                    self.name
                ));
            }
            return Some(verdict);
        }
        let unplaced = look.unplaced().filter(|_| !look.moves());
        let Some(reason) = unplaced else {
            self.stuck = None;
            return None;
        };
        let since = *self.stuck.get_or_insert_with(Instant::now);
        (since.elapsed() >= self.patience).then(|| {
            let error =
                CliError::new(NOT_PLACEABLE, format!("{}: a replica fits nowhere: {reason}", self.name));
            Err(error.hint("it is placed as soon as there is room; `orch node ls` shows what there is"))
        })
    }
}

/// Whether a failed look says nothing about the service.
pub(super) fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Broken { .. } | ClientError::Timeout { .. } => true,
        ClientError::Api(answer) => answer.is_transient(),
        _ => false,
    }
}

fn describe(task: &Task, nodes: &BTreeMap<String, String>) -> String {
    let mut text = format!("v{} {}", task.version, task.actual_status);
    if let Some(id) = &task.node_id {
        text.push_str(" on ");
        text.push_str(nodes.get(id).unwrap_or(id));
    }
    if task.attempt > 1 {
        text.push_str(&format!(", attempt {}", task.attempt));
    }
    if let Some(note) = &task.note {
        text.push_str(&format!(" ({note})"));
    }
    text
}

/// `850ms`, `12s`, `3m 5s`.
pub(super) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{seconds}s"),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{}m {}s", seconds / 60, seconds % 60),
    }
}

/// A line a replica: redrawn on a terminal, else told again whenever it changes.
struct Progress<'a> {
    out: &'a Output,
    live: Option<MultiProgress>,
    bars: BTreeMap<u32, ProgressBar>,
    waits: Option<ProgressBar>,
    told: BTreeMap<u32, String>,
    told_waits: BTreeSet<String>,
}

impl<'a> Progress<'a> {
    fn new(out: &'a Output) -> Self {
        let live = out.live.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self {
            out,
            live,
            bars: BTreeMap::new(),
            waits: None,
            told: BTreeMap::new(),
            told_waits: BTreeSet::new(),
        }
    }

    fn show(&mut self, name: &str, lines: &BTreeMap<u32, String>, held: &[String]) {
        let Some(live) = &self.live else {
            for (slot, line) in lines {
                if self.told.get(slot) != Some(line) {
                    self.out.note(format!("{name}.{slot}: {line}"));
                    self.told.insert(*slot, line.clone());
                }
            }
            self.told.retain(|slot, _| lines.contains_key(slot));
            for reason in held {
                if self.told_waits.insert(reason.clone()) {
                    self.out.note(format!("{name}: {reason}"));
                }
            }
            return;
        };
        let style = ProgressStyle::with_template("{spinner} {prefix} {wide_msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        for (slot, line) in lines {
            let bar = self.bars.entry(*slot).or_insert_with(|| {
                let bar = live.add(ProgressBar::new_spinner().with_style(style.clone()));
                bar.set_prefix(format!("{}.{slot}", printable(name)));
                bar.enable_steady_tick(Duration::from_millis(120));
                bar
            });
            bar.set_message(printable(line));
        }
        self.bars.retain(|slot, bar| {
            let stays = lines.contains_key(slot);
            if !stays {
                bar.finish_and_clear();
            }
            stays
        });
        match held.first() {
            None => {
                if let Some(bar) = self.waits.take() {
                    bar.finish_and_clear();
                }
            }
            Some(reason) => {
                let bar =
                    self.waits.get_or_insert_with(|| live.add(ProgressBar::new_spinner().with_style(style)));
                bar.set_message(printable(reason));
                bar.tick();
            }
        }
    }

    /// A line that stays.
    fn say(&self, text: &str) {
        match &self.live {
            Some(live) => live.suspend(|| self.out.note(text)),
            None => self.out.note(text),
        }
    }

    /// What the lines say last stays, and what is printed next begins below them.
    fn end(&mut self) {
        if self.live.take().is_none() {
            return;
        }
        for bar in self.bars.values().chain(&self.waits) {
            bar.abandon();
        }
        if !self.bars.is_empty() || self.waits.is_some() {
            self.out.note("");
        }
    }
}
