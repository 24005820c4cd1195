//! When the control plane was last heard, and what that means for tasks that may not run without it for long (M38).

use std::time::Duration;

use orch_core::time::Monotonic;

/// Whether a task may run while the control plane is not heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lapse {
    /// It may.
    #[default]
    Fresh,
    /// It may if it runs already: this process has not heard the control plane yet, and an earlier one may have stopped it.
    Unproven,
    /// It may not.
    Over,
}

impl Lapse {
    /// Of a task that may run for `allowed` without contact, and when it changes by time alone. `heard`: when the last question
    /// that was answered was asked; until there is one, time counts from the start of this process.
    pub(crate) fn of(
        allowed: Option<Duration>,
        heard: Option<Monotonic>,
        started: Monotonic,
        now: Monotonic,
    ) -> (Self, Option<Monotonic>) {
        let Some(allowed) = allowed else { return (Self::Fresh, None) };
        let until = heard.unwrap_or(started) + allowed;
        match heard {
            _ if now >= until => (Self::Over, None),
            Some(_) => (Self::Fresh, Some(until)),
            None => (Self::Unproven, Some(until)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_origin(Duration::from_secs(seconds))
    }

    /// M38: by the monotonic clock, from the question that was answered. Were it counted from the answer, a slow one would let
    /// the task run on after another took its place.
    #[test]
    fn it_runs_out_after_the_last_contact_and_is_unproven_before_the_first() {
        let allowed = Some(Duration::from_secs(30));
        let of = |heard, now| Lapse::of(allowed, heard, at(100), at(now));
        assert_eq!(of(None, 129), (Lapse::Unproven, Some(at(130))));
        assert_eq!(of(None, 130), (Lapse::Over, None));
        assert_eq!(of(Some(at(120)), 149), (Lapse::Fresh, Some(at(150))));
        assert_eq!(of(Some(at(120)), 150), (Lapse::Over, None));
        assert_eq!(Lapse::of(None, None, at(0), at(9_999)), (Lapse::Fresh, None));
    }
}
