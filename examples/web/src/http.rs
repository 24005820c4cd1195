//! As much of HTTP/1.1 as a demo needs: one request a connection, no request bodies.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A request's head may not be longer.
const HEAD_LIMIT: u64 = 16 * 1024;
/// A silent client is cut off.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was asked.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    query: &'a str,
}

impl<'a> Request<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        words.next()?.starts_with("HTTP/1.").then_some(Self { method, path, query })
    }

    /// A parameter of the query, as written: nothing is decoded.
    pub(crate) fn query(&self, name: &str) -> Option<&'a str> {
        self.query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, v)| v)
    }
}

/// What is answered.
pub(crate) struct Response {
    status: u16,
    body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into() }
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body)
    }

    fn reason(&self) -> &'static str {
        match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            _ => "Service Unavailable",
        }
    }
}

/// Answers one request. What goes wrong on the connection ends it, and concerns no one else.
pub(crate) fn serve(mut stream: TcpStream, answer: fn(&Request<'_>) -> Response) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = stream.set_write_timeout(Some(PATIENCE));
    let Some(line) = request_line(&stream) else { return };
    let response = Request::parse(&line).map_or_else(|| Response::new(400, "not HTTP\n"), |r| answer(&r));
    let head = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        response.status,
        response.reason(),
        response.body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&response.body));
}

/// The first line, once the whole head is read: closing with unread bytes would reset the connection.
fn request_line(stream: &TcpStream) -> Option<String> {
    let mut head = BufReader::new(stream.take(HEAD_LIMIT));
    let mut first = String::new();
    head.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        match head.read_line(&mut line) {
            Ok(0) | Err(_) => return None,
            Ok(_) if line.trim_end().is_empty() => return Some(first),
            Ok(_) => {}
        }
    }
}
