//! Specs as people write them: with and without checks, fixed ports, state, and an end.

use std::num::NonZeroU16;
use std::time::Duration;

use orch_core::deployment::{OnFailure, RolloutPolicy};
use orch_core::name::ServiceName;
use orch_core::node::Resources;
use orch_core::service::{
    Backoff, HealthCheck, ImageRef, OnDisconnect, Probe, Publish, RestartCondition, RestartPolicy,
    ServiceSpec,
};
use orch_core::testing::decide::web_spec;

/// Services that there may be.
pub const SERVICES: u64 = 8;
/// Replicas that one may have.
pub const REPLICAS: u64 = 12;

/// The name of one of the services.
///
/// # Panics
/// Never: the names are names.
#[must_use]
pub fn name(random: u64) -> ServiceName {
    format!("web-{}", random % SERVICES).parse().expect("a service name")
}

/// One of the images.
///
/// # Panics
/// Never: the names are names.
#[must_use]
pub fn image(random: u64) -> ImageRef {
    format!("web:{}", random % 4).parse().expect("an image")
}

/// A spec. What a service is like follows from its name, mostly: so one keeps its kind through its versions.
pub fn draw(mut random: impl FnMut() -> u64, name: &ServiceName) -> ServiceSpec {
    let usual = name.as_str().bytes().last().map_or(0, |last| u64::from(last - b'0'));
    let kind = if random().is_multiple_of(8) { random() % SERVICES } else { usual };
    let replicas = u32::try_from(random() % REPLICAS).unwrap_or(1) + 1;
    let mut spec = web_spec(name.as_str(), replicas);
    spec.template.image = image(random());
    spec.template.requests = Resources::new(100, 64 << 20);
    spec.template.limits = spec.template.requests;
    spec.template.stop.delay = Duration::from_millis(random() % 3 * 1_000);
    spec.rollout = rollout(&mut random);
    spec.template.restart.backoff =
        Backoff { initial: Duration::from_secs(1), max: Duration::from_secs(10), ..Backoff::default() };
    spec.template.on_disconnect = match usual {
        1 => OnDisconnect::ReplaceAfter(Duration::from_secs(45)),
        2 => OnDisconnect::StopAfter(Duration::from_secs(20)),
        5 => OnDisconnect::Keep,
        _ => OnDisconnect::default(),
    };
    match kind {
        4 | 5 => spec.template.health = Some(check(&mut random)),
        6 => {
            let port = u16::try_from(9_000 + usual).unwrap_or(9_000);
            spec.template.ports[0].publish = Publish::Fixed(NonZeroU16::new(port).expect("not zero"));
            spec.replicas = spec.replicas.min(3);
        }
        7 => {
            spec.stateful = true;
            spec.replicas = spec.replicas.min(4);
        }
        3 => spec.template.restart = restart(&mut random, spec.template.restart.backoff),
        _ => {}
    }
    spec
}

fn rollout(random: &mut impl FnMut() -> u64) -> RolloutPolicy {
    let max_surge = u32::try_from(random() % 3).unwrap_or(1);
    RolloutPolicy {
        max_surge,
        max_unavailable: u32::from(random().is_multiple_of(2) || max_surge == 0),
        min_healthy: Duration::from_secs(1 + random() % 5),
        deadline: Duration::from_secs(60 + random() % 200),
        on_failure: if random().is_multiple_of(4) { OnFailure::Pause } else { OnFailure::Rollback },
    }
}

fn check(random: &mut impl FnMut() -> u64) -> HealthCheck {
    HealthCheck {
        probe: Probe::Tcp { port: NonZeroU16::new(8080).expect("not zero") },
        interval: Duration::from_secs(2 + random() % 4),
        timeout: Duration::from_secs(1),
        start_period: Duration::from_secs(random() % 2 * 4),
        healthy_threshold: 1 + u32::try_from(random() % 2).unwrap_or(0),
        unhealthy_threshold: 1 + u32::try_from(random() % 3).unwrap_or(0),
    }
}

fn restart(random: &mut impl FnMut() -> u64, backoff: Backoff) -> RestartPolicy {
    let condition = match random() % 3 {
        0 => RestartCondition::Always,
        1 => RestartCondition::OnFailure,
        _ => RestartCondition::Never,
    };
    RestartPolicy { condition, max_attempts: Some(1 + u32::try_from(random() % 3).unwrap_or(0)), backoff }
}
