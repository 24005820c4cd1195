//! From any mess to rest.

use proptest::prelude::*;

use super::*;

fn state() -> impl Strategy<Value = ContainerState> {
    prop_oneof![
        Just(ContainerState::Created),
        Just(running()),
        (0..3i32).prop_map(exited),
        Just(ContainerState::Dead)
    ]
}

fn policy() -> impl Strategy<Value = RestartPolicy> {
    (
        prop_oneof![
            Just(RestartCondition::Always),
            Just(RestartCondition::OnFailure),
            Just(RestartCondition::Never)
        ],
        proptest::option::of(1..4u32),
    )
        .prop_map(|(condition, max_attempts)| RestartPolicy {
            condition,
            max_attempts,
            backoff: Backoff::default(),
        })
}

proptest! {
    /// From any mess a runtime can be left in, a task comes to rest with one running container, or at its end with
    /// none, and no more than one dead one beside it; and every start finds no other container running.
    #[test]
    fn any_mess_comes_to_rest(
        policy in policy(),
        containers in proptest::collection::btree_map(1..5u32, (state(), any::<bool>()), 0..4),
        known in 1..5u32,
        wanted in prop_oneof![Just(DesiredStatus::Running), Just(DesiredStatus::Stopped), Just(DesiredStatus::Removed)],
    ) {
        let mut bench = Bench::with(policy);
        bench.desired.attempt = Attempt(known);
        bench.desired.desired = wanted;
        for (attempt, (state, fits)) in containers {
            bench = bench.container(attempt, state);
            if !fits {
                bench.containers.last_mut().unwrap().labels.version = Version(9);
            }
        }
        let mut last = None;
        for _ in 0..60 {
            let plan = bench.look();
            if let (Some(report), Some((attempt, status))) = (&plan.report, &last) {
                let to = report.attempt.unwrap();
                let status: &TaskStatus = status;
                prop_assert!(status.check_advance(*attempt, &report.status, to).is_ok(), "{status:?} → {report:?}");
            }
            if let Some(report) = &plan.report {
                last = Some((report.attempt.unwrap(), report.status.clone()));
            }
            match &plan.step {
                Some(step) => {
                    if matches!(step, Step::Start { .. }) {
                        prop_assert!(!bench.containers.iter().any(is_running));
                    }
                    bench.carry_out(&step.clone());
                }
                None => match plan.look_again {
                    Some(at) => bench.now = at,
                    None => break,
                },
            }
        }
        let plan = bench.look();
        prop_assert_eq!(&plan.step, &None);
        let running = bench.containers.iter().filter(|c| is_running(c)).count();
        let status = plan.report.map(|report| report.status);
        match wanted {
            DesiredStatus::Running if bench.memory.end.is_none() => prop_assert_eq!(running, 1),
            DesiredStatus::Running | DesiredStatus::Stopped => {
                prop_assert_eq!(running, 0);
                prop_assert!(status.unwrap().is_terminal());
            }
            DesiredStatus::Removed => prop_assert!(bench.containers.is_empty() && plan.finished),
        }
        prop_assert!(bench.containers.len() - running <= 1);
    }
}
