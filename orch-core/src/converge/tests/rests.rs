//! A control plane that is not heard, and what may not run without it.

use super::*;

impl Bench {
    fn rest(&mut self) -> TaskPlan {
        let view = TaskView {
            task: self.desired.id,
            intent: Intent::Rest(&self.desired),
            refusal: None,
            containers: &self.containers,
            memory: &self.memory,
            keep_dead: self.keep_dead,
        };
        let plan = converge(&view, self.now, 0);
        self.memory = plan.memory.clone();
        plan
    }
}

/// M38: what was stopped because the control plane was not heard starts again whatever its restart policy, and is not counted;
/// that outlives the agent. Without `rested` a task with `never` would be at its end after the first partition.
#[test]
fn a_task_that_rests_is_stopped_and_goes_on_as_another_attempt() {
    for restarts in [false, true] {
        let mut bench = Bench::new().container(1, running());
        bench.desired.template.restart.condition = RestartCondition::Never;
        bench.look();
        let plan = bench.rest();
        assert_eq!(plan.to_string(), "stop c1\n", "nothing is said that nobody hears");
        bench.carry_out(&plan.step.unwrap());
        let plan = bench.rest();
        assert_eq!((plan.step, plan.report), (None, None), "and nothing is started");
        if restarts {
            bench.memory = TaskMemory::recalled(bench.memory.streak().unwrap());
            assert_eq!(bench.rest().step, None);
        }
        let plan = bench.settle();
        let report = plan.report.unwrap();
        assert_eq!((report.status.as_str(), report.attempt), ("running", Some(Attempt(2))), "{restarts}");
        assert!(report.last_exit.unwrap().by_us);
        assert_eq!(bench.memory.streak(), None);
    }
}

#[test]
fn a_task_that_is_heard_of_again_before_it_was_stopped_runs_on() {
    let mut bench = Bench::new().container(1, running());
    bench.look();
    bench.rest();
    let plan = bench.look();
    assert_eq!((plan.step, plan.report.unwrap().status.as_str()), (None, "running"));
    assert_eq!(bench.memory.streak(), None);
}
