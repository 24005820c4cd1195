//! The engine's own followed logs, one raw connection each: the reference.

use std::time::Instant;

use anyhow::Context as _;
use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::tally::{Tally, Wrong};
use super::{Asked, PATIENCE, speak};
use crate::engine::Engine;

/// What one look at all of them saw.
pub(super) struct Seen {
    pub(super) lines_per_second: f64,
    pub(super) wrong: Wrong,
}

/// Lets the containers speak, each followed by itself.
pub(super) async fn follow(containers: &[String], asked: &Asked) -> anyhow::Result<Seen> {
    let mut followed = tokio::task::JoinSet::new();
    for container in containers {
        let body = Engine::connect().await?.follow_log(container).await?;
        followed.spawn(read(body, asked.lines_each));
    }
    speak(containers).await?;
    let (mut tallies, mut times) = (Vec::new(), Vec::new());
    while let Some(done) = followed.join_next().await {
        let (tally, time) = done??;
        times.extend(time);
        tallies.push(tally);
    }
    let wrong = Tally::sum(&tallies);
    let came = (asked.lines_each * containers.len()) as f64 - wrong.lost as f64;
    let (first, last) = (times.iter().map(|time| time.0).min(), times.iter().map(|time| time.1).max());
    let took = first.zip(last).context("no line came")?;
    Ok(Seen { lines_per_second: came / (took.1 - took.0).as_secs_f64(), wrong })
}

/// Reads until the last line came, or none for a while; and when the first and the newest came.
async fn read(mut body: Incoming, lines: usize) -> anyhow::Result<(Tally, Option<(Instant, Instant)>)> {
    let (mut tally, mut held, mut times) = (Tally::of(lines), BytesMut::new(), None);
    while !tally.is_over() {
        let Ok(Some(piece)) = tokio::time::timeout(PATIENCE, body.frame()).await else { break };
        held.extend_from_slice(piece?.data_ref().map_or(&[], |data| data));
        while let Some(message) = message(&mut held) {
            // It begins with its time.
            let text = message.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
            if tally.take(&message[text..]) {
                let now = Instant::now();
                times.get_or_insert((now, now)).1 = now;
            }
        }
    }
    Ok((tally, times))
}

/// The next line in the engine's framing: source, three zeros, length, bytes.
fn message(held: &mut BytesMut) -> Option<BytesMut> {
    let length = u32::from_be_bytes(held.get(4..8)?.try_into().ok()?) as usize;
    if held.len() < 8 + length {
        return None;
    }
    held.advance(8);
    Some(held.split_to(length))
}
