//! Logs: the file that the process writes to. It holds no times, and does not tell the two streams apart.

use std::io::SeekFrom;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use orch_core::runtime::{
    ContainerId, ContainerLogs, ContainerState, LogChunk, LogOptions, LogSource, RuntimeError,
};
use orch_core::task::FailureKind;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::time::sleep;

use super::{Inner, ProcessRuntime};

/// What is read at once.
const BLOCK: usize = 64 * 1024;
/// How often a followed log is looked at.
const GLANCE: Duration = Duration::from_millis(50);

#[async_trait]
impl ContainerLogs for ProcessRuntime {
    async fn logs(
        &self,
        container: &ContainerId,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogChunk, RuntimeError>>, RuntimeError> {
        if self.inner.look(container)?.is_none() {
            return Err(RuntimeError::Gone);
        }
        if options.timestamps || options.since.is_some() {
            let message = "the process runtime does not know when a line of a log was written";
            return Err(RuntimeError::permanent(FailureKind::Engine, message));
        }
        // Made here where the process was never started: an empty log, not a missing one.
        let path = self.inner.records.output_path(container)?;
        drop(self.inner.records.output(container)?);
        let mut file = File::open(path).await.map_err(broken)?;
        if let Some(lines) = options.tail {
            let start = start_of_tail(&mut file, lines).await.map_err(broken)?;
            file.seek(SeekFrom::Start(start)).await.map_err(broken)?;
        }
        let reader =
            Reader { inner: self.inner.clone(), id: container.clone(), file, follow: options.follow };
        Ok(stream::try_unfold(reader, Reader::next).boxed())
    }
}

fn broken(error: std::io::Error) -> RuntimeError {
    RuntimeError::Retry { message: format!("the log cannot be read: {error}"), after: None }
}

struct Reader {
    inner: Arc<Inner>,
    id: ContainerId,
    file: File,
    follow: bool,
}

impl Reader {
    async fn next(mut self) -> Result<Option<(LogChunk, Self)>, RuntimeError> {
        loop {
            // Looked at before the read: what was written before the end is read after it.
            let goes_on = self.follow
                && matches!(
                    self.inner.look(&self.id)?,
                    Some((_, ContainerState::Running { .. } | ContainerState::Created))
                );
            let mut block = BytesMut::with_capacity(BLOCK);
            if self.file.read_buf(&mut block).await.map_err(broken)? > 0 {
                let chunk = LogChunk { source: LogSource::Stdout, bytes: block.freeze() };
                return Ok(Some((chunk, self)));
            }
            if !goes_on {
                return Ok(None);
            }
            sleep(GLANCE).await;
        }
    }
}

/// Where the last `lines` lines begin. Read from the end, so that the length of the file does not matter.
async fn start_of_tail(file: &mut File, lines: u32) -> std::io::Result<u64> {
    let length = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok(length);
    }
    let (mut end, mut left) = (length, u64::from(lines));
    let mut block = vec![0; BLOCK];
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let size = usize::try_from(end - start).unwrap_or(BLOCK);
        file.seek(SeekFrom::Start(start)).await?;
        file.read_exact(&mut block[..size]).await?;
        for (i, byte) in block[..size].iter().enumerate().rev() {
            let at = start + i as u64;
            // The break at the very end closes the last line and begins none.
            if *byte == b'\n' && at + 1 < length {
                left -= 1;
                if left == 0 {
                    return Ok(at + 1);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_tail_is_whole_lines_whatever_the_file_ends_with() {
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(BLOCK);
        for (text, lines, tail) in [
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc", 2, "b\nc"),
            ("a\n", 5, "a\n"),
            ("", 1, ""),
            ("a\nb\n", 0, ""),
            ("\n\n\n", 2, "\n\n"),
            (&format!("a\n{long}\nb\n"), 2, &format!("{long}\nb\n")),
        ] {
            let path = dir.path().join("log");
            std::fs::write(&path, text).unwrap();
            let start = start_of_tail(&mut File::open(&path).await.unwrap(), lines).await.unwrap();
            assert_eq!(&text[usize::try_from(start).unwrap()..], tail);
        }
    }
}
