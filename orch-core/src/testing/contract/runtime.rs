//! The contract of [`ContainerRuntime`], as tests.

use std::time::Duration;

use futures_util::StreamExt as _;

use crate::env::{EnvExt as _, SharedEnv};
use crate::id::{IdStream, NodeId, TypedId as _};
use crate::runtime::{
    ContainerChange, ContainerEvent, ContainerId, ContainerLabels, ContainerRuntime, ContainerState,
    CreateRequest, LogOptions, ObservedContainer, Owner, RuntimeError, RuntimeEvent,
};
use crate::secret::ResolvedSecrets;
use crate::service::{StopPolicy, TaskTemplate, Version};
use crate::task::{Attempt, FailureKind};

/// What the suite needs to know of the runtime that it tests.
///
/// Each test has a fixture of its own. Dropping one, also while a test fails, removes the containers of its owner and of
/// [`RuntimeFixture::neighbour`].
pub trait RuntimeFixture: Send + Sync {
    /// The runtime.
    fn runtime(&self) -> &dyn ContainerRuntime;
    /// The same containers seen by a runtime that was made anew, as after the agent's restart.
    fn reopened(&self) -> Box<dyn ContainerRuntime>;
    /// Whose containers the test makes. Of a cluster that no other test has.
    fn owner(&self) -> Owner;
    /// Another node of the same cluster.
    fn neighbour(&self) -> Owner {
        let mut id = self.owner().node.uuid().into_bytes();
        id[15] ^= 1;
        Owner { node: NodeId::from_uuid(uuid::Uuid::from_bytes(id)), ..self.owner() }
    }
    /// Time.
    fn env(&self) -> SharedEnv;
    /// A task of the given behaviour, with an image that is there or can be had.
    fn template(&self, behaviour: Behaviour) -> TaskTemplate;
}

/// What a task of a test does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Writes a line that holds `listens` to standard output, and runs until it is stopped; ends at SIGTERM.
    Serve,
    /// Ends at once, with exit code 1.
    Fail,
}

/// Makes a module `$name` with the tests of the runtime contract. `$make` is evaluated once a test, may `.await`, and
/// yields something that dereferences to a [`RuntimeFixture`].
///
/// ```ignore
/// orch_core::runtime_contract!(docker => Box::new(DockerFixture::new().await));
/// ```
#[macro_export]
macro_rules! runtime_contract {
    ($name:ident => $make:expr) => {
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            $crate::runtime_contract!(@tests $make;
                a_container_is_created_started_stopped_and_removed
                creating_again_answers_the_container_that_is_there
                a_name_that_another_task_has_is_not_taken_over
                every_call_can_be_repeated
                a_container_that_is_gone_is_gone_for_every_call
                an_exit_is_reported_with_its_code_and_time
                a_running_container_is_removed
                an_owner_sees_its_own_containers_only
                a_runtime_that_was_made_anew_goes_on_with_what_runs
                events_tell_of_start_death_and_removal
                the_event_of_an_end_tells_how_it_ended
                the_log_holds_what_was_written
                a_followed_log_ends_with_its_container
            );
        }
    };
    (@tests $make:expr; $($test:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let fixture = $make;
            $crate::testing::contract::runtime::$test(&*fixture).await;
        }
    )*};
}

/// Everything is given up on after this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// One task's container-to-be.
struct Wanted {
    name: String,
    labels: ContainerLabels,
    template: TaskTemplate,
}

impl Wanted {
    fn new(fixture: &dyn RuntimeFixture, behaviour: Behaviour) -> Self {
        Self::of(fixture, fixture.owner(), behaviour)
    }

    fn of(fixture: &dyn RuntimeFixture, owner: Owner, behaviour: Behaviour) -> Self {
        let template = fixture.template(behaviour);
        let mut ids = IdStream::seeded(fixture.env().random_u64());
        let labels = ContainerLabels {
            cluster: owner.cluster,
            node: owner.node,
            service: ids.next(),
            task: ids.next(),
            attempt: Attempt::FIRST,
            version: Version(1),
            digest: template.digest(),
            restart: template.restart.clone(),
            stop: template.stop.clone(),
        };
        Self { name: format!("orch-{}", labels.task), labels, template }
    }

    async fn try_create(&self, runtime: &dyn ContainerRuntime) -> Result<ContainerId, RuntimeError> {
        let image = runtime.ensure_image(&self.template.image, &|_| {}).await?;
        let secrets = ResolvedSecrets::default();
        let request = CreateRequest::new(&self.name, "web-1", &self.labels, &self.template, &image, &secrets);
        runtime.create(request).await
    }

    async fn create(&self, runtime: &dyn ContainerRuntime) -> ContainerId {
        self.try_create(runtime).await.expect("the container is created")
    }

    async fn start(&self, runtime: &dyn ContainerRuntime) -> ContainerId {
        let id = self.create(runtime).await;
        runtime.start(&id).await.expect("the container starts");
        id
    }
}

async fn look(runtime: &dyn ContainerRuntime, id: &ContainerId) -> ObservedContainer {
    runtime.inspect(id).await.expect("the runtime answers").expect("the container is there")
}

/// Looks until the container has exited.
async fn exited(fixture: &dyn RuntimeFixture, id: &ContainerId) -> crate::task::Exit {
    let (env, end) = (fixture.env(), fixture.env().monotonic() + PATIENCE);
    loop {
        let found = look(fixture.runtime(), id).await;
        if let ContainerState::Exited(exit) = found.state {
            return exit;
        }
        assert!(env.monotonic() < end, "still {:?}", found.state);
        env.sleep(Duration::from_millis(10)).await;
    }
}

fn quick() -> StopPolicy {
    StopPolicy { grace: Duration::from_secs(5), ..StopPolicy::default() }
}

#[doc(hidden)]
pub async fn a_container_is_created_started_stopped_and_removed(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime();
    let wanted = Wanted::new(fixture, Behaviour::Serve);
    let id = wanted.create(runtime).await;
    let found = look(runtime, &id).await;
    assert_eq!((&found.labels, found.state), (&wanted.labels, ContainerState::Created));

    let before = fixture.env().now();
    runtime.start(&id).await.expect("the container starts");
    let ContainerState::Running { since } = look(runtime, &id).await.state else { panic!("it does not run") };
    assert!(since + Duration::from_secs(1) >= before, "{since} is before {before}");

    runtime.stop(&id, &quick()).await.expect("the container stops");
    let found = look(runtime, &id).await;
    assert!(matches!(found.state, ContainerState::Exited(_)), "{:?} after stop answered", found.state);

    runtime.remove(&id).await.expect("the container is removed");
    assert_eq!(runtime.inspect(&id).await.expect("the runtime answers"), None);
    assert_eq!(runtime.list(&fixture.owner()).await.expect("the runtime lists"), vec![]);
}

#[doc(hidden)]
pub async fn creating_again_answers_the_container_that_is_there(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime();
    let wanted = Wanted::new(fixture, Behaviour::Serve);
    let id = wanted.create(runtime).await;
    assert_eq!(wanted.create(runtime).await, id);
    runtime.start(&id).await.expect("the container starts");
    assert_eq!(wanted.create(runtime).await, id, "running, it is adopted too");
    assert_eq!(runtime.list(&fixture.owner()).await.expect("the runtime lists").len(), 1);
}

#[doc(hidden)]
pub async fn a_name_that_another_task_has_is_not_taken_over(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime();
    let first = Wanted::new(fixture, Behaviour::Serve);
    let id = first.create(runtime).await;
    let second = Wanted { name: first.name.clone(), ..Wanted::new(fixture, Behaviour::Serve) };
    let error = second.try_create(runtime).await.expect_err("the name is taken");
    assert!(matches!(error, RuntimeError::Permanent { kind: FailureKind::Engine, .. }), "{error:?}");
    assert_eq!(look(runtime, &id).await.labels, first.labels, "the other one is untouched");
}

#[doc(hidden)]
pub async fn every_call_can_be_repeated(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime();
    let id = Wanted::new(fixture, Behaviour::Serve).start(runtime).await;
    runtime.start(&id).await.expect("one that runs already is fine");
    runtime.stop(&id, &quick()).await.expect("the container stops");
    runtime.stop(&id, &quick()).await.expect("one that is stopped is fine");
    runtime.remove(&id).await.expect("the container is removed");
    runtime.remove(&id).await.expect("one that is gone is fine");
}

#[doc(hidden)]
pub async fn a_container_that_is_gone_is_gone_for_every_call(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime();
    let id = Wanted::new(fixture, Behaviour::Serve).create(runtime).await;
    runtime.remove(&id).await.expect("the container is removed");
    for id in [id, ContainerId("0123456789ab".repeat(5) + "abcd")] {
        assert!(matches!(runtime.start(&id).await, Err(RuntimeError::Gone)));
        assert!(matches!(runtime.inspect(&id).await, Ok(None)));
        runtime.stop(&id, &quick()).await.expect("one that is gone is fine");
        runtime.remove(&id).await.expect("one that is gone is fine");
        if let Some(logs) = runtime.logs() {
            let error = logs.logs(&id, &LogOptions::default()).await.err();
            assert!(matches!(error, Some(RuntimeError::Gone)), "{error:?}");
        }
    }
}

#[doc(hidden)]
pub async fn an_exit_is_reported_with_its_code_and_time(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime();
    let before = fixture.env().now();
    let id = Wanted::new(fixture, Behaviour::Fail).start(runtime).await;
    let exit = exited(fixture, &id).await;
    assert_eq!((exit.code, exit.oom_killed, exit.by_us), (Some(1), false, false));
    assert!(exit.at + Duration::from_secs(1) >= before, "{} is before {before}", exit.at);
    let listed = runtime.list(&fixture.owner()).await.expect("the runtime lists");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].state, ContainerState::Exited(exit), "the list tells as much as an inspection");
}

#[doc(hidden)]
pub async fn a_running_container_is_removed(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime();
    let id = Wanted::new(fixture, Behaviour::Serve).start(runtime).await;
    runtime.remove(&id).await.expect("the container is removed");
    assert_eq!(runtime.inspect(&id).await.expect("the runtime answers"), None);
}

#[doc(hidden)]
pub async fn an_owner_sees_its_own_containers_only(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime();
    let ours = Wanted::new(fixture, Behaviour::Serve);
    let theirs = Wanted::of(fixture, fixture.neighbour(), Behaviour::Serve);
    let (our_id, their_id) = (ours.create(runtime).await, theirs.create(runtime).await);
    for (owner, id, wanted) in [(fixture.owner(), our_id, ours), (fixture.neighbour(), their_id, theirs)] {
        let listed = runtime.list(&owner).await.expect("the runtime lists");
        let listed: Vec<_> = listed.iter().map(|found| (&found.id, &found.labels)).collect();
        assert_eq!(listed, [(&id, &wanted.labels)]);
    }
}

#[doc(hidden)]
pub async fn a_runtime_that_was_made_anew_goes_on_with_what_runs(fixture: &dyn RuntimeFixture) {
    let wanted = Wanted::new(fixture, Behaviour::Serve);
    let id = wanted.start(fixture.runtime()).await;
    let anew = fixture.reopened();
    let listed = anew.list(&fixture.owner()).await.expect("the runtime lists");
    assert_eq!(listed, [look(fixture.runtime(), &id).await]);
    assert_eq!(wanted.create(&*anew).await, id, "creating adopts");
    anew.stop(&id, &quick()).await.expect("the container stops");
    assert!(matches!(look(&*anew, &id).await.state, ContainerState::Exited(_)));
    anew.remove(&id).await.expect("the container is removed");
    assert_eq!(anew.list(&fixture.owner()).await.expect("the runtime lists"), []);
}

#[doc(hidden)]
pub async fn events_tell_of_start_death_and_removal(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime();
    let mut events = runtime.events(&fixture.owner());
    let other = Wanted::of(fixture, fixture.neighbour(), Behaviour::Serve).start(runtime).await;
    let wanted = Wanted::new(fixture, Behaviour::Serve);
    let id = wanted.start(runtime).await;
    let (env, end) = (fixture.env(), fixture.env().monotonic() + PATIENCE);
    let mut told = async |until: &dyn Fn(Option<&ObservedContainer>) -> bool| loop {
        let event = tokio::select! {
            biased;
            event = events.next() => event.expect("the stream never ends"),
            () = env.sleep_until(end) => panic!("no event told of it"),
        };
        let RuntimeEvent::Changed(event) = event else { continue };
        assert_ne!(event.container, other, "events of another owner");
        assert_eq!(event.container, id);
        assert_eq!(event.task, Some(wanted.labels.task));
        if until(runtime.inspect(&id).await.expect("the runtime answers").as_ref()) {
            return;
        }
    };
    told(&|found| found.is_some_and(|found| matches!(found.state, ContainerState::Running { .. }))).await;
    runtime.stop(&id, &quick()).await.expect("the container stops");
    told(&|found| found.is_some_and(|found| matches!(found.state, ContainerState::Exited(_)))).await;
    runtime.remove(&id).await.expect("the container is removed");
    told(&|found| found.is_none()).await;
}

#[doc(hidden)]
pub async fn the_event_of_an_end_tells_how_it_ended(fixture: &dyn RuntimeFixture) {
    let runtime = fixture.runtime();
    let mut events = runtime.events(&fixture.owner());
    let (env, end) = (fixture.env(), fixture.env().monotonic() + PATIENCE);
    let mut next = async |of: &ContainerId| loop {
        let event = tokio::select! {
            biased;
            event = events.next() => event.expect("the stream never ends"),
            () = env.sleep_until(end) => panic!("no event told of it"),
        };
        if let RuntimeEvent::Changed(ContainerEvent { container, change, .. }) = event
            && container == *of
        {
            return change;
        }
    };
    let id = Wanted::new(fixture, Behaviour::Fail).start(runtime).await;
    assert_eq!(next(&id).await, ContainerChange::Created);
    let ContainerChange::Started { since } = next(&id).await else { panic!("the start comes first") };
    let ContainerChange::Ended(told) = next(&id).await else { panic!("the end comes next") };
    let found = exited(fixture, &id).await;
    assert_eq!((told.code, told.oom_killed, told.by_us), (Some(1), false, false));
    assert!(told.at >= since && told.at <= found.at + Duration::from_secs(1), "{told:?}, then {found:?}");

    let id = Wanted::new(fixture, Behaviour::Serve).start(runtime).await;
    while !matches!(next(&id).await, ContainerChange::Started { .. }) {}
    runtime.stop(&id, &quick()).await.expect("the container stops");
    let ContainerChange::Ended(told) = next(&id).await else { panic!("a stop ends it, and no more") };
    assert_eq!(told.code, exited(fixture, &id).await.code);
    runtime.remove(&id).await.expect("the container is removed");
    assert_eq!(next(&id).await, ContainerChange::Removed, "a removal is no end");
}

/// The log up to where `enough` holds of it, or to its end.
async fn read_log(
    fixture: &dyn RuntimeFixture,
    id: &ContainerId,
    options: &LogOptions,
    enough: impl Fn(&str) -> bool,
) -> String {
    let logs = fixture.runtime().logs().expect("asked for where there is one");
    let mut stream = logs.logs(id, options).await.expect("the log is there");
    let (env, end) = (fixture.env(), fixture.env().monotonic() + PATIENCE);
    let mut text = String::new();
    while !enough(&text) {
        let chunk = tokio::select! {
            biased;
            chunk = stream.next() => chunk,
            () = env.sleep_until(end) => panic!("the log goes on without: {text}"),
        };
        match chunk {
            Some(chunk) => text.push_str(&String::from_utf8_lossy(&chunk.expect("the log is read").bytes)),
            None => break,
        }
    }
    text
}

#[doc(hidden)]
pub async fn the_log_holds_what_was_written(fixture: &dyn RuntimeFixture) {
    if fixture.runtime().logs().is_none() {
        return;
    }
    let id = Wanted::new(fixture, Behaviour::Serve).start(fixture.runtime()).await;
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let text = read_log(fixture, &id, &follow, |text| text.contains("listens")).await;
    assert!(text.contains("listens"), "{text}");
    fixture.runtime().stop(&id, &quick()).await.expect("the container stops");
    let whole = read_log(fixture, &id, &LogOptions::default(), |_| false).await;
    assert!(whole.contains("listens"), "the log is there after the end: {whole}");
    let none = LogOptions { tail: Some(0), ..LogOptions::default() };
    assert_eq!(read_log(fixture, &id, &none, |_| false).await, "");
    let one = LogOptions { tail: Some(1), ..LogOptions::default() };
    assert_eq!(read_log(fixture, &id, &one, |_| false).await.lines().count(), 1);
}

#[doc(hidden)]
pub async fn a_followed_log_ends_with_its_container(fixture: &dyn RuntimeFixture) {
    if fixture.runtime().logs().is_none() {
        return;
    }
    let id = Wanted::new(fixture, Behaviour::Serve).start(fixture.runtime()).await;
    let follow = LogOptions { follow: true, ..LogOptions::default() };
    let stop = async {
        read_log(fixture, &id, &follow, |text| text.contains("listens")).await;
        fixture.runtime().stop(&id, &quick()).await.expect("the container stops");
    };
    let (text, ()) = tokio::join!(read_log(fixture, &id, &follow, |_| false), stop);
    assert!(text.contains("listens"), "{text}");
}
