//! Numbered lines at a steady rate, for whoever counts what arrives.

use std::io::{self, BufWriter, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

/// How often what is due is printed.
const TICK: Duration = Duration::from_millis(10);
/// Makes a line as long as one of an access log.
const FILLER: &str = "GET /some/path/of/a/request HTTP/1.1 200 5120 0.004 orch-demo-web";

/// At each SIGUSR1 prints the lines from 1 to `lines`, `rate` of them a second; ends at SIGTERM.
pub(crate) fn run(lines: u64, rate: u64) -> io::Result<()> {
    let mut signals = Signals::new([SIGUSR1, SIGTERM])?;
    for signal in signals.forever() {
        if signal == SIGTERM {
            break;
        }
        print(lines, rate)?;
    }
    Ok(())
}

fn print(lines: u64, rate: u64) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let (began, mut printed) = (Instant::now(), 0);
    while printed < lines {
        let due = began.elapsed().as_millis() as u64 * rate / 1000;
        while printed < due.min(lines) {
            printed += 1;
            writeln!(out, "{printed} {FILLER}")?;
        }
        out.flush()?;
        thread::sleep(TICK);
    }
    Ok(())
}
