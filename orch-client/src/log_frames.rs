//! Logs in frames, over whatever cuts them off: each line once, in spite of servers, agents and containers that restart.

use std::time::Duration;

use orch_core::api::logs::{LogCursors, LogFrame, LogsQuery};

use crate::client::Client;
use crate::error::ClientError;
use crate::stream::LogStream;

/// The server says something every 15 s: after so long without a word the connection is dead.
const SILENCE: Duration = Duration::from_secs(45);

/// The logs of a task, or of a service's tasks, as frames.
pub struct LogFrames {
    client: Client,
    query: LogsQuery,
    tail: Option<u32>,
    cursors: LogCursors,
    stream: Option<LogStream>,
    complete: bool,
}

impl Client {
    /// Opens logs in frames. Nothing is asked before the first [`LogFrames::next`].
    #[must_use]
    pub fn log_frames(&self, query: LogsQuery) -> LogFrames {
        let tail = query.tail.as_deref().and_then(|tail| tail.parse().ok());
        let query = LogsQuery { format: Some("json".to_owned()), ..query };
        let (cursors, client) = (LogCursors::default(), self.clone());
        LogFrames { client, query, tail, cursors, stream: None, complete: false }
    }
}

impl LogFrames {
    /// The next frame; `None` once all was read. Signs of life are kept back. Cancel-safe.
    ///
    /// # Errors
    /// See [`ClientError`]. The next call goes on where this one was: with the line after the last one.
    pub async fn next(&mut self) -> Result<Option<LogFrame>, ClientError> {
        while !self.complete {
            if self.stream.is_none() {
                let cursor = self.cursors.to_string();
                self.query.cursor = (!cursor.is_empty()).then_some(cursor);
                self.stream = Some(self.client.logs(&self.query).await?);
            }
            let Some(stream) = &mut self.stream else { continue };
            let line = match tokio::time::timeout(SILENCE, stream.next_line()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) => {
                    return Err(self.broken("the answer ended before the log did"));
                }
                Ok(Err(error)) => {
                    self.stream = None;
                    return Err(error);
                }
                Err(_) => return Err(self.broken("the server fell silent")),
            };
            match serde_json::from_str::<LogFrame>(&line) {
                Ok(LogFrame::Alive {}) => {}
                Ok(LogFrame::Complete {}) => self.complete = true,
                Ok(frame) => {
                    self.cursors.note(&frame, self.tail);
                    return Ok(Some(frame));
                }
                // A whole object of a kind that this version does not know.
                Err(_) if line.ends_with('}') => {}
                Err(_) => return Err(self.broken("the answer was cut off within a line")),
            }
        }
        Ok(None)
    }

    fn broken(&mut self, problem: &str) -> ClientError {
        let server = self.stream.take().map_or_else(String::new, |stream| stream.server().to_owned());
        ClientError::Broken { server, source: problem.into() }
    }
}
