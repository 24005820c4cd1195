//! Who must make room for a version waits until that version's image is there (M32).

use orch_core::command::{ApplyService, apply_service::ApplyTarget};
use orch_core::deployment::{DeploymentStatus, OnFailure};
use orch_core::name::Namespace;
use orch_core::service::{PortSpec, Protocol, Publish, ServiceSpec};
use orch_core::task::Prepared;
use orch_core::testing::web_spec;

use crate::site::{Site, assert_plan, check};

/// One replica that must stop before its successor starts: both want the same port.
fn fixed_port() -> ServiceSpec {
    let mut spec = web_spec("web", 1);
    spec.template.ports = vec![PortSpec {
        name: None,
        protocol: Protocol::Tcp,
        container_port: 8080.try_into().unwrap(),
        publish: Publish::Fixed(8080.try_into().unwrap()),
    }];
    spec.template.health = Some(check());
    spec
}

/// The site's nodes have nothing that they are asked for, and a rollout of `web:2` has begun.
fn without_images(spec: ServiceSpec) -> Site {
    let mut site = Site::settled(&["a"], spec);
    site.images = false;
    site.roll_out("web:2", 1, 0);
    assert_plan!(
        site.look(),
        "
        ~ web/1 on a: fetch version 2
        held: web/1: waiting for image web:2 on a: it is being fetched
    "
    );
    assert_eq!(site.available(), 1);
    site
}

/// M32: without `may_make_room` the old one would be stopped at once.
#[test]
fn who_makes_room_serves_until_the_image_of_its_successor_is_there() {
    for spec in [fixed_port(), { ServiceSpec { stateful: true, ..web_spec("web", 1) } }, web_spec("web", 1)] {
        let mut site = without_images(spec);
        let old = site.task(1);
        site.answer(&old, Prepared::Waiting("the registry does not answer".to_owned()));
        site.advance(120);
        assert_plan!(site.look(), "held: web/1: waiting for image web:2 on a: the registry does not answer");
        let reason = site.deployment().reason.clone().unwrap();
        assert_eq!(reason, "waiting: web.1: waiting for image web:2 on a: the registry does not answer");
        assert_eq!(site.available(), 1);
        site.answer(&site.task(1), Prepared::Ready);
        let plan = site.look().to_string();
        assert!(plan.starts_with("- web/1 on a"), "{plan}");
        site.settle();
        site.deployment_is(DeploymentStatus::Succeeded);
        assert_eq!(site.running(), "1 v2 a");
    }
}

/// M32: an image that cannot be had fails the rollout, and nobody was stopped for it.
#[test]
fn an_image_that_cannot_be_had_fails_the_rollout_and_stops_nobody() {
    for on_failure in [OnFailure::Rollback, OnFailure::Pause] {
        let mut spec = fixed_port();
        spec.rollout.on_failure = on_failure;
        let mut site = without_images(spec);
        let old = site.task(1);
        site.answer(&old, Prepared::Failed("manifest unknown".to_owned()));
        site.look();
        site.settle();
        assert_eq!((site.available(), site.task(1).id), (1, old.id));
        let deployments = site.world.cluster.deployments_of(site.service);
        let failed = deployments.iter().find(|rollout| rollout.to_version.0 == 2).unwrap();
        assert_eq!(failed.reason.as_deref(), Some("web.1 goes on as it is: manifest unknown"));
        if on_failure == OnFailure::Pause {
            // A person mended it: the node is asked once more.
            site.images = true;
            let command = orch_core::command::ContinueRollout { service: site.service, because: None };
            site.advance(1);
            site.world.execute(command).unwrap();
            site.settle();
            assert_eq!(site.running(), "1 v2 a");
        }
    }
}

/// M32: an agent that knows nothing of being asked is not waited for for ever.
#[test]
fn a_node_that_says_nothing_of_the_image_is_waited_for_half_a_minute() {
    let mut site = without_images(fixed_port());
    let plan = site.plan();
    assert_eq!(plan.look_again, Some(site.world.now + std::time::Duration::from_secs(30)));
    site.advance(29);
    assert!(site.plan().steps.is_empty());
    site.advance(1);
    assert!(site.look().to_string().starts_with("- web/1 on a"));
}

#[test]
fn nothing_is_fetched_for_a_version_of_the_same_image() {
    let mut site = Site::settled(&["a"], fixed_port());
    site.images = false;
    let mut spec = site.row().spec.clone();
    spec.template.env.insert("A".parse().unwrap(), "b".to_owned());
    let command = ApplyService {
        namespace: Namespace::default_namespace(),
        target: ApplyTarget::Name,
        spec,
        expected: None,
        dry_run: false,
    };
    site.advance(1);
    site.world.execute(command).unwrap();
    assert!(site.look().to_string().starts_with("- web/1 on a"));
}
