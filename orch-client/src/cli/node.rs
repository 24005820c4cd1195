//! `orch node …`: the cluster's machines.

use std::time::Duration;

use clap::Subcommand;
use orch_core::api::endpoint::{
    ApproveNodeKey, CordonNode, DrainNode, GetDrainStatus, GiveUpNode, ListNodes, Nothing, RemoveNode,
    ResetNode, RevokeNode, UncordonNode,
};
use orch_core::api::enrollment::{ApproveKeyRequest, ApprovedKey};
use orch_core::api::node::{
    DrainQuery, DrainStatus, DrainStatusAnswer, Node, NodeAnswer, NodesAnswer, RemoveQuery,
};

use orch_core::identity::KeyFingerprint;
use tokio::time::Instant;

use super::error::{CliError, INTERRUPTED, TIMED_OUT};
use super::output::{Output, age, bytes, cores, short};
use super::wait::{duration, human, is_passing};
use super::{node_token, resolve};
use crate::client::Client;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List nodes
    Ls,
    /// Everything about one node
    Inspect(One),
    /// Keep new tasks away; those that run stay
    Cordon(One),
    /// Empty a node: each task leaves once its replacement serves
    Drain {
        #[command(flatten)]
        one: One,
        /// Take the tasks that are left after this, replaced or not: 30s, 10m; no deadline unless it is given
        #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "force")]
        deadline: Option<Duration>,
        /// Take its tasks at once, replaced or not; passes a maintenance window
        #[arg(long)]
        force: bool,
        /// Wait until nothing is left on it
        #[arg(long)]
        wait: bool,
        /// Wait no longer than this: 30s, 10m (with --wait)
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "15m")]
        timeout: Duration,
    },
    /// How far a drain is
    DrainStatus(One),
    /// End a drain and a cordon
    Uncordon(One),
    /// Wait no longer for a node that is offline: its tasks are replaced
    GiveUp(One),
    /// End a node's identity for good, and replace its tasks at once
    Revoke(One),
    /// End a node's registration: it must register again, by its key
    Reset(One),
    /// Let a node come with another key, once: when its own was lost
    ApproveKey {
        #[command(flatten)]
        one: One,
        /// The key's fingerprint, as the agent says it when it is not let in: sha256:…
        fingerprint: KeyFingerprint,
        /// How long the approval holds, at most 24h
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1h")]
        within: Duration,
    },
    /// Make, list and revoke tokens that let new nodes in
    #[command(subcommand)]
    Token(node_token::Verb),
    /// Remove a node that is offline or revoked
    Rm {
        #[command(flatten)]
        one: One,
        /// The machine does not run any more, for certain: its stateful replicas are made anew elsewhere
        #[arg(long)]
        confirmed_dead: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Name or id
    node: String,
}

pub(super) async fn run(client: &Client, verb: &Verb, out: &Output) -> Result<(), CliError> {
    let nothing = Nothing {};
    let one = match verb {
        Verb::Ls => return list(client, out).await,
        Verb::Token(verb) => return node_token::run(client, verb, out).await,
        Verb::Inspect(one)
        | Verb::Cordon(one)
        | Verb::Drain { one, .. }
        | Verb::DrainStatus(one)
        | Verb::Uncordon(one)
        | Verb::GiveUp(one)
        | Verb::Revoke(one)
        | Verb::Reset(one)
        | Verb::ApproveKey { one, .. }
        | Verb::Rm { one, .. } => one,
    };
    let found = resolve::node(client, &one.node).await?;
    let path = [found.id.as_str()];
    let (node, done) = match verb {
        Verb::Ls | Verb::Token(_) => return Ok(()),
        Verb::Inspect(_) => return inspect(found, out),
        Verb::DrainStatus(_) => {
            let answer = client.call::<GetDrainStatus>(&path, &nothing, &nothing).await?;
            return drain_status(&found.hostname, answer.drain_status, out);
        }
        Verb::Rm { confirmed_dead, .. } => {
            let query = RemoveQuery { confirmed_dead: *confirmed_dead };
            client.call::<RemoveNode>(&path, &query, &nothing).await.map_err(|error| {
                let may_live = error.has_code("conflict") && error.to_string().contains("confirm");
                let error = CliError::from(error);
                if may_live { error.hint("--confirmed-dead says so") } else { error }
            })?;
            return if out.is_json() { Ok(()) } else { out.line(format!("{}: removed", found.hostname)) };
        }
        Verb::Cordon(_) => (
            client.call::<CordonNode>(&path, &nothing, &nothing).await?.node,
            "takes no new tasks".to_owned(),
        ),
        Verb::Drain { deadline, force, wait, timeout, .. } => {
            let within = if *force { Some(Duration::ZERO) } else { *deadline };
            let query = DrainQuery { deadline_seconds: within.map(|within| within.as_secs()), force: *force };
            let node = client.call::<DrainNode>(&path, &query, &nothing).await?.node;
            if *wait {
                until_drained(client, &node, *timeout, out).await?;
                (node, "nothing is left on it".to_owned())
            } else {
                (node, format!("draining; `orch node drain-status {}` says how far it is", found.hostname))
            }
        }
        Verb::Uncordon(_) => (
            client.call::<UncordonNode>(&path, &nothing, &nothing).await?.node,
            "takes tasks again".to_owned(),
        ),
        Verb::GiveUp(_) => {
            let node = client.call::<GiveUpNode>(&path, &nothing, &nothing).await?.node;
            (node, "given up; its tasks are replaced".to_owned())
        }
        Verb::Revoke(_) => {
            let node = client.call::<RevokeNode>(&path, &nothing, &nothing).await?.node;
            (node, "revoked; its tasks are replaced".to_owned())
        }
        Verb::Reset(_) => {
            let node = client.call::<ResetNode>(&path, &nothing, &nothing).await?.node;
            (node, "must register again".to_owned())
        }
        Verb::ApproveKey { fingerprint, within, .. } => {
            let request = ApproveKeyRequest {
                fingerprint: fingerprint.to_string(),
                within_seconds: Some(within.as_secs()),
            };
            let node = client.call::<ApproveNodeKey>(&path, &nothing, &request).await?.node;
            (node, format!("may come with that key within {}", human(*within)))
        }
    };
    if out.is_json() {
        out.json(&NodeAnswer { node })
    } else {
        out.line(format!("{}: {done}", node.hostname))
    }
}

/// Waits until a drain is complete, and says what is left whenever that changes. Interrupting it changes nothing on the server.
async fn until_drained(
    client: &Client,
    node: &Node,
    timeout: Duration,
    out: &Output,
) -> Result<(), CliError> {
    let name = &node.hostname;
    let end = Instant::now() + timeout;
    let again = format!("it goes on by itself; `orch node drain-status {name}` says how far it is");
    let mut told = String::new();
    let (path, nothing) = ([node.id.as_str()], Nothing {});
    loop {
        let look = client.call::<GetDrainStatus>(&path, &nothing, &nothing);
        let looked = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Err(CliError::new(INTERRUPTED, "no longer watching").hint(again)),
            looked = look => looked,
        };
        match looked {
            Ok(answer) => {
                let status = answer.drain_status;
                if matches!(status.phase.as_str(), "complete" | "offline") {
                    return Ok(());
                }
                if status.phase == "not_draining" {
                    return Err(CliError::failed(format!("{name}: the drain was ended by someone else")));
                }
                let line = format!(
                    "{name}: {} of {} tasks left; {} of {} replacements serve {}",
                    status.remaining_tasks,
                    status.total_tasks,
                    status.replacement_ready,
                    status.replacement_tasks,
                    status.message
                );
                if line != told {
                    out.note(line.trim_end());
                    told = line;
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= end {
            let message = format!("{name}: not drained within {}", human(timeout));
            return Err(CliError::new(TIMED_OUT, message).hint(again));
        }
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Err(CliError::new(INTERRUPTED, "no longer watching").hint(again)),
            () = tokio::time::sleep_until((Instant::now() + Duration::from_millis(500)).min(end)) => {}
        }
    }
}

async fn list(client: &Client, out: &Output) -> Result<(), CliError> {
    let mut nodes = client.call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await?.nodes;
    nodes.sort_by(|a, b| a.hostname.cmp(&b.hostname));
    if out.is_json() {
        return out.json(&NodesAnswer { nodes });
    }
    let row = |node: &Node| {
        vec![
            node.hostname.clone(),
            status(node),
            node.tasks.to_string(),
            format!("{} / {}", cores(node.reserved.cpu.0), cores(node.allocatable.cpu.0)),
            format!("{} / {}", bytes(node.reserved.memory.0), bytes(node.allocatable.memory.0)),
            node.advertise_address.clone(),
            age(node.last_heartbeat_at),
            node.agent_version.clone(),
            short(&node.id),
        ]
    };
    out.table(
        &["NAME", "STATUS", "TASKS", "CPU", "MEMORY", "ADDRESS", "SEEN", "AGENT", "ID"],
        nodes.iter().map(row).collect(),
        "no nodes yet; start `orch-agent` on a machine",
    )
}

/// The status, and all that is the matter beside it.
fn status(node: &Node) -> String {
    let cordoned = node.cordoned.then(|| "cordoned".to_owned());
    let conditions = node.conditions.iter().map(|condition| condition.kind.replace('_', " "));
    let all: Vec<_> = std::iter::once(node.status.clone()).chain(cordoned).chain(conditions).collect();
    all.join(", ")
}

fn inspect(node: Node, out: &Output) -> Result<(), CliError> {
    if out.is_json() {
        return out.json(&NodeAnswer { node });
    }
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
    };
    let amount = |r: orch_core::api::Resources| format!("{} CPU, {}", cores(r.cpu.0), bytes(r.memory.0));
    out.fields(&[
        ("Name", node.hostname.clone()),
        ("Id", node.id.clone()),
        ("Status", status(&node)),
        ("Conditions", conditions(&node)),
        ("Address", node.advertise_address.clone()),
        ("Labels", pairs(&node.labels)),
        ("Facts", pairs(&node.facts)),
        ("Capacity", amount(node.capacity)),
        ("Allocatable", amount(node.allocatable)),
        ("Reserved", amount(node.reserved)),
        ("Tasks", node.tasks.to_string()),
        ("Registration", node.incarnation.to_string()),
        ("Came in by", came_in_by(&node)),
        (
            "Key",
            node.key_fingerprint
                .clone()
                .unwrap_or_else(|| "none: its name is guarded by the token alone".to_owned()),
        ),
        ("Pinned labels", pairs(&node.pinned_labels)),
        ("Approved key", approved_key(&node)),
        ("Agent", node.agent_version.clone()),
        ("Last seen", format!("{} ({} ago)", node.last_heartbeat_at, age(node.last_heartbeat_at))),
        ("Registered", format!("{} ({} ago)", node.created_at, age(node.created_at))),
    ])
}

/// What let it in, who made that, and when.
fn came_in_by(node: &Node) -> String {
    let enrollment = &node.enrollment;
    let what = match (enrollment.method.as_str(), &enrollment.token_id) {
        ("one_time_token", Some(token)) => format!("one-time token {}", short(token)),
        ("static_token", _) => "the static token".to_owned(),
        ("approved_key", _) => "an approved key".to_owned(),
        ("open", _) => "nothing: enrolment was open".to_owned(),
        ("unknown" | "", _) => "not noted".to_owned(),
        (word, _) => word.to_owned(),
    };
    let by = enrollment.by.as_ref().map(|by| format!(" of {by}")).unwrap_or_default();
    let at = enrollment.at.map(|at| format!(", {at} ({} ago)", age(at))).unwrap_or_default();
    format!("{what}{by}{at}")
}

fn approved_key(node: &Node) -> String {
    let told = |approved: &ApprovedKey| {
        format!("{} by {}, until {}", approved.fingerprint, approved.by, approved.until)
    };
    node.approved_key.as_ref().map(told).unwrap_or_default()
}

/// Each with its sentence and its age.
fn conditions(node: &Node) -> String {
    let told = node.conditions.iter().map(|condition| {
        format!("{} for {}: {}", condition.kind, age(condition.last_transition_time), condition.message)
    });
    told.collect::<Vec<_>>().join("; ")
}

fn drain_status(name: &str, status: DrainStatus, out: &Output) -> Result<(), CliError> {
    if out.is_json() {
        return out.json(&DrainStatusAnswer { drain_status: status });
    }
    let capacity = if status.insufficient_capacity { "a replacement waits for room" } else { "" };
    out.fields(&[
        ("Node", name.to_owned()),
        ("Status", status.node_status.clone()),
        ("Drain", status.phase.clone()),
        ("Remaining", format!("{} of {} tasks", status.remaining_tasks, status.total_tasks)),
        ("Replacements", format!("{} of {} serve", status.replacement_ready, status.replacement_tasks)),
        ("Capacity", capacity.to_owned()),
        ("Deadline", status.deadline.map_or_else(String::new, |at| at.to_string())),
        ("Message", status.message.clone()),
    ])
}
