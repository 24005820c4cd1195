//! Commands inside containers: frames both ways over one request.

use futures_util::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use orch_core::api::endpoint::{Endpoint as _, ExecTask};
use orch_core::api::exec::{ExecDecoder, ExecFrame, ExecQuery};

use crate::call::{method, path_and_query};
use crate::client::Client;
use crate::error::ClientError;

/// What a command says, frame by frame.
pub struct ExecStream {
    server: String,
    body: Incoming,
    decoder: ExecDecoder,
}

impl Client {
    /// Runs a command inside a task's container. `input` are frames of [`ExecFrame::Input`], [`ExecFrame::InputEnd`] and
    /// [`ExecFrame::Resize`]; they are taken as fast as the command reads. Never repeated.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn exec(
        &self,
        task: &str,
        query: &ExecQuery,
        input: impl Stream<Item = ExecFrame> + Send + 'static,
    ) -> Result<ExecStream, ClientError> {
        let target = path_and_query(&ExecTask::ROW, &[task], query)?;
        let frames = input.map(|frame| Ok(Frame::data(frame.encode())));
        let body = StreamBody::new(frames).boxed_unsync();
        let (server, body) =
            self.transport.duplex(method(&ExecTask::ROW), &target, self.headers(), body).await?;
        Ok(ExecStream { server, body, decoder: ExecDecoder::default() })
    }
}

impl ExecStream {
    /// The next frame; signs of life are kept back. `None`: the connection ended, after [`ExecFrame::Exit`] or without. Cancel-safe.
    ///
    /// # Errors
    /// The connection broke, or what came is no frame.
    pub async fn next(&mut self) -> Result<Option<ExecFrame>, ClientError> {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(ExecFrame::Alive)) => {}
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => match self.body.frame().await {
                    None => return Ok(None),
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            self.decoder.push(&data);
                        }
                    }
                    Some(Err(error)) => return Err(self.broken(error)),
                },
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    fn broken(&self, error: impl Into<orch_core::BoxError>) -> ClientError {
        ClientError::Broken { server: self.server.clone(), source: error.into() }
    }
}
