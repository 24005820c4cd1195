//! Many seeds on several threads, told in their order: each story is alone in its thread, and the same as ever.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::story::{Outcome, Plan, run};

/// How many seeds are told between two meetings of the threads: none waits long for a long story.
const AT_ONCE: u64 = 64;

/// The outcomes of these seeds, in order, on so many threads.
pub fn outcomes(
    seeds: Range<u64>,
    jobs: NonZeroUsize,
    plan: &Plan,
) -> impl Iterator<Item = (u64, Outcome)> + '_ {
    let mut begun = seeds.start;
    std::iter::from_fn(move || {
        let next = begun..seeds.end.min(begun.saturating_add(AT_ONCE));
        begun = next.end;
        (!next.is_empty()).then(|| together(next, jobs, plan))
    })
    .flatten()
}

fn together(seeds: Range<u64>, jobs: NonZeroUsize, plan: &Plan) -> Vec<(u64, Outcome)> {
    let next = AtomicU64::new(seeds.start);
    let told = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.get() {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = run(seed, plan);
                    told.lock().expect("no thread panics while it holds this").push((seed, outcome));
                }
            });
        }
    });
    let mut told = told.into_inner().expect("no thread panics while it holds this");
    told.sort_by_key(|(seed, _)| *seed);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_threads_tell_the_stories_that_one_tells_and_in_their_order() {
        let plan = Plan { faulty: std::time::Duration::from_secs(5), ..Plan::default() };
        let told = |jobs: usize| {
            let jobs = NonZeroUsize::new(jobs).unwrap();
            outcomes(7..12, jobs, &plan).map(|(seed, outcome)| (seed, outcome.trace)).collect::<Vec<_>>()
        };
        let alone = told(1);
        assert_eq!(alone.iter().map(|(seed, _)| *seed).collect::<Vec<_>>(), [7, 8, 9, 10, 11]);
        assert_eq!(told(3), alone);
    }
}
