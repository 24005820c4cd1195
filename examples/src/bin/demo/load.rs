//! A client as users have them: it reads where the service is every second, opens a connection for each request, never
//! retries, and counts what went wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use orch_client::Client;
use orch_core::api::discovery::EndpointsQuery;
use orch_core::api::endpoint::{GetEndpoints, Nothing};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const WORKERS: usize = 4;
const REREAD: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of the requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Answered with 2xx.
    pub(crate) good: AtomicU64,
    /// Refused, reset, cut off or answered with something else.
    pub(crate) bad: AtomicU64,
}

/// Load that runs until it is stopped.
pub(crate) struct Load {
    tally: Arc<Tally>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    began: Instant,
}

impl Load {
    /// Begins, on the service of that id.
    pub(crate) fn begin(client: &Client, service: &str) -> Self {
        let tally = Arc::new(Tally::default());
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (tell, addresses) = watch::channel(Vec::new());
        tasks.spawn(reread(client.clone(), service.to_owned(), tell, stop.clone()));
        let turn = Arc::new(AtomicUsize::new(0));
        for _ in 0..WORKERS {
            tasks.spawn(request(addresses.clone(), Arc::clone(&turn), Arc::clone(&tally), stop.clone()));
        }
        Self { tally, stop, tasks, began: Instant::now() }
    }

    /// Ends, and answers good, bad and for how long.
    pub(crate) async fn end(mut self) -> (u64, u64, Duration) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&self.tally.good), count(&self.tally.bad), self.began.elapsed())
    }
}

async fn reread(client: Client, service: String, tell: watch::Sender<Vec<String>>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let query = EndpointsQuery::default();
        if let Ok(found) = client.call::<GetEndpoints>(&[&service], &query, &Nothing {}).await {
            let address = |e: &orch_core::api::discovery::Endpoint| {
                format!("{}:{}", e.node_address, e.public_host_port)
            };
            tell.send_replace(found.endpoints.iter().map(address).collect());
        }
        let _ = tokio::time::timeout(REREAD, stop.cancelled()).await;
    }
}

async fn request(
    addresses: watch::Receiver<Vec<String>>,
    turn: Arc<AtomicUsize>,
    tally: Arc<Tally>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let next = {
            let known = addresses.borrow();
            let at = turn.fetch_add(1, Ordering::Relaxed) % known.len().max(1);
            known.get(at).cloned()
        };
        if let Some(address) = next {
            let answered = tokio::time::timeout(PATIENCE, get(&address, "/")).await;
            let counter = if matches!(answered, Ok(Ok((200..=299, _)))) { &tally.good } else { &tally.bad };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// One request on a connection of its own: status and body.
pub(crate) async fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").as_bytes())
        .await?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.trim().to_owned());
    match (status, body) {
        (Some(status), Some(body)) => Ok((status, body)),
        _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}
