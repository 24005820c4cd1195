//! The backends seen from outside, and the attacks that each is proof against.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by a panic")]

mod attacks;
mod attacks_oidc;
mod enrollment;
mod issuer;
mod jwt;
mod key_ring;
mod oidc;
mod rotation;
mod secrets;

use orch_core::secret::Secret;
use orch_core::time::Timestamp;

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

/// 2026-01-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);
const KEY: &str = "a secret of the tests, 32 bytes!";
