//! [`Env`]: the only door to clocks, tasks and entropy. Production uses [`SystemEnv`]; the simulation brings its own.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::time::{Monotonic, Timestamp};

/// Time, tasks and entropy for everything between `AgentApi`, `Store` and `ContainerRuntime`.
pub trait Env: Send + Sync + 'static {
    /// The wall clock. It may step; order and durations come from [`Env::monotonic`].
    fn now(&self) -> Timestamp;
    /// The monotonic clock.
    fn monotonic(&self) -> Monotonic;
    /// Completes at `deadline`, at once if it has passed. Cancel-safe: dropping the future forgets the timer.
    fn sleep_until(&self, deadline: Monotonic) -> BoxFuture<'static, ()>;
    /// Runs `task` in the background. Owners join what they spawn through a `TaskTracker` of `tokio-util`.
    fn spawn(&self, task: BoxFuture<'static, ()>);
    /// Fills `buffer` from a cryptographically secure source.
    fn fill_random(&self, buffer: &mut [u8]);
}

/// A shared [`Env`].
pub type SharedEnv = Arc<dyn Env>;

/// Conveniences over any [`Env`].
pub trait EnvExt: Env {
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.sleep_until(self.monotonic() + duration)
    }

    /// Thirty-two random bytes.
    fn random32(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.fill_random(&mut bytes);
        bytes
    }

    /// A random number, all 64 bits of it.
    fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_random(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl<E: Env + ?Sized> EnvExt for E {}

/// The machine's clocks, tokio's tasks and timers, the operating system's entropy.
#[derive(Debug)]
pub struct SystemEnv {
    origin: tokio::time::Instant,
    random: ring::rand::SystemRandom,
}

impl SystemEnv {
    /// Must be called, and used, inside a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: tokio::time::Instant::now(), random: ring::rand::SystemRandom::new() }
    }

    /// The same, shared.
    #[must_use]
    pub fn shared() -> SharedEnv {
        Arc::new(Self::new())
    }
}

impl Default for SystemEnv {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads clocks and spawns for the rest")]
impl Env for SystemEnv {
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::ZERO + since_epoch
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_origin(self.origin.elapsed())
    }

    fn sleep_until(&self, deadline: Monotonic) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep_until(self.origin + deadline.since_origin()))
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(tokio::spawn(task));
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        use ring::rand::SecureRandom as _;
        self.random.fill(buffer).expect("the operating system's random source works");
    }
}
