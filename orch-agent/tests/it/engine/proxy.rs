//! A way to the engine that can be made bad: it delays nothing by itself, and does to a request what the test ordered.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use orch_runtime::docker::DockerSocket;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// What happens to a request.
pub(super) enum Trouble {
    /// The engine does it, and the answer is 500.
    AfterDoing,
    /// The engine does not hear of it, and the answer is 500 with these words.
    Refused(String),
    /// It is never answered, and never done.
    Hangs,
}

/// A socket beside the engine's. What goes through it reaches the engine, unless something was ordered.
pub(super) struct Proxy {
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

#[derive(Default)]
struct Orders {
    /// Method, what the path holds, and what happens to the next request of that kind.
    next: Vec<(&'static str, &'static str, Trouble)>,
    eats_deaths: bool,
    away: bool,
}

struct Shared {
    engine: PathBuf,
    orders: Mutex<Orders>,
    connections: Mutex<JoinSet<()>>,
}

impl Proxy {
    pub(super) fn start(engine: &DockerSocket) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("engine.sock")).unwrap();
        let shared = Arc::new(Shared {
            engine: engine.path().to_owned(),
            orders: Mutex::default(),
            connections: Mutex::default(),
        });
        let (mut serving, accepting) = (JoinSet::new(), Arc::clone(&shared));
        serving.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if !accepting.orders.lock().unwrap().away {
                    accepting.connections.lock().unwrap().spawn(serve(Arc::clone(&accepting), stream));
                }
            }
        });
        Self { folder, shared, _serving: serving }
    }

    pub(super) fn socket(&self) -> DockerSocket {
        DockerSocket::at(self.folder.path().join("engine.sock"))
    }

    /// Does this to the next request of that method whose path ends so.
    pub(super) fn next(&self, method: &'static str, path: &'static str, trouble: Trouble) {
        self.shared.orders.lock().unwrap().next.push((method, path, trouble));
    }

    /// Whether all that was ordered has happened.
    pub(super) fn is_done(&self) -> bool {
        self.shared.orders.lock().unwrap().next.is_empty()
    }

    /// From now on the engine tells of no death.
    pub(super) fn eat_deaths(&self) {
        self.shared.orders.lock().unwrap().eats_deaths = true;
    }

    /// Cuts the engine off, connections that are open included, or lets it be reached again.
    pub(super) fn away(&self, away: bool) {
        self.shared.orders.lock().unwrap().away = away;
        if away {
            self.shared.connections.lock().unwrap().abort_all();
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: UnixStream) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(pass(&shared, request).await) }
    });
    // An end of the connection is the client's business.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn pass(shared: &Shared, request: Request<Incoming>) -> Response<Body> {
    let trouble = {
        let mut orders = shared.orders.lock().unwrap();
        let path = request.uri().path();
        let at =
            orders.next.iter().position(|(method, end, _)| request.method() == method && path.ends_with(end));
        at.map(|at| orders.next.remove(at).2)
    };
    match trouble {
        Some(Trouble::Hangs) => std::future::pending().await,
        Some(Trouble::Refused(words)) => return refusal(&words),
        Some(Trouble::AfterDoing) => {
            let done = forward(&shared.engine, request).await.into_body().collect().await;
            done.unwrap();
            return refusal("overloaded");
        }
        None => {}
    }
    let tells_events = request.uri().path().ends_with("/events");
    let response = forward(&shared.engine, request).await;
    if tells_events && shared.orders.lock().unwrap().eats_deaths {
        return response.map(without_deaths);
    }
    response.map(|body| body.boxed_unsync())
}

async fn forward(engine: &Path, request: Request<Incoming>) -> Response<Incoming> {
    let stream = UnixStream::connect(engine).await.unwrap();
    let (mut requests, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    requests.send_request(request).await.unwrap()
}

fn refusal(words: &str) -> Response<Body> {
    let body = serde_json::json!({ "message": words }).to_string();
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(500).header("content-type", "application/json").body(body).unwrap()
}

/// The events, an object a line, without those that tell a death.
fn without_deaths(body: Incoming) -> Body {
    let lines = stream::unfold(
        (BodyStream::new(body), Vec::new()),
        |(mut body, mut rest): (_, Vec<u8>)| async move {
            loop {
                if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let tail = rest.split_off(end + 1);
                    let line = std::mem::replace(&mut rest, tail);
                    if String::from_utf8_lossy(&line).contains("\"die\"") {
                        continue;
                    }
                    return Some((Ok(Frame::data(Bytes::from(line))), (body, rest)));
                }
                match body.next().await? {
                    Ok(frame) => rest.extend_from_slice(&frame.into_data().unwrap_or_default()),
                    Err(error) => return Some((Err(error), (body, rest))),
                }
            }
        },
    );
    StreamBody::new(lines).boxed_unsync()
}
