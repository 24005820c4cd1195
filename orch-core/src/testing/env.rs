//! [`Sim`] and [`SimEnv`]: a seeded executor on one thread, with virtual time.
//!
//! Every source of order is drawn from the seed: which of the ready tasks is polled next, what entropy is. Time moves only
//! when nothing is ready, straight to the next timer. A crash is the dropping of an actor's futures, wherever they wait.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::env::Env;
use crate::id::IdStream;
use crate::time::{Monotonic, Timestamp};

/// Who a task belongs to: what crashes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(pub u32);

/// The executor: owns every task, and time.
#[derive(Clone, Debug)]
pub struct Sim {
    shared: Arc<Shared>,
}

/// The [`Env`] of one actor.
#[derive(Clone, Debug)]
pub struct SimEnv {
    shared: Arc<Shared>,
    actor: Actor,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Apart from the rest, since wakers are called from anywhere.
    ready: Arc<Mutex<Vec<u64>>>,
}

struct State {
    now: Duration,
    random: IdStream,
    schedule: IdStream,
    wall_offset: BTreeMap<Actor, i64>,
    paused: BTreeSet<Actor>,
    tasks: BTreeMap<u64, Task>,
    timers: BTreeMap<(Duration, u64), Waker>,
    next: u64,
    polls: u64,
    trace: u64,
}

struct Task {
    actor: Actor,
    /// Taken out while it is polled.
    future: Option<BoxFuture<'static, ()>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("now", &self.now)
            .field("tasks", &self.tasks.len())
            .finish_non_exhaustive()
    }
}

struct WakeTask {
    id: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for WakeTask {
    fn wake(self: Arc<Self>) {
        let mut ready = lock(&self.ready);
        if !ready.contains(&self.id) {
            ready.push(self.id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 2026-01-01T00:00:00Z: when every simulation begins.
pub const BEGINNING: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

impl Sim {
    /// A new world, all of whose accidents follow from `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let state = State {
            now: Duration::ZERO,
            random: IdStream::seeded(seed ^ 0xA5A5_A5A5_A5A5_A5A5),
            schedule: IdStream::seeded(seed),
            wall_offset: BTreeMap::new(),
            paused: BTreeSet::new(),
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            next: 0,
            polls: 0,
            trace: 0xcbf2_9ce4_8422_2325,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), ready: Arc::default() }) }
    }

    /// The environment of an actor.
    #[must_use]
    pub fn env(&self, actor: Actor) -> Arc<SimEnv> {
        Arc::new(SimEnv { shared: Arc::clone(&self.shared), actor })
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        lock(&self.shared.state).now
    }

    /// How often a task was polled so far.
    #[must_use]
    pub fn polls(&self) -> u64 {
        lock(&self.shared.state).polls
    }

    /// A hash over which task was polled when: equal for equal seeds, or the run was not repeatable.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        lock(&self.shared.state).trace
    }

    /// A number from the seed, for the driver's own choices.
    #[must_use]
    pub fn random(&self) -> u64 {
        lock(&self.shared.state).schedule.next_u64()
    }

    /// Moves an actor's wall clock; its monotonic clock goes on.
    pub fn step_wall_clock(&self, actor: Actor, by_micros: i64) {
        *lock(&self.shared.state).wall_offset.entry(actor).or_default() += by_micros;
    }

    /// Stops an actor's process, as a signal does: time goes on, its own clocks too, and it does nothing.
    pub fn pause(&self, actor: Actor) {
        lock(&self.shared.state).paused.insert(actor);
    }

    /// Lets a stopped process go on.
    pub fn resume(&self, actor: Actor) {
        lock(&self.shared.state).paused.remove(&actor);
    }

    /// Drops everything that the actor is doing, wherever it waits. A process that is started after it is not a stopped one.
    pub fn crash(&self, actor: Actor) {
        let mut state = lock(&self.shared.state);
        state.paused.remove(&actor);
        let ids: Vec<u64> =
            state.tasks.iter().filter(|(_, task)| task.actor == actor).map(|(id, _)| *id).collect();
        let dropped: Vec<Task> = ids.iter().filter_map(|id| state.tasks.remove(id)).collect();
        // Destructors may wake and cancel: not under the lock.
        drop(state);
        drop(dropped);
    }

    /// Polls one ready task, or moves time to the next timer that is due by `until`. `false`: nothing is left to do by then.
    pub fn step(&self, until: Duration) -> bool {
        if let Some(id) = self.pick() {
            self.poll(id);
            return true;
        }
        let mut state = lock(&self.shared.state);
        let Some(deadline) =
            state.timers.keys().next().map(|(deadline, _)| *deadline).filter(|at| *at <= until)
        else {
            state.now = state.now.max(until);
            return false;
        };
        state.now = state.now.max(deadline);
        let later = state.timers.split_off(&(deadline, u64::MAX));
        let due = std::mem::replace(&mut state.timers, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
        true
    }

    /// Runs for so long.
    pub fn run_for(&self, duration: Duration) {
        let until = self.elapsed() + duration;
        while self.step(until) {}
    }

    /// Runs until `done` or for `limit`; answers whether `done` came true.
    pub fn run_until(&self, limit: Duration, mut done: impl FnMut() -> bool) -> bool {
        let until = self.elapsed() + limit;
        loop {
            if done() {
                return true;
            }
            if !self.step(until) {
                return done();
            }
        }
    }

    /// Runs a future of the driver's own to its end; `None` if it has none within `limit`.
    pub fn block_on<T: Send + 'static>(
        &self,
        actor: Actor,
        limit: Duration,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let slot = Arc::new(Mutex::new(None));
        let filled = Arc::clone(&slot);
        self.env(actor).spawn(Box::pin(async move {
            let value = future.await;
            *lock(&filled) = Some(value);
        }));
        self.run_until(limit, || lock(&slot).is_some());
        lock(&slot).take()
    }

    fn pick(&self) -> Option<u64> {
        let mut state = lock(&self.shared.state);
        let mut ready = lock(&self.shared.ready);
        ready.retain(|id| state.tasks.contains_key(id));
        if ready.is_empty() {
            return None;
        }
        if !state.paused.is_empty() {
            let runs = |id: &u64| state.tasks.get(id).is_some_and(|task| !state.paused.contains(&task.actor));
            let able: Vec<usize> = (0..ready.len()).filter(|at| runs(&ready[*at])).collect();
            let count = able.len() as u64;
            let at = (count > 0).then(|| usize::try_from(state.schedule.next_u64() % count).unwrap_or(0))?;
            return Some(ready.swap_remove(able[at]));
        }
        let at = usize::try_from(state.schedule.next_u64() % ready.len() as u64).unwrap_or(0);
        Some(ready.swap_remove(at))
    }

    fn poll(&self, id: u64) {
        let mut state = lock(&self.shared.state);
        let Some(mut future) = state.tasks.get_mut(&id).and_then(|task| task.future.take()) else { return };
        state.polls += 1;
        // FNV-1a, over what was polled and when.
        let micros = u64::try_from(state.now.as_micros()).unwrap_or(u64::MAX);
        for byte in id.to_le_bytes().into_iter().chain(micros.to_le_bytes()) {
            state.trace = (state.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        drop(state);
        let waker = Waker::from(Arc::new(WakeTask { id, ready: Arc::clone(&self.shared.ready) }));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let mut state = lock(&self.shared.state);
        match polled {
            Poll::Ready(()) => {
                state.tasks.remove(&id);
                drop(state);
                drop(future);
            }
            Poll::Pending => match state.tasks.get_mut(&id) {
                Some(task) => task.future = Some(future),
                // It crashed itself while it was polled.
                None => {
                    drop(state);
                    drop(future);
                }
            },
        }
    }
}

impl Env for SimEnv {
    fn now(&self) -> Timestamp {
        let state = lock(&self.shared.state);
        let offset = state.wall_offset.get(&self.actor).copied().unwrap_or_default();
        let now = BEGINNING + state.now;
        Timestamp::from_micros(now.as_micros().saturating_add(offset))
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::from_origin(lock(&self.shared.state).now)
    }

    fn sleep_until(&self, deadline: Monotonic) -> BoxFuture<'static, ()> {
        Box::pin(Sleep { shared: Arc::clone(&self.shared), deadline: deadline.since_origin(), key: None })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let mut state = lock(&self.shared.state);
        state.next += 1;
        let id = state.next;
        state.tasks.insert(id, Task { actor: self.actor, future: Some(task) });
        lock(&self.shared.ready).push(id);
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        let mut state = lock(&self.shared.state);
        for chunk in buffer.chunks_mut(8) {
            let bytes = state.random.next_u64().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

struct Sleep {
    shared: Arc<Shared>,
    deadline: Duration,
    key: Option<(Duration, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = Arc::clone(&self.shared);
        let mut state = lock(&shared.state);
        if let Some(key) = self.key.take() {
            state.timers.remove(&key);
        }
        if state.now >= self.deadline {
            return Poll::Ready(());
        }
        state.next += 1;
        let key = (self.deadline, state.next);
        state.timers.insert(key, context.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            lock(&self.shared.state).timers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::EnvExt as _;
    use tokio::sync::mpsc;

    /// Two actors that talk; answers what was said in which order, and the trace.
    fn conversation(seed: u64) -> (Vec<u64>, u64, Duration) {
        let sim = Sim::seeded(seed);
        let (send, mut receive) = mpsc::channel(4);
        for actor in 1..=3 {
            let (env, send) = (sim.env(Actor(actor)), send.clone());
            let inner = env.clone();
            env.spawn(Box::pin(async move {
                for _ in 0..5 {
                    inner.sleep(Duration::from_millis(inner.random_u64() % 3)).await;
                    let _ = send.send(u64::from(actor)).await;
                }
            }));
        }
        drop(send);
        let said = sim.block_on(Actor(0), Duration::from_secs(1), async move {
            let mut said = Vec::new();
            while let Some(one) = receive.recv().await {
                said.push(one);
            }
            said
        });
        (said.expect("it ends"), sim.trace_hash(), sim.elapsed())
    }

    #[test]
    fn equal_seeds_run_alike_and_others_do_not() {
        assert_eq!(conversation(7), conversation(7));
        assert_ne!(conversation(7).1, conversation(8).1);
        assert_eq!(conversation(9).0.len(), 15);
    }

    #[test]
    fn a_crash_drops_what_an_actor_waits_for_and_nothing_else() {
        let sim = Sim::seeded(1);
        let dropped = Arc::new(());
        for actor in [1, 2] {
            let (env, held) = (sim.env(Actor(actor)), Arc::clone(&dropped));
            let inner = env.clone();
            env.spawn(Box::pin(async move {
                let _held = held;
                inner.sleep(Duration::from_secs(10)).await;
            }));
        }
        sim.run_for(Duration::from_secs(1));
        assert_eq!(Arc::strong_count(&dropped), 3);
        sim.crash(Actor(1));
        assert_eq!(Arc::strong_count(&dropped), 2);
        sim.run_for(Duration::from_secs(10));
        assert_eq!(Arc::strong_count(&dropped), 1);
        assert_eq!(sim.elapsed(), Duration::from_secs(11));
    }

    #[test]
    fn a_stopped_process_does_nothing_while_time_goes_on() {
        let sim = Sim::seeded(1);
        let (env, woken) = (sim.env(Actor(1)), Arc::new(Mutex::new(None)));
        let (inner, told) = (env.clone(), Arc::clone(&woken));
        env.spawn(Box::pin(async move {
            inner.sleep(Duration::from_secs(1)).await;
            *lock(&told) = Some(inner.monotonic());
        }));
        sim.run_for(Duration::from_millis(500));
        sim.pause(Actor(1));
        sim.run_for(Duration::from_secs(10));
        assert_eq!((sim.elapsed(), *lock(&woken)), (Duration::from_millis(10_500), None));
        sim.resume(Actor(1));
        sim.run_for(Duration::from_secs(1));
        assert_eq!(*lock(&woken), Some(Monotonic::from_origin(Duration::from_millis(10_500))));
    }

    #[test]
    fn the_wall_clock_steps_and_the_monotonic_one_does_not() {
        let sim = Sim::seeded(1);
        let env = sim.env(Actor(1));
        let before = (env.now(), env.monotonic());
        sim.step_wall_clock(Actor(1), -3_600_000_000);
        assert_eq!(env.now(), before.0 - Duration::from_secs(3600));
        assert_eq!(env.monotonic(), before.1);
    }
}
