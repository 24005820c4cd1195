//! Deploy files: what people write to say what should run.
//!
//! A file holds one service or several, as YAML documents; keys are read in `camelCase` and `snake_case`; the API's own JSON is
//! a deploy file, too. Every problem is told with its line and column, all of them at once, and what passes here passes the
//! server's own rules: they are the same code.
//!
//! ```
//! let text = "
//! name: web
//! image: example/web:1.2
//! replicas: 3
//! ports: [{container: 8080}]
//! env: {VERSION: 1.10}
//! ";
//! let services = orch_client::deploy_file::parse(text).expect("it is a service");
//! assert_eq!(services[0].env["VERSION"], "1.10");
//!
//! let wrong = orch_client::deploy_file::parse("name: web\nimage: web:1\nreplcas: 3\n").unwrap_err();
//! assert_eq!(wrong.in_file("web.yaml"), "web.yaml:3:1: replcas: there is no such key; did you mean `replicas`?");
//! ```

mod node;
mod problem;
mod reader;
mod service;
mod words;

use orch_core::api::spec::ServiceSpec;

pub use problem::{DeployFileError, Position, Problem};

/// The services of a file, in its order.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text.
pub fn parse(text: &str) -> Result<Vec<ServiceSpec>, DeployFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let json = text.trim_start().starts_with('{');
    let documents = node::parse(text)?;
    let start = Position { line: 1, column: 1 };
    if documents.is_empty() {
        return Err(DeployFileError::one(
            start,
            "there is no service in it; expected at least `name` and `image`",
        ));
    }
    let mut problems = Vec::new();
    let mut services: Vec<ServiceSpec> = Vec::new();
    for document in &documents {
        let Some(service) = service::read(document, json, &mut problems) else { continue };
        if services.iter().any(|other| other.name == service.name) {
            let message = format!("a second service with the name `{}`", service.name);
            problems.push(Problem { at: document.at, path: "name".to_owned(), message });
        }
        services.push(service);
    }
    if problems.is_empty() {
        Ok(services)
    } else {
        problems.sort_by_key(|problem| problem.at);
        Err(DeployFileError { problems })
    }
}

/// The services of a file, as its bytes stand on the disk.
///
/// # Errors
/// As [`parse`]; and the place of the first byte that is not UTF-8.
pub fn parse_bytes(bytes: &[u8]) -> Result<Vec<ServiceSpec>, DeployFileError> {
    // Of what is too long, and so cut off by whoever read it, the length is the problem.
    let bytes = &bytes[..bytes.len().min(node::MAX_BYTES + 1)];
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(_) if bytes.len() > node::MAX_BYTES => Err(node::too_long()),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = before.rsplit('\n').next().unwrap_or_default();
            let at = Position { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 };
            let byte = bytes[error.valid_up_to()];
            Err(DeployFileError::one(
                at,
                format!("the byte 0x{byte:02x} is not UTF-8; save the file as UTF-8"),
            ))
        }
    }
}

/// A duration as deploy files write it: `500ms`, `10s`, `1m30s`.
pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, &'static str> {
    reader::parse_nanos(text).map(|nanos| std::time::Duration::from_nanos(nanos.0))
}
