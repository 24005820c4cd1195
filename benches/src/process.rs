//! What the kernel says of a process: its memory, and its processor time.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

pub(crate) const MIB: f64 = (1u32 << 20) as f64;
/// The kernel counts processor time for `/proc` in hundredths of a second, whatever its own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// What share of one core a process used over `window`.
pub(crate) async fn cpu_share(process: u32, window: Duration) -> anyhow::Result<f64> {
    let (before, began) = (cpu_seconds(process)?, Instant::now());
    tokio::time::sleep(window).await;
    Ok((cpu_seconds(process)? - before) / began.elapsed().as_secs_f64())
}

/// Resident bytes.
pub(crate) fn resident(process: u32) -> anyhow::Result<f64> {
    memory(process, "VmRSS:")
}

/// The most resident bytes there were since [`forget_peak`].
pub(crate) fn resident_peak(process: u32) -> anyhow::Result<f64> {
    memory(process, "VmHWM:")
}

pub(crate) fn forget_peak(process: u32) -> anyhow::Result<()> {
    let forgotten = std::fs::write(format!("/proc/{process}/clear_refs"), "5");
    forgotten.context("the kernel does not forget the peak of memory")
}

fn memory(process: u32, name: &str) -> anyhow::Result<f64> {
    let text = proc_file(process, "status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("a status has {name}"))?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<f64>()? * 1024.0)
}

/// Processor time of all threads.
pub(crate) fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    let text = proc_file(process, "stat")?;
    // The name, in parentheses, may hold anything; user and system time are the 14th and 15th field.
    let (_, fields) = text.rsplit_once(')').context("a stat has a name")?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let mut next = || times.next().context("a stat has times")?.context("times are numbers");
    Ok((next()? + next()?) / TICKS_PER_SECOND)
}

fn proc_file(process: u32, name: &str) -> anyhow::Result<String> {
    let path = Path::new("/proc").join(process.to_string()).join(name);
    std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
}
