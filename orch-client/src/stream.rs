//! Logs as they come, and events as they happen.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use orch_core::api::endpoint::{GetLogs, ListEvents, Nothing};
use orch_core::api::event::{Event, EventsQuery};
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

    /// Follows events: what matches `query` from its `since` on, then what comes.
    #[must_use]
    pub fn follow_events(&self, query: EventsQuery) -> EventFollower {
        EventFollower { client: self.clone(), query, seen: BTreeSet::new(), first: true }
    }
}

impl LogStream {
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
    /// Ids of events at the newest time seen: `since` is inclusive, so these come again.
    seen: BTreeSet<String>,
    first: bool,
}

impl EventFollower {
    /// What has come since the last look; the first time, what matches already. May be empty: wait a while, and ask again.
    ///
    /// # Errors
    /// See [`ClientError`]; the next call goes on where this one would have.
    pub async fn poll(&mut self) -> Result<Vec<Event>, ClientError> {
        let mut query = self.query.clone();
        if !self.first {
            query.limit = Some(orch_core::api::event::LIMITS.0.to_string());
        }
        let answer = self.client.call::<ListEvents>(&[], &query, &Nothing {}).await?;
        self.first = false;
        let mut events = answer.events;
        events.sort_by(|a, b| (a.timestamp, &a.id).cmp(&(b.timestamp, &b.id)));
        events.retain(|event| !self.seen.contains(&event.id));
        if let Some(newest) = events.iter().map(|event| event.timestamp).max() {
            let since = newest.to_string();
            if self.query.since.as_deref() != Some(since.as_str()) {
                self.seen.clear();
                self.query.since = Some(since);
            }
            let at_newest = events.iter().filter(|event| event.timestamp == newest);
            self.seen.extend(at_newest.map(|event| event.id.clone()));
        }
        Ok(events)
    }

    /// How long to wait between looks: 2 s.
    pub const INTERVAL: Duration = Duration::from_secs(2);
}
