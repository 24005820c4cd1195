//! Logs, read raw: frames of the engine's multiplexed stream, or plain bytes where the container has a terminal.

use async_trait::async_trait;
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http_body_util::BodyExt as _;
use hyper::Method;
use orch_core::runtime::line::{Assembler, Splitter};
use orch_core::runtime::{
    ContainerId, ContainerLogs, LogChunk, LogLine, LogLines, LogOptions, LogSource, LogTime, RuntimeError,
};

use super::DockerRuntime;
use super::client::DEADLINE;
use super::engine::Payload;
use super::error::EngineError;

/// No engine writes longer frames: a longer one means that the stream is not what it should be.
const FRAME_LIMIT: u32 = 64 << 20;

/// A message, times and all, is not longer: engines cut lines at 16 KiB.
const MESSAGE_LIMIT: usize = 1 << 20;

#[async_trait]
impl ContainerLogs for DockerRuntime {
    async fn logs(
        &self,
        container: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError> {
        let (body, tty) = self.open_log(container, options.clone()).await?;
        let frames = if tty { Frames::plain() } else { Frames::default() };
        Ok(chunks(body, frames))
    }

    /// Docker 20.10 loses some lines of a followed log and repeats others each time that it rotates the log. What it
    /// answers without following is exact, rotated files included.
    fn follows_exactly(&self) -> bool {
        false
    }

    async fn lines(&self, container: &ContainerId, options: &LogOptions) -> Result<LogLines, RuntimeError> {
        let options = LogOptions { timestamps: true, ..options.clone() };
        let (body, tty) = self.open_log(container, options).await?;
        Ok(lines(
            body,
            if tty { Messages::Plain(Splitter::default()) } else { Messages::Framed(Frames::default()) },
        ))
    }
}

type Body = BoxStream<'static, Result<Bytes, EngineError>>;

impl DockerRuntime {
    /// The log as the engine sends it, and whether it is a terminal's. Engines before 26 begin their answer with the first line: of a
    /// silent container that is not waited for here.
    async fn open_log(
        &self,
        container: &ContainerId,
        options: LogOptions,
    ) -> Result<(Body, bool), RuntimeError> {
        let found = self.look_at(&container.0).await?.ok_or(RuntimeError::Gone)?;
        if found.labels.is_none() {
            return Err(RuntimeError::Gone);
        }
        let (runtime, id, follow) = (self.clone(), container.clone(), options.follow);
        let open = async move {
            let client = runtime.client();
            let call = async {
                let path =
                    client.session().await?.path(&format!("/containers/{id}/logs?{}", query(&options)));
                client.engine.send(Method::GET, &path, Payload::Empty).await
            };
            let response = if follow { call.await? } else { client.run("logs", DEADLINE, call).await? };
            let body = response.into_body().into_data_stream();
            Ok::<_, EngineError>(body.map(|piece| piece.map_err(EngineError::transport)))
        };
        let body = if follow { stream::once(open).try_flatten().boxed() } else { open.await?.boxed() };
        Ok((body, found.tty))
    }
}

/// Whole lines, some at a time, read only as fast as they are taken.
fn lines(body: Body, messages: Messages) -> LogLines {
    let state = Some((body, messages, Assembler::default()));
    stream::unfold(state, |state| async move {
        let (mut body, mut messages, mut assembler) = state?;
        loop {
            let mut lines = Vec::new();
            let piece = body.next().await;
            let last = piece.is_none();
            match piece {
                Some(Ok(bytes)) => messages.push(&bytes),
                Some(Err(error)) => return Some((Err(error.into()), None)),
                None => {}
            }
            if let Err(error) = messages.take(last, &mut assembler, &mut lines) {
                return Some((Err(error.into()), None));
            }
            if last {
                assembler.finish(&mut lines);
                return (!lines.is_empty()).then_some((Ok(lines), None));
            }
            if !lines.is_empty() {
                return Some((Ok(lines), Some((body, messages, assembler))));
            }
        }
    })
    .boxed()
}

/// A log cut into messages, each of which begins with its time: framed by the engine; of a terminal, by lines.
enum Messages {
    Framed(Frames),
    Plain(Splitter),
}

impl Messages {
    fn push(&mut self, bytes: &Bytes) {
        match self {
            Self::Framed(frames) => frames.push(bytes),
            Self::Plain(splitter) => splitter.push(bytes),
        }
    }

    fn take(
        &mut self,
        last: bool,
        assembler: &mut Assembler,
        lines: &mut Vec<LogLine>,
    ) -> Result<(), EngineError> {
        let mut add = |source, message: &[u8]| {
            let (at, text) = split_time(message);
            assembler.push(source, at, text, lines);
        };
        match self {
            Self::Framed(frames) => {
                while let Some((source, message)) = frames.next_message()? {
                    add(source, &message);
                }
            }
            Self::Plain(splitter) => {
                while let Some(message) = splitter.next_piece() {
                    add(LogSource::Stdout, &message);
                }
                if let Some(rest) = splitter.rest().filter(|_| last) {
                    add(LogSource::Stdout, &rest);
                }
            }
        }
        Ok(())
    }
}

/// The time that a message begins with, and the rest. A piece that begins with none is taken as it is.
fn split_time(message: &[u8]) -> (LogTime, &[u8]) {
    let end = message.iter().take(40).position(|byte| *byte == b' ');
    let time = end.and_then(|end| LogTime::parse(std::str::from_utf8(&message[..end]).ok()?));
    match (time, end) {
        (Some(at), Some(end)) => (at, &message[end + 1..]),
        _ => (LogTime::UNKNOWN, message),
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
fn chunks(body: Body, frames: Frames) -> BoxStream<'static, Result<LogChunk, RuntimeError>> {
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
                Some(Err(error)) => return Some((Err(error.into()), None)),
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
    pub(super) fn plain() -> Self {
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
            let Some(frame) = self.head()? else { return Ok(None) };
            self.frame = Some(frame);
        }
    }

    /// The next frame, whole. None is begun by [`Frames::next`].
    fn next_message(&mut self) -> Result<Option<(LogSource, Bytes)>, EngineError> {
        if self.frame.is_none() {
            self.frame = self.head()?;
        }
        let Some((source, length)) = self.frame else { return Ok(None) };
        if length > MESSAGE_LIMIT {
            return Err(EngineError::unexpected(format!("log message of {length} bytes")));
        }
        if self.buffer.len() < length {
            return Ok(None);
        }
        self.frame = None;
        Ok(Some((source, self.buffer.split_to(length).freeze())))
    }

    /// The head of the next frame, once it is there.
    fn head(&mut self) -> Result<Option<(LogSource, usize)>, EngineError> {
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
        Ok(Some((source, length as usize)))
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
    fn messages_are_put_together_into_lines_with_the_time_of_their_first_byte() {
        let (mut assembler, mut lines) = (Assembler::default(), Vec::new());
        let mut messages = Messages::Framed(Frames::default());
        let times: Vec<String> = (1..=3).map(|n| format!("2026-11-25T03:07:16.00000000{n}Z")).collect();
        let mut wire = frame(1, format!("{} begun, ", times[0]).as_bytes());
        wire.extend(frame(2, format!("{} other\n", times[1]).as_bytes()));
        wire.extend(frame(1, format!("{} ended\n", times[2]).as_bytes()));
        for piece in wire.chunks(7) {
            messages.push(&Bytes::copy_from_slice(piece));
            messages.take(false, &mut assembler, &mut lines).unwrap();
        }
        let got: Vec<_> = lines.iter().map(|line| (line.at.to_string(), &line.text[..])).collect();
        assert_eq!(got, [(times[1].clone(), &b"other"[..]), (times[0].clone(), b"begun, ended")]);

        let mut messages = Messages::Plain(Splitter::default());
        messages.push(&Bytes::from(format!("{} $ ls\r\n{} fil", times[0], times[1])));
        lines.clear();
        messages.take(true, &mut assembler, &mut lines).unwrap();
        assembler.finish(&mut lines);
        let got: Vec<_> = lines.iter().map(|line| (line.at.to_string(), &line.text[..])).collect();
        assert_eq!(got, [(times[0].clone(), &b"$ ls"[..]), (times[1].clone(), b"fil")]);
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
