//! The list of servers: which one is asked next, and what may be asked of a plain one.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Uri;

use crate::error::ClientError;

/// One server: scheme, authority and the path that its API is below.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server {
    base: String,
    https: bool,
}

impl Server {
    /// Reads a URL: `http://` or `https://`, host, port and maybe a path. Plain http goes to loopback addresses only,
    /// unless `insecure`.
    pub(crate) fn parse(text: &str, insecure: bool) -> Result<Self, ClientError> {
        let wrong = |problem: &str| ClientError::Config {
            setting: "server",
            problem: format!("`{}` {problem}", text.escape_debug()),
        };
        const FORM: &str = "is not a server's URL; expected http://host:port or https://host:port";
        let uri: Uri = text.trim().parse().map_err(|_| wrong(FORM))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(wrong(FORM));
        };
        if authority.as_str().contains('@') {
            return Err(ClientError::Config {
                setting: "server",
                problem: "the URL holds a user or password; give a token instead".to_owned(),
            });
        }
        if uri.query().is_some() {
            return Err(wrong("has a query; expected http://host:port or https://host:port"));
        }
        let https = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(wrong(FORM)),
        };
        if !https && !insecure && !is_loopback(uri.host().unwrap_or_default()) {
            return Err(wrong(
                "is plain http to another machine: credentials would be readable on the way; use https, or allow it with `insecure`",
            ));
        }
        let base = format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/'));
        Ok(Self { base, https })
    }

    /// The URI of a path with its query.
    pub(crate) fn uri(&self, path_and_query: &str) -> Result<Uri, ClientError> {
        format!("{}{path_and_query}", self.base).parse().map_err(|e| ClientError::Request(format!("{e}")))
    }

    /// Whether it is reached over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.https
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// All servers of a cluster. The one that answered last is asked first.
#[derive(Debug)]
pub(crate) struct Servers {
    list: Vec<Server>,
    preferred: AtomicUsize,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Servers {
    pub(crate) fn new(list: Vec<Server>) -> Result<Self, ClientError> {
        if list.is_empty() {
            return Err(ClientError::Config {
                setting: "server",
                problem: "no server is named; expected a URL such as http://127.0.0.1:8080".to_owned(),
            });
        }
        Ok(Self { list, preferred: AtomicUsize::new(0) })
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn any_https(&self) -> bool {
        self.list.iter().any(Server::is_https)
    }

    pub(crate) fn all_https(&self) -> bool {
        self.list.iter().all(Server::is_https)
    }

    /// The server for the `attempt`th try of a call, from 0, with its index.
    pub(crate) fn pick(&self, first: usize, attempt: usize) -> (usize, &Server) {
        let index = (first + attempt) % self.list.len();
        (index, &self.list[index])
    }

    /// Where a new call begins.
    pub(crate) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    /// This one answered.
    pub(crate) fn prefer(&self, index: usize) {
        self.preferred.store(index, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_its_path_is_kept() {
        let server = Server::parse("https://gw.example:8443/orch/", false).unwrap();
        assert!(server.is_https());
        assert_eq!(
            server.uri("/v1/nodes?a=b").unwrap().to_string(),
            "https://gw.example:8443/orch/v1/nodes?a=b"
        );
    }

    #[test]
    fn plain_http_leaves_the_machine_only_when_told_to() {
        for fine in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80", "http://127.9.9.9"] {
            assert!(Server::parse(fine, false).is_ok(), "{fine}");
        }
        let error = Server::parse("http://10.0.0.1:8080", false).unwrap_err().to_string();
        assert!(error.contains("plain http") && error.contains("insecure"), "{error}");
        assert!(Server::parse("http://10.0.0.1:8080", true).is_ok());
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for bad in ["", "localhost:8080", "ftp://a", "http://", "https://a?x=1", "/v1"] {
            assert!(Server::parse(bad, true).is_err(), "{bad}");
        }
        let error = Server::parse("https://u:hunter2@a", true).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn every_server_gets_its_turn_from_the_preferred_one_on() {
        let list = ["http://localhost:1", "http://localhost:2", "http://localhost:3"];
        let servers = Servers::new(list.iter().map(|u| Server::parse(u, false).unwrap()).collect()).unwrap();
        servers.prefer(1);
        let first = servers.preferred();
        let asked: Vec<usize> = (0..4).map(|attempt| servers.pick(first, attempt).0).collect();
        assert_eq!(asked, [1, 2, 0, 1]);
    }
}
