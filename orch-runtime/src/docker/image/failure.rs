//! Why a pull failed, and whether another try can help.

use std::time::Duration;

use orch_core::runtime::RuntimeError;
use orch_core::task::FailureKind;

use super::super::error::EngineError;
use super::registries::Trouble;

/// What became of a pull that failed.
#[derive(Debug)]
pub(super) enum PullFailure {
    /// No other try can help.
    Final(RuntimeError),
    /// Another try may help.
    Passing(RuntimeError),
    /// Another try may help, and the whole registry is in trouble.
    Registry(Trouble, String),
}

/// Sorts what registries and the engine say of a pull: it is all words, with hardly a status. `hint`: what a person should
/// know beside that, if the registry let nobody in.
pub(super) fn pull_failure(reference: &str, error: EngineError, hint: Option<&str>) -> PullFailure {
    const TOO_MANY: [&str; 3] = ["toomanyrequests", "too many requests", "rate limit"];
    const LOCKED: [&str; 5] = [
        "access denied",
        "access to the resource is denied",
        "unauthorized",
        "authentication required",
        "no basic auth credentials",
    ];
    const FINAL: [&str; 5] = [
        "manifest unknown",
        "no matching manifest",
        "repository does not exist",
        "name unknown",
        "invalid reference format",
    ];
    let (status, message) = match error {
        EngineError::Answer { status, message } => (status, message),
        // The engine answers; it is the pull that does not get on.
        EngineError::Deadline(within) => {
            let message = format!(
                "image {reference}: the pull was given up, since nothing came of it within {} s",
                within.as_secs()
            );
            return PullFailure::Passing(RuntimeError::Retry { message, after: None });
        }
        error => return PullFailure::Passing(error.into()),
    };
    let words = message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    let message = format!("image {reference}: {message}");
    if status == 429 || says(&TOO_MANY) {
        PullFailure::Registry(Trouble::TooMany, message)
    } else if matches!(status, 401 | 403) || says(&LOCKED) {
        let message = hint.map_or_else(|| message.clone(), |hint| format!("{message}; {hint}"));
        PullFailure::Final(RuntimeError::permanent(FailureKind::Image, message))
    } else if matches!(status, 400 | 404) || says(&FINAL) {
        PullFailure::Final(RuntimeError::permanent(FailureKind::Image, message))
    } else if status >= 500 {
        // Refused before anything was pulled: the engine did not get as far as the image.
        PullFailure::Registry(Trouble::Away, message)
    } else {
        PullFailure::Passing(RuntimeError::Retry { message, after: None })
    }
}

/// Of a pull that was not begun, since the registry is left alone for that much longer.
pub(super) fn paused(reference: &str, registry: &str, trouble: Trouble, left: Duration) -> RuntimeError {
    let why = match trouble {
        Trouble::Away => "could not be reached",
        Trouble::TooMany => "was asked too much",
    };
    let message =
        format!("image {reference}: registry {registry} {why} a moment ago, and is left alone for now");
    RuntimeError::Retry { message, after: Some(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, message: &str) -> PullFailure {
        pull_failure("web:1", EngineError::Answer { status, message: message.to_owned() }, Some("log in"))
    }

    #[test]
    fn what_no_retry_can_mend_is_told_from_what_passes() {
        for (status, text) in [
            (404, "pull access denied for web, repository does not exist or may require 'docker login'"),
            (0, "manifest unknown: manifest unknown"),
            (500, "unauthorized: authentication required"),
            (500, "Head \"https://reg.example/v2/web/manifests/1\": no basic auth credentials"),
            (0, "no matching manifest for linux/arm64/v8 in the manifest list entries"),
        ] {
            let PullFailure::Final(RuntimeError::Permanent { kind: FailureKind::Image, message }) =
                failure(status, text)
            else {
                panic!("{text}");
            };
            assert!(message.starts_with(&format!("image web:1: {text}")), "{message}");
            let locked = ["denied", "auth"].iter().any(|word| text.contains(word));
            assert_eq!(message.ends_with("; log in"), locked, "{message}");
        }
        for (status, text) in [(0, "unexpected EOF"), (0, "filesystem layer verification failed")] {
            assert!(matches!(failure(status, text), PullFailure::Passing(_)), "{text}");
        }
    }

    #[test]
    fn what_the_registry_as_a_whole_suffers_from_is_told_from_trouble_with_one_image() {
        for (status, text, expected) in [
            (500, "toomanyrequests: You have reached your pull rate limit", Trouble::TooMany),
            (429, "unauthorized for now", Trouble::TooMany),
            (500, "Get \"https://reg.example/v2/\": dial tcp: no such host", Trouble::Away),
        ] {
            let failure = failure(status, text);
            assert!(matches!(failure, PullFailure::Registry(trouble, _) if trouble == expected), "{text}");
        }
    }
}
