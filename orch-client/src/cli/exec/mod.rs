//! `orch exec`: a command inside a container, as if one sat before it.

mod terminal;

use std::io::{IsTerminal as _, Write as _};

use futures_util::stream;
use orch_core::api::endpoint::{ListTasks, Nothing};
use orch_core::api::exec::{ExecFrame, ExecQuery};
use orch_core::api::task::{Task, TasksQuery};
use tokio::sync::mpsc;

use super::error::{CliError, INTERRUPTED, USAGE};
use super::output::{Output, short};
use super::resolve::{self, Target};
use crate::client::Client;
use terminal::Raw;

/// What is read from standard input at once.
const BLOCK: usize = 32 << 10;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A service, of which a running replica is taken, or a task: the beginning of its id as `service ps` shows it
    target: String,
    /// Pass standard input on
    #[arg(long, short)]
    interactive: bool,
    /// With a terminal: for shells and editors, together with -i
    #[arg(long, short)]
    tty: bool,
    /// This replica of the service
    #[arg(long, value_name = "N")]
    replica: Option<u32>,
    /// The command and its arguments, after --
    #[arg(required = true, last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// The exit code is the command's.
pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    if args.tty && !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        let message = "-t needs a terminal on standard input and standard output";
        return Err(CliError::new(USAGE, message).hint("leave -t out where orch is part of a pipe"));
    }
    let task = choose(client, args).await?;
    let query = ExecQuery {
        command: serde_json::to_string(&args.command).map_err(|e| CliError::failed(e.to_string()))?,
        tty: args.tty,
        stdin: args.interactive,
    };
    let (frames, mut sent) = mpsc::channel(4);
    let input = stream::poll_fn(move |context| sent.poll_recv(context));
    let size = if args.tty { terminal::size() } else { None };
    if let Some(size) = size {
        // The channel is empty: there is room.
        let _ = frames.try_send(ExecFrame::Resize(size));
    }
    let mut session = client.exec(&task.id, &query, input).await?;
    let raw = if args.tty { Some(Raw::enter()?) } else { None };
    let resizes = args.tty.then(|| tokio::spawn(terminal::pass_sizes(frames.clone())));
    if args.interactive {
        std::thread::spawn(move || read_input(&frames));
    } else if !args.tty {
        drop(frames);
    }
    let ended = show(&mut session, args.tty).await;
    if let Some(resizes) = resizes {
        resizes.abort();
    }
    drop(raw);
    match ended? {
        0 => Ok(()),
        code => {
            if !(1..=255).contains(&code) {
                out.note(format!("orch: the command ended with {code}"));
            }
            Err(CliError::new(u8::try_from(code).unwrap_or(255), ""))
        }
    }
}

async fn show(session: &mut crate::exec::ExecStream, tty: bool) -> Result<i32, CliError> {
    loop {
        let frame = tokio::select! {
            biased;
            frame = session.next() => frame?,
            // In a terminal of its own, Ctrl-C is a key like others.
            _ = tokio::signal::ctrl_c(), if !tty => return Err(CliError::new(INTERRUPTED, "")),
        };
        let written =
            match frame {
                Some(ExecFrame::Stdout(bytes)) => {
                    let mut to = std::io::stdout().lock();
                    to.write_all(&bytes).and_then(|()| to.flush())
                }
                Some(ExecFrame::Stderr(bytes)) => std::io::stderr().lock().write_all(&bytes),
                Some(ExecFrame::Exit(code)) => return Ok(code),
                Some(ExecFrame::Failed(why)) => return Err(CliError::failed(why)),
                Some(_) => Ok(()),
                None => return Err(CliError::failed("the connection ended before the command did").hint(
                    "the task or its node went away, or you may no longer do this; the command may still run",
                )),
            };
        if let Err(error) = written {
            return match error.kind() {
                std::io::ErrorKind::BrokenPipe => Err(CliError::new(super::error::FAILED, "")),
                _ => Err(CliError::failed(format!("cannot print: {error}"))),
            };
        }
    }
}

/// On a thread of its own, which the process does not wait for: a read of standard input cannot be given up.
fn read_input(frames: &mpsc::Sender<ExecFrame>) {
    use std::io::Read as _;
    let mut block = vec![0; BLOCK];
    loop {
        let frame = match std::io::stdin().lock().read(&mut block) {
            Ok(read) if read > 0 => ExecFrame::Input(bytes::Bytes::copy_from_slice(&block[..read])),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            _ => ExecFrame::InputEnd,
        };
        let last = frame == ExecFrame::InputEnd;
        if frames.blocking_send(frame).is_err() || last {
            return;
        }
    }
}

async fn choose(client: &Client, args: &Args) -> Result<Task, CliError> {
    let mut tasks = match resolve::target(client, &args.target).await? {
        Target::Task(task) => vec![*task],
        Target::Service(service) => {
            let query = TasksQuery { service_id: Some(service.id), ..TasksQuery::default() };
            client.call::<ListTasks>(&[], &query, &Nothing {}).await?.tasks
        }
    };
    tasks.retain(resolve::runs);
    tasks.sort_by_key(|task| (task.actual_status != "healthy", task.slot));
    tasks.retain(|task| args.replica.is_none_or(|replica| task.slot == replica));
    let what = args.replica.map_or_else(String::new, |replica| format!(" as replica {replica}"));
    let task = tasks.into_iter().next();
    task.ok_or_else(|| CliError::failed(format!("nothing of `{}` runs{what}", short(&args.target))))
}
