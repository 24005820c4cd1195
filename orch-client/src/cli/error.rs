//! What went wrong, what would be right, and the exit status.

use crate::error::ClientError;

/// Failed, or rolled back.
pub(super) const FAILED: u8 = 1;
/// A replica fits nowhere.
pub(super) const NOT_PLACEABLE: u8 = 2;
/// Wrong usage, as in `sysexits.h`: 2 is taken.
pub(super) const USAGE: u8 = 64;
/// Not done in time, as `timeout` has it.
pub(super) const TIMED_OUT: u8 = 124;
/// Interrupted.
pub(super) const INTERRUPTED: u8 = 130;

/// The end of a command that did not succeed.
#[derive(Debug)]
pub(super) struct CliError {
    pub(super) code: u8,
    /// One line or several; empty: all is said already.
    pub(super) message: String,
    /// What would be right.
    pub(super) hint: Option<String>,
}

impl CliError {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(FAILED, message)
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let hint = match &error {
            ClientError::Unreachable { source, .. } if says(source.as_ref(), "certificate") => {
                Some("name the authority that signed the server's certificate with --ca-file".to_owned())
            }
            ClientError::Unreachable { .. } => Some(
                "is the server running, and is its address right? (--server, ORCH_SERVER_URL)".to_owned(),
            ),
            ClientError::Broken { .. } | ClientError::Timeout { .. } => {
                Some("a change may have been carried out all the same: look before repeating it".to_owned())
            }
            ClientError::Api(answer) => match answer.code.as_str() {
                "unauthorized" => {
                    Some("give a token with --token or ORCH_TOKEN; `orch token mint` makes one".to_owned())
                }
                "forbidden" => Some("`orch whoami` says which role you have".to_owned()),
                _ => violations(&answer.details),
            },
            _ => None,
        };
        Self { code: FAILED, message: error.chain(), hint }
    }
}

/// Whether an error or one of its causes has a word in it.
fn says(error: &(dyn std::error::Error + 'static), word: &str) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.to_string().contains(word))
}

/// What a policy refused, one line each.
fn violations(details: &serde_json::Value) -> Option<String> {
    let list = details.get("violations")?.as_array()?;
    let line = |violation: &serde_json::Value| {
        let text = |name: &str| violation.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        format!("{}: {} ({})", text("field"), text("message"), text("rule"))
    };
    (!list.is_empty()).then(|| list.iter().map(line).collect::<Vec<_>>().join("\n"))
}
