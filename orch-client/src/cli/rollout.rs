//! `orch rollout SERVICE --image IMAGE` and `orch rollout status SERVICE`.

use clap::Subcommand;
use orch_core::api::Force;
use orch_core::api::deployment::{Deployment, DeploymentAnswer, RolloutRequest};
use orch_core::api::endpoint::{GetServiceRollout, GetWhy, Nothing, RollOut};

use super::error::{CliError, USAGE};
use super::output::{Output, age};
use super::resolve;
use super::wait::{WaitArgs, until_done};
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
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    match (&args.verb, &args.service, &args.image) {
        (Some(Verb::Status { service, wait }), ..) => status(client, service, wait, out).await,
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
        ("Deadline", deployment.deadline.map_or_else(String::new, |at| at.to_string())),
    ])?;
    for reason in held {
        out.line(format!("Waits for:  {reason}"))?;
    }
    Ok(())
}
