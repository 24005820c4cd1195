//! Logs as they come, and events as they happen.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use orch_core::api::endpoint::{GetLogs, ListEvents, Nothing};
use orch_core::api::event::{Event, EventFrame, EventsQuery};
use orch_core::api::logs::LogsQuery;

use crate::call::outgoing;
use crate::client::Client;
use crate::error::ClientError;
use crate::transport::retry::RetryPolicy;

/// A longer line comes in pieces: 256 KiB.
const MAX_LINE: usize = 256 << 10;

/// A log, line by line.
pub struct LogStream {
    server: String,
    body: Incoming,
    buffer: BytesMut,
    ended: bool,
}

impl Client {
    /// Opens the log of a task, or of all tasks of a service. Every server is asked once: whoever waits for a log is there to ask
    /// again.
    ///
    /// # Errors
    /// See [`ClientError`]; a log that cannot be had is [`ClientError::Api`].
    pub async fn logs(&self, query: &LogsQuery) -> Result<LogStream, ClientError> {
        let request = outgoing::<GetLogs>(&[], query, &Nothing {}, self.headers(), self.timeout)?;
        let (server, body) = self.transport.open(&request, &RetryPolicy::one_round()).await?;
        Ok(LogStream { server, body, buffer: BytesMut::new(), ended: false })
    }

    /// Follows events: what matches `query` already, the newest `limit` or all that come after its `after`, then what comes.
    #[must_use]
    pub fn follow_events(&self, query: EventsQuery) -> EventFollower {
        let query = EventsQuery { follow: true, ..query };
        EventFollower { client: self.clone(), query, seen: BTreeSet::new(), stream: None }
    }
}

impl LogStream {
    /// Which server answers.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The next line without its end; `None` at the end of the log. What is no UTF-8 is replaced. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke: [`ClientError::Broken`].
    pub async fn next_line(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end);
                self.buffer.advance(1);
                let line = line.strip_suffix(b"\r").unwrap_or(&line);
                return Ok(Some(String::from_utf8_lossy(line).into_owned()));
            }
            if self.buffer.len() >= MAX_LINE || (self.ended && !self.buffer.is_empty()) {
                let piece = self.buffer.split_to(self.buffer.len().min(MAX_LINE));
                return Ok(Some(String::from_utf8_lossy(&piece).into_owned()));
            }
            if self.ended {
                return Ok(None);
            }
            match self.body.frame().await {
                None => self.ended = true,
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => {
                    return Err(ClientError::Broken { server: self.server.clone(), source: error.into() });
                }
            }
        }
    }
}

/// Events as they come, each once, oldest first.
pub struct EventFollower {
    client: Client,
    query: EventsQuery,
    /// Ids of events that came without a place: they come again where the connection breaks before the first place.
    seen: BTreeSet<String>,
    stream: Option<LogStream>,
}

/// The server says something every 15 s: after so long without a word the connection is dead.
const SILENCE: Duration = Duration::from_secs(45);

impl EventFollower {
    /// The next event: first those that match already, then those that come. Waits without end. Cancel-safe.
    ///
    /// # Errors
    /// See [`ClientError`]; the next call goes on with the event after the last one, on whatever server answers then. Status 410:
    /// what came after it is no longer kept; `details.oldest` says what is.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if self.stream.is_none() {
                let (client, query) = (&self.client, &self.query);
                let request =
                    outgoing::<ListEvents>(&[], query, &Nothing {}, client.headers(), client.timeout)?;
                let (server, body) = client.transport.open(&request, &RetryPolicy::one_round()).await?;
                self.stream = Some(LogStream { server, body, buffer: BytesMut::new(), ended: false });
            }
            let Some(stream) = &mut self.stream else { continue };
            let line = match tokio::time::timeout(SILENCE, stream.next_line()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) => return Err(self.broken("the server ended the answer")),
                Ok(Err(error)) => {
                    self.stream = None;
                    return Err(error);
                }
                Err(_) => return Err(self.broken("the server fell silent")),
            };
            match serde_json::from_str(&line) {
                Ok(EventFrame::Event(event)) => {
                    match &event.seq {
                        Some(seq) => self.query.after = Some(seq.clone()),
                        None if !self.seen.insert(event.id.clone()) => continue,
                        None => {}
                    }
                    return Ok(*event);
                }
                Ok(EventFrame::At { seq }) => {
                    self.seen.clear();
                    self.query.after = Some(seq);
                }
                // A whole object of a kind that this version does not know.
                Ok(_) => {}
                Err(_) if line.ends_with('}') => {}
                Err(_) => return Err(self.broken("the answer was cut off within a line")),
            }
        }
    }

    fn broken(&mut self, problem: &str) -> ClientError {
        let server = self.stream.take().map_or_else(String::new, |stream| stream.server);
        ClientError::Broken { server, source: problem.into() }
    }
}
