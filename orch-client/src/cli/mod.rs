//! The `orch` command: words and tables over [`Client`](crate::Client). A file per verb; nothing here decides anything.
//!
//! Exit status: 0 done; 1 failed, or rolled back; 2 nothing fits (a replica cannot be placed); 64 wrong usage; 124 not done in
//! time; 130 interrupted.

mod audit;
mod auth;
mod completion;
mod delete;
mod deploy;
mod endpoints;
mod error;
mod events;
mod exec;
mod global;
mod history;
mod logs;
mod man;
mod namespace;
mod node;
mod node_token;
mod output;
mod plan;
mod rebalance;
mod resolve;
mod restart;
mod rollback;
mod rollout;
mod scale;
mod service;
mod stats;
mod token;
mod user;
mod validate;
mod version;
mod wait;
mod whoami;
mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CliError;
use global::Global;
use output::Output;

/// Deploys and watches services on a cluster of container nodes.
#[derive(Debug, Parser)]
#[command(
    name = "orch",
    version,
    disable_help_subcommand = false,
    arg_required_else_help = true,
    max_term_width = 110,
    after_help = "Begin with:\n  orch deploy web.yaml --wait     say what should run, and watch it come up\n  orch service ps web             where its replicas are\n  orch why web                    why it is not as it should be\n  orch logs web -f                what they say"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print the version of this command, and of the server if one is configured
    Version,
    /// Check deploy files without a server
    Validate(validate::Args),
    /// Say what a deploy would do: what differs, where replicas would go, in which order, and what would not fit
    Plan(plan::Args),
    /// Create services, or change them to what the files say
    Deploy(deploy::Args),
    /// List and inspect services
    #[command(subcommand)]
    Service(service::Verb),
    /// Change how many replicas a service has
    Scale(scale::Args),
    /// Roll out another image; look at a rollout, pause it, let it go on, or break it off
    Rollout(rollout::Args),
    /// Replace every replica, one after the other, without a change
    Restart(restart::Args),
    /// Which replicas would run better elsewhere, after nodes joined or came back; let them move
    Rebalance(rebalance::Args),
    /// The versions of a service: who made them, when, and what changed
    History(history::Args),
    /// Go back to an earlier version
    Rollback(rollback::Args),
    /// Take services down
    Delete(delete::Args),
    /// Where a service is reached
    Endpoints(endpoints::Args),
    /// Why a service, a replica, a task or a node is as it is
    Why(why::Args),
    /// What containers print
    Logs(logs::Args),
    /// What containers use: processor, memory, network, disk
    Stats(stats::Args),
    /// The same, again and again, the busiest first
    Top(stats::TopArgs),
    /// Run a command inside a container
    Exec(exec::Args),
    /// What happened
    Events(events::Args),
    /// Who did what
    Audit(audit::Args),
    /// Look after the cluster's machines
    #[command(subcommand)]
    Node(node::Verb),
    /// Look after namespaces
    #[command(subcommand)]
    Namespace(namespace::Verb),
    /// Look after users and the API tokens of service accounts
    #[command(subcommand)]
    User(user::Verb),
    /// What you may
    #[command(subcommand)]
    Auth(auth::Verb),
    /// Make tokens for users
    #[command(subcommand)]
    Token(token::Verb),
    /// Who the server takes you for, and what you may
    Whoami,
    /// Print a completion script for a shell
    Completion(completion::Args),
    /// Write the manual pages of this command and of each of its verbs
    Man(man::Args),
}

/// Runs the command with this process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    run_from(std::env::args_os())
}

/// Runs the command with these arguments, the first of which is the command's own name. Brings a runtime of its own, so it must
/// not be called from within one.
#[must_use]
pub fn run_from<T: Into<std::ffi::OsString> + Clone>(arguments: impl IntoIterator<Item = T>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe is no reason to fail: `orch --help | head`.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { error::USAGE } else { 0 });
        }
    };
    let output = Output::new(cli.global.output);
    match dispatch(cli, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.code)
        }
    }
}

fn dispatch(cli: Cli, out: &Output) -> Result<(), CliError> {
    let Cli { global, verb } = cli;
    // These need no server, and so no runtime.
    match &verb {
        Verb::Validate(args) => return validate::run(args, out),
        Verb::Token(verb) => return token::run(verb, out),
        Verb::Completion(args) => return completion::run(args),
        Verb::Man(args) => return man::run(args, out),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::failed(format!("no runtime: {e}")))?;
    runtime.block_on(async move {
        let client = || global.client();
        match verb {
            Verb::Version => version::run(&global, out).await,
            Verb::Plan(args) => plan::run(&client()?, &args, out).await,
            Verb::Deploy(args) => deploy::run(&client()?, &args, out).await,
            Verb::Service(verb) => service::run(&client()?, &verb, out).await,
            Verb::Scale(args) => scale::run(&client()?, &args, out).await,
            Verb::Rollout(args) => rollout::run(&client()?, &args, out).await,
            Verb::Restart(args) => restart::run(&client()?, &args, out).await,
            Verb::Rebalance(args) => rebalance::run(&client()?, &args, out).await,
            Verb::History(args) => history::run(&client()?, &args, out).await,
            Verb::Rollback(args) => rollback::run(&client()?, &args, out).await,
            Verb::Delete(args) => delete::run(&client()?, &args, out).await,
            Verb::Endpoints(args) => endpoints::run(&client()?, &args, out).await,
            Verb::Why(args) => why::run(&client()?, &args, out).await,
            Verb::Logs(args) => logs::run(&client()?, &args, out).await,
            Verb::Stats(args) => stats::run(&client()?, &args, out).await,
            Verb::Top(args) => stats::top(&client()?, &args, out).await,
            Verb::Exec(args) => exec::run(&client()?, &args, out).await,
            Verb::Events(args) => events::run(&client()?, &args, out).await,
            Verb::Audit(args) => audit::run(&client()?, &args, out).await,
            Verb::Node(verb) => node::run(&client()?, &verb, out).await,
            Verb::Namespace(verb) => namespace::run(&client()?, &verb, out).await,
            Verb::User(verb) => user::run(&client()?, &verb, out).await,
            Verb::Auth(verb) => auth::run(&client()?, &verb, out).await,
            Verb::Whoami => whoami::run(&client()?, out).await,
            Verb::Validate(_) | Verb::Token(_) | Verb::Completion(_) | Verb::Man(_) => {
                unreachable!("answered above")
            }
        }
    })
}

/// The command's grammar, for completion scripts and tests.
fn grammar() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_grammar_holds_together() {
        super::grammar().debug_assert();
    }
}
