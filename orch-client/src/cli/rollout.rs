//! `orch rollout SERVICE --image IMAGE` and `orch rollout status|pause|continue|abort SERVICE`.

use clap::Subcommand;
use orch_core::api::Force;
use orch_core::api::deployment::{Deployment, DeploymentAnswer, RolloutRequest, SteerQuery};
use orch_core::api::endpoint::{
    AbortRollout, ContinueRollout, GetServiceRollout, GetWhy, Nothing, PauseRollout, RollOut,
};

use super::error::{CliError, USAGE};
use super::output::{Output, age};
use super::resolve;
use super::wait::{WaitArgs, human, until_done};
use crate::client::Client;

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Name or id
    #[arg(required = true)]
    service: Option<String>,
    /// The new image
    #[arg(long, required = true)]
    image: Option<String>,
    /// How many replicas may be missing
    #[arg(long, value_name = "N", default_value_t = 1)]
    max_unavailable: u32,
    /// How many tasks there may be above the replica count
    #[arg(long, value_name = "N", default_value_t = 1)]
    max_surge: u32,
    /// Pass a maintenance window
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The newest rollout of a service, and what it waits for
    Status {
        /// Name or id
        service: String,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Keep the rollout under way from replacing any further; lost and failed replicas are still replaced
    Pause(Steer),
    /// Let a paused rollout go on
    Continue {
        #[command(flatten)]
        steer: Steer,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// Break the rollout under way off, and go back to the version it came from
    Abort {
        #[command(flatten)]
        steer: Steer,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

#[derive(Debug, clap::Args)]
struct Steer {
    /// Name or id
    service: String,
    /// Why, for those who read the events: one line
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    match (&args.verb, &args.service, &args.image) {
        (Some(Verb::Status { service, wait }), ..) => status(client, service, wait, out).await,
        (
            Some(verb @ (Verb::Pause(steer) | Verb::Continue { steer, .. } | Verb::Abort { steer, .. })),
            ..,
        ) => self::steer(client, verb, steer, out).await,
        (None, Some(service), Some(image)) => begin(client, service, image, args, out).await,
        (None, ..) => Err(CliError::new(USAGE, "a service and --image are needed")),
    }
}

async fn begin(client: &Client, name: &str, image: &str, args: &Args, out: &Output) -> Result<(), CliError> {
    let service = resolve::service(client, name).await?;
    let limits = (args.max_unavailable, args.max_surge);
    if limits == (0, 0) {
        return Err(CliError::new(
            USAGE,
            "--max-unavailable 0 and --max-surge 0 leave no room for a rollout",
        ));
    }
    let body = RolloutRequest { image: image.to_owned(), max_unavailable: limits.0, max_surge: limits.1 };
    let query = Force { force: args.force };
    let deployment = client.call::<RollOut>(&[&service.id], &query, &body).await?.deployment;
    let name = &service.spec.name;
    if !out.is_json() {
        let (from, to) = (deployment.from_version, deployment.to_version);
        out.line(format!("{name}: rolling out version {from} → {to}: {image}"))?;
    }
    let waited = match args.wait.wait {
        true => until_done(client, &service, Some(&deployment), &args.wait, out).await,
        false => Ok(()),
    };
    if out.is_json() {
        out.json(&DeploymentAnswer { deployment })?;
    }
    waited
}

async fn steer(client: &Client, verb: &Verb, steer: &Steer, out: &Output) -> Result<(), CliError> {
    let service = resolve::service(client, &steer.service).await?;
    let path = [service.id.as_str()];
    let (query, nothing) = (SteerQuery { reason: steer.reason.clone() }, Nothing {});
    let (deployment, wait) = match verb {
        Verb::Pause(_) => (client.call::<PauseRollout>(&path, &query, &nothing).await?.deployment, None),
        Verb::Continue { wait, .. } => {
            (client.call::<ContinueRollout>(&path, &query, &nothing).await?.deployment, Some(wait))
        }
        Verb::Abort { wait, .. } => {
            (client.call::<AbortRollout>(&path, &query, &nothing).await?.deployment, Some(wait))
        }
        Verb::Status { .. } => return Ok(()),
    };
    let name = &service.spec.name;
    let (from, to) = (deployment.from_version, deployment.to_version);
    let told = match verb {
        Verb::Pause(_) => {
            format!(
                "{name}: the rollout of version {to} is paused; `orch rollout continue {name}` lets it go on"
            )
        }
        Verb::Continue { .. } => format!("{name}: the rollout of version {to} goes on"),
        _ => format!("{name}: going back, version {from} → {to}"),
    };
    if !out.is_json() {
        out.line(told)?;
    }
    let waited = match wait {
        Some(wait) if wait.wait => until_done(client, &service, Some(&deployment), wait, out).await,
        _ => Ok(()),
    };
    if out.is_json() {
        out.json(&DeploymentAnswer { deployment })?;
    }
    waited
}

async fn status(client: &Client, name: &str, wait: &WaitArgs, out: &Output) -> Result<(), CliError> {
    let service = resolve::service(client, name).await?;
    let nothing = Nothing {};
    let newest = client.call::<GetServiceRollout>(&[&service.id], &nothing, &nothing).await;
    let deployment = match newest {
        Ok(answer) => answer.deployment,
        Err(error) if error.has_code("not_found") => {
            return Err(CliError::failed(format!("{name}: nothing was rolled out yet")));
        }
        Err(error) => return Err(error.into()),
    };
    if wait.wait {
        until_done(client, &service, Some(&deployment), wait, out).await?;
        let deployment =
            client.call::<GetServiceRollout>(&[&service.id], &nothing, &nothing).await?.deployment;
        return show(&service.spec.name, deployment, &[], out);
    }
    let held = client.call::<GetWhy>(&[&service.id], &nothing, &nothing).await?.held;
    let held: Vec<String> = held.into_iter().map(|held| held.reason).collect();
    show(&service.spec.name, deployment, &held, out)
}

fn show(name: &str, deployment: Deployment, held: &[String], out: &Output) -> Result<(), CliError> {
    if out.is_json() {
        return out.json(&DeploymentAnswer { deployment });
    }
    let time = |at: Option<orch_core::api::Time>| {
        at.map_or_else(String::new, |at| format!("{at} ({} ago)", age(at)))
    };
    out.fields(&[
        ("Service", name.to_owned()),
        ("Rollout", deployment.id.clone()),
        ("Status", deployment.status.clone()),
        ("Version", format!("{} → {}", deployment.from_version, deployment.to_version)),
        ("Reason", deployment.reason.clone().unwrap_or_default()),
        ("Max unavailable", deployment.max_unavailable.to_string()),
        ("Max surge", deployment.max_surge.to_string()),
        ("Begun", time(Some(deployment.created_at))),
        ("Ended", time(deployment.completed_at)),
        ("Paused", time(deployment.paused_at)),
        ("Deadline", deadline(&deployment)),
    ])?;
    for reason in held {
        out.line(format!("Waits for:  {reason}"))?;
    }
    Ok(())
}

/// When it fails; while it is paused, how much was left.
fn deadline(deployment: &Deployment) -> String {
    match (deployment.deadline, deployment.paused_at) {
        (None, _) => String::new(),
        (Some(at), None) => at.to_string(),
        (Some(at), Some(since)) => match at.0.since(since.0) {
            left if left.is_zero() => "rests; anew when it goes on".to_owned(),
            left => format!("rests; {} left when it goes on", human(left)),
        },
    }
}
