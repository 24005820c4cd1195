//! Commands inside containers: what is asked, and the frames that go both ways.
//!
//! A frame is one byte that says what it is, the length of the rest in four bytes (big-endian), and the rest. Bytes of the
//! command's input and output are not looked at on the way.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_false;
use crate::command::{FieldPath, Rejection};
use crate::runtime::{ExecRequest, TerminalSize};

/// A longer frame is no frame: 1 MiB.
pub const LONGEST_FRAME: usize = 1 << 20;
/// How many bytes of arguments a command may have.
pub const LONGEST_COMMAND: usize = 32 << 10;

/// Which command, and how it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecQuery {
    /// Program and arguments: a JSON array of texts.
    pub command: String,
    /// With a terminal.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "super::boolean")]
    pub tty: bool,
    /// It reads what is sent.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "super::boolean")]
    pub stdin: bool,
}

impl ExecQuery {
    /// What the runtime is asked.
    ///
    /// # Errors
    /// No command, or one that is too long.
    pub fn parse(&self) -> Result<ExecRequest, Rejection> {
        let expected = "a JSON array of texts, the first of which is the program";
        let wrong = |problem: &str| Rejection::invalid(FieldPath::new("command"), problem, expected);
        let command: Vec<String> =
            serde_json::from_str(&self.command).map_err(|_| wrong("not an array of texts"))?;
        if command.first().is_none_or(String::is_empty) {
            return Err(wrong("there is no program"));
        }
        if command.iter().map(String::len).sum::<usize>() > LONGEST_COMMAND {
            return Err(wrong("longer than 32 KiB"));
        }
        if command.iter().any(|argument| argument.contains('\0')) {
            return Err(wrong("a NUL cannot be part of an argument"));
        }
        Ok(ExecRequest { command, tty: self.tty, stdin: self.stdin })
    }
}

/// What goes to and from a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecFrame {
    /// To its standard input.
    Input(Bytes),
    /// Its standard input ends.
    InputEnd,
    /// The terminal has this size now.
    Resize(TerminalSize),
    /// From its standard output; of a terminal, all output.
    Stdout(Bytes),
    /// From its standard error.
    Stderr(Bytes),
    /// It ended with this code: the last frame.
    Exit(i32),
    /// It could not be run, or nobody knows how it ended: the last frame.
    Failed(String),
    /// All is well.
    Alive,
}

impl ExecFrame {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (kind, body): (u8, Bytes) = match self {
            Self::Input(bytes) => (0, bytes.clone()),
            Self::InputEnd => (1, Bytes::new()),
            Self::Resize(size) => {
                let bytes = [size.columns.to_be_bytes(), size.rows.to_be_bytes()].concat();
                (2, bytes.into())
            }
            Self::Stdout(bytes) => (16, bytes.clone()),
            Self::Stderr(bytes) => (17, bytes.clone()),
            Self::Exit(code) => (18, Bytes::copy_from_slice(&code.to_be_bytes())),
            Self::Failed(why) => (19, Bytes::copy_from_slice(why.as_bytes())),
            Self::Alive => (20, Bytes::new()),
        };
        let mut out = BytesMut::with_capacity(5 + body.len());
        out.put_u8(kind);
        out.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        out.extend_from_slice(&body);
        out.freeze()
    }
}

/// What came is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream of a command holds what is no frame")]
pub struct NoFrame;

/// Takes frames out of bytes that come in pieces.
#[derive(Debug, Default)]
pub struct ExecDecoder {
    buffer: BytesMut,
}

impl ExecDecoder {
    /// Takes bytes in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, once it is whole.
    ///
    /// # Errors
    /// What came is no frame.
    pub fn next_frame(&mut self) -> Result<Option<ExecFrame>, NoFrame> {
        let Some(head) = self.buffer.get(..5) else { return Ok(None) };
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > LONGEST_FRAME {
            return Err(NoFrame);
        }
        if self.buffer.len() < 5 + length {
            return Ok(None);
        }
        let kind = self.buffer.get_u8();
        self.buffer.advance(4);
        let mut body = self.buffer.split_to(length).freeze();
        Ok(Some(match (kind, length) {
            (0, _) => ExecFrame::Input(body),
            (1, 0) => ExecFrame::InputEnd,
            (2, 4) => ExecFrame::Resize(TerminalSize { columns: body.get_u16(), rows: body.get_u16() }),
            (16, _) => ExecFrame::Stdout(body),
            (17, _) => ExecFrame::Stderr(body),
            (18, 4) => ExecFrame::Exit(body.get_i32()),
            (19, _) => ExecFrame::Failed(String::from_utf8_lossy(&body).into_owned()),
            (20, 0) => ExecFrame::Alive,
            _ => return Err(NoFrame),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = ExecFrame> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..50).prop_map(Bytes::from);
        prop_oneof![
            bytes().prop_map(ExecFrame::Input),
            Just(ExecFrame::InputEnd),
            any::<(u16, u16)>().prop_map(|(columns, rows)| ExecFrame::Resize(TerminalSize { columns, rows })),
            bytes().prop_map(ExecFrame::Stdout),
            bytes().prop_map(ExecFrame::Stderr),
            any::<i32>().prop_map(ExecFrame::Exit),
            "[a-z ]{0,20}".prop_map(ExecFrame::Failed),
            Just(ExecFrame::Alive),
        ]
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(frames in prop::collection::vec(frames(), 0..12), cut in 1usize..9) {
            let wire: Vec<u8> = frames.iter().flat_map(ExecFrame::encode).collect();
            let (mut decoder, mut got) = (ExecDecoder::default(), Vec::new());
            for piece in wire.chunks(cut) {
                decoder.push(piece);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    got.push(frame);
                }
            }
            prop_assert_eq!(got, frames);
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_and_not_collected() {
        for wire in [&[9, 0, 0, 0, 0][..], &[0, 255, 255, 255, 255], &[18, 0, 0, 0, 1, 7]] {
            let mut decoder = ExecDecoder::default();
            decoder.push(wire);
            assert_eq!(decoder.next_frame(), Err(NoFrame), "{wire:?}");
        }
    }

    #[test]
    fn a_command_is_an_array_with_a_program() {
        let parse = |command: &str| ExecQuery { command: command.to_owned(), ..ExecQuery::default() }.parse();
        assert_eq!(parse(r#"["sh","-c","ls"]"#).unwrap().command, ["sh", "-c", "ls"]);
        for wrong in ["", "ls", "[]", r#"[""]"#, r#"["a\u0000b"]"#, "[1]"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(parse(&serde_json::to_string(&["x".repeat(LONGEST_COMMAND + 1)]).unwrap()).is_err());
    }
}
