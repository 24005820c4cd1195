//! Logs, read raw: frames of the engine's multiplexed stream, or plain bytes where the container has a terminal.

use async_trait::async_trait;
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use http_body_util::{BodyDataStream, BodyExt as _};
use hyper::Method;
use hyper::body::Incoming;
use orch_core::runtime::{ContainerId, ContainerLogs, LogChunk, LogOptions, LogSource, RuntimeError};

use super::DockerRuntime;
use super::client::DEADLINE;
use super::engine::Payload;
use super::error::EngineError;

/// No engine writes longer frames: a longer one means that the stream is not what it should be.
const FRAME_LIMIT: u32 = 64 << 20;

#[async_trait]
impl ContainerLogs for DockerRuntime {
    async fn logs(
        &self,
        container: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError> {
        let found = self.look_at(&container.0).await?.ok_or(RuntimeError::Gone)?;
        if found.labels.is_none() {
            return Err(RuntimeError::Gone);
        }
        let client = self.client();
        let call = async {
            let path =
                client.session().await?.path(&format!("/containers/{container}/logs?{}", query(options)));
            client.engine.send(Method::GET, &path, Payload::Empty).await
        };
        let body = client.run("logs", DEADLINE, call).await?.into_body().into_data_stream();
        let frames = if found.tty { Frames::plain() } else { Frames::default() };
        Ok(chunks(body, frames))
    }
}

fn query(options: &LogOptions) -> String {
    let mut query = format!(
        "stdout=1&stderr=1&follow={}&timestamps={}",
        u8::from(options.follow),
        u8::from(options.timestamps)
    );
    if let Some(tail) = options.tail {
        query.push_str(&format!("&tail={tail}"));
    }
    if let Some(since) = options.since {
        let micros = since.as_micros().max(0);
        query.push_str(&format!("&since={}.{:06}000", micros / 1_000_000, micros % 1_000_000));
    }
    query
}

/// The chunks of a response, read only as fast as they are taken.
fn chunks(
    body: BodyDataStream<Incoming>,
    frames: Frames,
) -> BoxStream<'static, Result<LogChunk, RuntimeError>> {
    stream::unfold(Some((body, frames)), |state| async move {
        let (mut body, mut frames) = state?;
        loop {
            match frames.next() {
                Ok(Some(chunk)) => return Some((Ok(chunk), Some((body, frames)))),
                Ok(None) => {}
                Err(error) => return Some((Err(error.into()), None)),
            }
            match body.next().await {
                Some(Ok(bytes)) => frames.push(&bytes),
                Some(Err(error)) => return Some((Err(EngineError::transport(error).into()), None)),
                None => return None,
            }
        }
    })
    .boxed()
}

/// Takes the engine's framing off: eight bytes (source, three zeros, length) before each piece of output. A frame's bytes
/// are passed on as they come; none is collected whole.
#[derive(Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    frame: Option<(LogSource, usize)>,
    plain: bool,
}

impl Frames {
    fn plain() -> Self {
        Self { plain: true, ..Self::default() }
    }

    pub(super) fn push(&mut self, bytes: &Bytes) {
        self.buffer.extend_from_slice(bytes);
    }

    pub(super) fn next(&mut self) -> Result<Option<LogChunk>, EngineError> {
        if self.plain {
            let bytes = self.buffer.split().freeze();
            return Ok((!bytes.is_empty()).then_some(LogChunk { source: LogSource::Stdout, bytes }));
        }
        loop {
            if let Some((source, left)) = self.frame {
                if left == 0 {
                    self.frame = None;
                    continue;
                }
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                let bytes = self.buffer.split_to(left.min(self.buffer.len())).freeze();
                self.frame = Some((source, left - bytes.len()));
                return Ok(Some(LogChunk { source, bytes }));
            }
            if self.buffer.len() < 8 {
                return Ok(None);
            }
            let mut head = self.buffer.split_to(8);
            let source = match head.get_u8() {
                0 | 1 => LogSource::Stdout,
                2 | 3 => LogSource::Stderr,
                other => return Err(EngineError::unexpected(format!("log frame of source {other}"))),
            };
            head.advance(3);
            let length = head.get_u32();
            if length > FRAME_LIMIT {
                return Err(EngineError::unexpected(format!("log frame of {length} bytes")));
            }
            self.frame = Some((source, length as usize));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(source: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&[source, 0, 0, 0][..], &length, payload].concat()
    }

    fn decode(frames: &mut Frames, pieces: &[&[u8]]) -> Result<[Vec<u8>; 2], EngineError> {
        let mut out = [Vec::new(), Vec::new()];
        for piece in pieces {
            frames.push(&Bytes::copy_from_slice(piece));
            while let Some(chunk) = frames.next()? {
                out[usize::from(chunk.source == LogSource::Stderr)].extend_from_slice(&chunk.bytes);
            }
        }
        Ok(out)
    }

    proptest! {
        #[test]
        fn every_byte_reaches_its_source_however_the_stream_is_cut(
            payloads in prop::collection::vec((1u8..=2, prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cut in 1usize..17,
        ) {
            let mut wire = Vec::new();
            let mut expected = [Vec::new(), Vec::new()];
            for (source, payload) in &payloads {
                wire.extend(frame(*source, payload));
                expected[usize::from(*source == 2)].extend_from_slice(payload);
            }
            let pieces: Vec<&[u8]> = wire.chunks(cut).collect();
            prop_assert_eq!(decode(&mut Frames::default(), &pieces).unwrap(), expected);
        }
    }

    #[test]
    fn a_stream_that_is_no_log_is_refused_and_not_collected() {
        assert!(decode(&mut Frames::default(), &[b"plain text, and more"]).is_err());
        assert!(decode(&mut Frames::default(), &[&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]]).is_err());
    }

    #[test]
    fn a_terminal_has_no_frames() {
        let [out, err] = decode(&mut Frames::plain(), &[b"$ ", b"ls\r\n"]).unwrap();
        assert_eq!((out.as_slice(), err.as_slice()), (&b"$ ls\r\n"[..], &b""[..]));
    }

    #[test]
    fn the_engine_is_asked_for_the_wanted_part() {
        let options = LogOptions {
            follow: true,
            tail: Some(5),
            since: Some(orch_core::time::Timestamp::from_micros(1_700_000_000_000_250)),
            timestamps: true,
        };
        assert_eq!(
            query(&options),
            "stdout=1&stderr=1&follow=1&timestamps=1&tail=5&since=1700000000.000250000"
        );
    }
}
