//! `orch plan FILE…`: what a deploy would do.

use std::path::PathBuf;

use orch_core::api::endpoint::{Nothing, Plan};
use orch_core::api::plan::{PlanAnswer, PlanStep};
use orch_core::api::service::SpecRequest;
use orch_core::api::spec::ServiceSpec;

use super::error::CliError;
use super::output::Output;
use super::validate;
use super::wait::human;
use crate::call::CallOptions;
use crate::client::Client;
use crate::error::ClientError;

/// With `--detailed-exitcode`: something would change.
const CHANGES: u8 = 2;
/// With `--detailed-exitcode`: something would change, and would not come to its end.
const FALLS_SHORT: u8 = 3;
/// How many steps are printed of each service.
const STEPS_SHOWN: usize = 40;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Deploy files; - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Refuse unless the service is at this revision, as `service inspect` shows it
    #[arg(long, value_name = "REVISION")]
    if_revision: Option<u64>,
    /// End with 0: nothing would change, 2: something would, 3: it would, and not all of it would fit or be done in time
    #[arg(long)]
    detailed_exitcode: bool,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    let services = validate::read(&args.files)?;
    let plans = plan_all(client, &services, args.if_revision).await?;
    if out.is_json() {
        out.json(&plans)?;
    } else {
        plans.iter().try_for_each(|plan| tell(plan, out))?;
        let count = |action: &str| plans.iter().filter(|plan| plan.action == action).count();
        let (new, changed, same) = (count("create"), count("change"), count("none"));
        out.line(format!(
            "Plan: {new} to create, {changed} to change, {same} unchanged; nothing was written"
        ))?;
    }
    let short = plans.iter().any(falls_short);
    match plans.iter().any(|plan| plan.action != "none") {
        _ if !args.detailed_exitcode => Ok(()),
        true if short => Err(CliError::new(FALLS_SHORT, "")),
        true => Err(CliError::new(CHANGES, "")),
        false => Ok(()),
    }
}

/// Plans every service; what is wrong with any of them is told together.
pub(super) async fn plan_all(
    client: &Client,
    services: &[(String, ServiceSpec)],
    if_revision: Option<u64>,
) -> Result<Vec<PlanAnswer>, CliError> {
    let options = revision_of(if_revision, services.len())?;
    let (mut plans, mut refused) = (Vec::new(), Vec::new());
    for (file, spec) in services {
        let body = SpecRequest { spec: spec.clone() };
        match client.call_with::<Plan>(&[], &Nothing {}, &body, &options).await {
            Ok(plan) => plans.push(plan),
            Err(error @ ClientError::Api(_)) => refused.push(in_file(file, &spec.name, error)),
            Err(error) => return Err(error.into()),
        }
    }
    let mut refused = refused.into_iter();
    let Some(mut first) = refused.next() else { return Ok(plans) };
    for error in refused {
        if let Some(hint) = first.hint.take() {
            first.message = format!("{}\n{hint}", first.message);
        }
        first.message = format!("{}\n{}", first.message, error.message);
        first.hint = error.hint;
    }
    Err(first)
}

/// An answer about one service of a file.
pub(super) fn in_file(file: &str, service: &str, error: ClientError) -> CliError {
    let mut error = CliError::from(error);
    error.message = format!("{file}: service {service}: {}", error.message);
    error
}

/// The revision that the caller saw; of one service only, for each has its own.
pub(super) fn revision_of(if_revision: Option<u64>, services: usize) -> Result<CallOptions, CliError> {
    if if_revision.is_some() && services != 1 {
        let message = format!("--if-revision is about one service; the files hold {services}");
        return Err(CliError::new(super::error::USAGE, message));
    }
    Ok(CallOptions { if_match: if_revision, ..CallOptions::default() })
}

/// Not all that is asked for would come true.
pub(super) fn falls_short(plan: &PlanAnswer) -> bool {
    matches!(plan.ending.as_str(), "waits" | "fails")
}

/// What a plan says, for people.
pub(super) fn tell(plan: &PlanAnswer, out: &Output) -> Result<(), CliError> {
    let (name, version) = (&plan.service.spec.name, plan.service.deployment_version);
    match plan.action.as_str() {
        "none" => return out.line(format!("{name}: unchanged, version {version}")),
        "create" => out.line(format!(
            "{name}: would be created: {} × {}",
            plan.service.spec.replicas, plan.service.spec.image
        ))?,
        _ if plan.rollout => {
            out.line(format!("{name}: would be changed, version {} → {version}", plan.from_version))?;
        }
        _ => out.line(format!("{name}: would be changed, no replica is replaced for it"))?,
    }
    for change in &plan.changes {
        let sign = match change.kind.as_str() {
            "added" => '+',
            "removed" => '-',
            _ => '~',
        };
        let value = match (&change.before, &change.after) {
            (Some(before), Some(after)) => format!("{before} → {after}"),
            (None, Some(value)) | (Some(value), None) => value.clone(),
            (None, None) => String::new(),
        };
        out.line(format!("  {sign} {}: {value}", change.field))?;
    }
    if plan.rollout {
        let how = match plan.handover.as_str() {
            "stop_first" => "a fixed port: each old replica stops before its new one starts",
            "one_owner" => "stateful: each old replica stops before its new one is made",
            _ => "each new replica serves before its old one stops",
        };
        let (surge, missing) = (plan.max_surge, plan.max_unavailable);
        out.line(format!(
            "  rollout: {how}; at most {surge} more and {missing} fewer than wanted meanwhile"
        ))?;
    }
    steps(plan, out)?;
    shortcomings(plan, out)
}

fn steps(plan: &PlanAnswer, out: &Output) -> Result<(), CliError> {
    let name = &plan.service.spec.name;
    let told: Vec<_> = plan.steps.iter().filter(|step| step.action != "rollout").collect();
    for step in told.iter().take(STEPS_SHOWN) {
        let seconds = human(std::time::Duration::from_secs(step.after_seconds));
        let when = if step.after_seconds == 0 { "now".to_owned() } else { format!("after {seconds}") };
        out.line(format!("  {when:>10}  {}", step_line(name, step)))?;
    }
    if told.len() > STEPS_SHOWN {
        out.line(format!("              … and {} more", told.len() - STEPS_SHOWN))?;
    }
    Ok(())
}

fn step_line(name: &str, step: &PlanStep) -> String {
    let replica = step.slot.map_or_else(|| name.to_owned(), |slot| format!("{name}.{slot}"));
    let on = step.node.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
    let note = step.note.as_deref().unwrap_or_default();
    match step.action.as_str() {
        "start" => format!("+ {replica}{on}"),
        "wait" => format!("? {replica}: {note}"),
        "stop" => format!("- {replica}{on}: {note}"),
        "fetch" => format!("~ {replica}{on}: {note}"),
        "move" => format!("= {replica} becomes {name}.{note}"),
        other => format!("{other} {replica}{on} {note}"),
    }
}

fn shortcomings(plan: &PlanAnswer, out: &Output) -> Result<(), CliError> {
    let name = &plan.service.spec.name;
    for unplaced in &plan.unplaced {
        out.line(format!("  ! {name}.{} fits nowhere: {}", unplaced.slot, unplaced.reason))?;
        for unfit in &unplaced.nodes {
            out.line(format!("      {}: {}", unfit.node, unfit.reason))?;
        }
    }
    let placed = |slot: Option<u32>| plan.unplaced.iter().all(|unplaced| Some(unplaced.slot) != slot);
    for held in plan.held.iter().filter(|held| placed(held.slot)) {
        let replica = held.slot.map_or_else(String::new, |slot| format!(".{slot}"));
        out.line(format!("  ! {name}{replica}: {}", held.reason))?;
    }
    match plan.ending.as_str() {
        "fails" => {
            let why = plan.reason.as_deref().unwrap_or_default();
            out.line(format!("  ! even with every replica up at once it would fail: {why}"))
        }
        "cut" => out.line("  … only the beginning was tried; the rest goes on in the same way"),
        _ if plan.at_least_seconds > 0 => {
            let time = human(std::time::Duration::from_secs(plan.at_least_seconds));
            out.line(format!("  it takes at least {time}"))
        }
        _ => Ok(()),
    }
}
