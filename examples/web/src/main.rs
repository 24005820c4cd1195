//! A tiny web server to deploy: what the demo, the tests and the benchmarks run in containers.
//!
//! Built statically it is the only file of its image:
//! `RUSTFLAGS=-Ctarget-feature=+crt-static cargo build -p orch-demo-web --release --target x86_64-unknown-linux-gnu`.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /` | version and host name |
//! | `GET /health` | 200, or 503 while switched off or shutting down |
//! | `POST /health?ok=false` | switches `/health` |
//! | `GET /slow?ms=500` | 200 after that long |
//! | `GET /env?name=X` | the variable's value; 404 where it is unset |
//! | `GET /file?path=/x` | the file's bytes; 404 where it cannot be read |
//! | `POST /file?path=/x&text=y` | writes the text; 503 where it cannot be written |
//! | `GET /exit?code=3` | ends the process with that code |
//!
//! Started as `web check [PATH]` it asks the server on its `PORT` for the path (`/health`) instead, and ends with 0 if the answer
//! is 200: a health check for images without a shell. Started as `web exit CODE` it ends with that code. Started as
//! `web say LINES RATE` it prints numbered lines, so many a second, each time that it gets SIGUSR1.
//!
//! | variable | meaning |
//! | --- | --- |
//! | `PORT` | where it listens (first argument before it; 8080) |
//! | `VERSION` | what `GET /` says (`dev`) |
//! | `FAIL_AFTER_MS` | exits with 1 after that long |
//! | `DRAIN_MS` | how long it goes on serving after SIGTERM, with `/health` at 503 (0) |
#![forbid(unsafe_code)]

mod http;
mod say;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use http::{Request, Response};

/// Cleared by `POST /health?ok=false` and by SIGTERM.
static HEALTHY: AtomicBool = AtomicBool::new(true);
/// Connections that are being answered.
static OPEN: AtomicUsize = AtomicUsize::new(0);
/// How long the last requests may take after the drain.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

fn main() -> io::Result<()> {
    if env::args().nth(1).as_deref() == Some("exit") {
        process::exit(env::args().nth(2).and_then(|code| code.parse().ok()).unwrap_or(0));
    }
    if env::args().nth(1).as_deref() == Some("check") {
        let path = env::args().nth(2);
        let port = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
        return check(port, path.as_deref().unwrap_or("/health"));
    }
    if env::args().nth(1).as_deref() == Some("say") {
        let number = |at| env::args().nth(at).and_then(|text| text.parse().ok()).unwrap_or(1000);
        return say::run(number(2), number(3));
    }
    let port = env::args().nth(1).or_else(|| env::var("PORT").ok());
    let port: u16 = match port {
        None => 8080,
        Some(text) => text.parse().map_err(|_| io::Error::other(format!("`{text}` is not a port")))?,
    };
    if let Some(after) = millis("FAIL_AFTER_MS") {
        thread::spawn(move || {
            thread::sleep(after);
            process::exit(1)
        });
    }
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            shut_down()
        }
    });
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    say(&mut io::stdout(), &format!("version {} listens on {port}", version()));
    say(&mut io::stderr(), "warnings go here");
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        OPEN.fetch_add(1, Ordering::SeqCst);
        thread::spawn(move || {
            http::serve(stream, answer);
            OPEN.fetch_sub(1, Ordering::SeqCst);
        });
    }
    Ok(())
}

/// Serves on for `DRAIN_MS`, lets the last requests end, and goes.
fn shut_down() -> ! {
    HEALTHY.store(false, Ordering::SeqCst);
    thread::sleep(millis("DRAIN_MS").unwrap_or_default());
    let end = Instant::now() + LAST_REQUESTS;
    while OPEN.load(Ordering::SeqCst) > 0 && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    process::exit(0)
}

fn answer(request: &Request<'_>) -> Response {
    match (request.method, request.path) {
        ("GET", "/") => Response::ok(format!("version {} on {}\n", version(), host_name())),
        ("GET", "/health") if HEALTHY.load(Ordering::SeqCst) => Response::ok("ok\n"),
        ("GET", "/health") => Response::new(503, "not healthy\n"),
        ("POST", "/health") => {
            HEALTHY.store(request.query("ok") != Some("false"), Ordering::SeqCst);
            Response::ok("switched\n")
        }
        ("GET", "/slow") => {
            let millis = request.query("ms").and_then(|ms| ms.parse().ok()).unwrap_or(1000);
            thread::sleep(Duration::from_millis(millis));
            Response::ok(format!("after {millis} ms\n"))
        }
        ("GET", "/env") => match request.query("name").and_then(env::var_os) {
            Some(value) => Response::ok(value.into_encoded_bytes()),
            None => Response::new(404, "not set\n"),
        },
        ("GET", "/file") => match request.query("path").map(fs::read) {
            Some(Ok(bytes)) => Response::ok(bytes),
            _ => Response::new(404, "cannot be read\n"),
        },
        ("POST", "/file") => match request.query("path").zip(request.query("text")) {
            Some((path, text)) if fs::write(path, text).is_ok() => Response::ok("written\n"),
            _ => Response::new(503, "cannot be written\n"),
        },
        ("GET", "/exit") => {
            process::exit(request.query("code").and_then(|code| code.parse().ok()).unwrap_or(0))
        }
        _ => Response::new(404, "no such page\n"),
    }
}

/// Asks the server on this machine; says what it answered.
fn check(port: u16, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    io::stdout().write_all(body.as_bytes())?;
    if head.starts_with("HTTP/1.1 200") { Ok(()) } else { process::exit(1) }
}

fn version() -> String {
    env::var("VERSION").unwrap_or_else(|_| "dev".to_owned())
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "unknown".to_owned() } else { name.trim().to_owned() }
}

fn millis(name: &str) -> Option<Duration> {
    env::var(name).ok()?.parse().ok().map(Duration::from_millis)
}

/// A line to a stream that may be closed.
fn say(to: &mut impl io::Write, line: &str) {
    // Whether anyone reads the log is not this program's business.
    let _ = writeln!(to, "{line}").and_then(|()| to.flush());
}
