//! The least HTTP that asks servers, containers and the engine: a request, a connection, an answer read to its end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Sends a request without a body as HTTP/1.0, so that the answer ends with the connection: status and body.
pub(crate) fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    target: &str,
) -> std::io::Result<(u16, String)> {
    write!(stream, "{method} {target} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    status.zip(body).ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
}

/// `GET` from a port of this machine.
pub(crate) fn get(port: u16, target: &str) -> std::io::Result<(u16, String)> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    exchange(stream, "GET", target)
}
