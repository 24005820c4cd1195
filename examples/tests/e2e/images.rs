//! Which bytes run: with a registry whose tags move, on the real engine.

use std::collections::BTreeSet;

use crate::engine;
use crate::http;
use crate::poll::until;
use crate::registry::Registry;
use crate::site::{Site, free_port, port_of};

/// Deploys `image` as the service `web`, with more lines of YAML.
fn deploy(site: &Site, image: &str, more: &str) {
    let path = site.path("images.yaml");
    let text = format!(
        "name: web\nimage: {image}\nhealthcheck: {{type: http, path: /health, interval: 300ms, timeout: 2s}}\n{more}\n"
    );
    std::fs::write(&path, text).unwrap();
    site.ok(&["deploy", path.to_str().unwrap(), "--wait", "--timeout", "60s"]);
}

/// The engine's ids of the images that run.
fn running_images(site: &Site) -> BTreeSet<String> {
    let images =
        site.running().into_values().map(|container| container.whole["Image"].as_str().unwrap().to_owned());
    images.collect()
}

/// M32: the tag moves between the starts of two replicas, on the engine and at the registry. Without the pin the second one
/// would run what the tag means by then.
#[test]
fn replicas_of_a_version_run_the_same_bytes_though_the_tag_moves_between_their_starts_on_the_engine() {
    let (site, registry) = (Site::start(&["a", "b"]), Registry::start());
    registry.publish(&format!("{}:1", site.image), "stable");
    deploy(&site, &registry.image("stable"), "ports: [{container: 8080}]");
    let first = running_images(&site);
    let pin = site.json(&["service", "inspect", "web"])["service"]["image_pin"].clone();
    assert_eq!(pin["source"], "registry", "{pin}");
    let by_digest = format!("{}@sha256:", registry.image("").trim_end_matches(':'));
    assert!(pin["image"].as_str().unwrap().starts_with(&by_digest), "{pin}");

    registry.publish(&format!("{}:2", site.image), "stable");
    site.ok(&["scale", "web", "--replicas", "2"]);
    let tasks = site.healthy(2);
    assert_eq!(running_images(&site), first, "{tasks:?}");
    for task in &tasks {
        let (_, said) = http::get(port_of(task), "/").unwrap();
        assert!(said.starts_with("version 1 "), "{said}");
    }

    // A version of its own has a pin of its own, and going back is to the bytes that were.
    registry.publish(&format!("{}:2", site.image), "next");
    site.ok(&["rollout", "web", "--image", &registry.image("next"), "--wait", "--timeout", "60s"]);
    until("the first version is gone", || running_images(&site).is_disjoint(&first).then_some(()));
    site.ok(&["rollback", "web", "--wait", "--timeout", "60s"]);
    until("only the first version's bytes run", || (running_images(&site) == first).then_some(()));
    let history = site.json(&["history", "web"]);
    let versions = history["versions"].as_array().unwrap();
    assert_eq!(versions[1]["image_pin"], pin, "{history}");
    assert_ne!(versions[0]["image_pin"], pin, "{history}");
}

/// M32: both versions want the same port, so that the old one must stop first; it does not before the new one's image is there,
/// and not at all for an image that cannot be had.
#[test]
fn who_must_make_room_serves_until_the_image_of_the_next_version_is_there_on_the_engine() {
    let (site, registry) = (Site::start(&["a"]), Registry::start());
    registry.publish(&format!("{}:1", site.image), "1");
    registry.publish(&format!("{}:2", site.image), "2");
    registry.forget("2");
    let port = free_port();
    let lines = format!("ports: [{{container: 8080, published: {port}}}]\nrollout: {{onFailure: pause}}");
    deploy(&site, &registry.image("1"), &lines);
    let before = site.starts();
    let serves = |version: &str| http::get(port, "/").is_ok_and(|(_, said)| said.starts_with(version));
    assert!(serves("version 1 "));

    let ran =
        site.orch(&["rollout", "web", "--image", &registry.image("none"), "--wait", "--timeout", "60s"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(site.starts(), before, "nobody was touched");
    assert!(serves("version 1 "));
    let why = site.ok(&["why", "web"]);
    assert!(why.contains("web.1 goes on as it is") && why.contains("manifest unknown"), "{why}");

    site.ok(&["rollout", "web", "--image", &registry.image("2"), "--wait", "--timeout", "60s"]);
    assert!(serves("version 2 "));
}

/// M48: what orch pulled goes once nobody needs it and there is too much; the same images under names of someone else stay.
#[test]
fn images_that_orch_pulled_and_nobody_needs_go_and_those_of_others_stay_on_the_engine() {
    let registry = Registry::start();
    let mut site = Site::start(&[]);
    site.agent_env = vec![("ORCH_IMAGE_BUDGET_BYTES", "1"), ("ORCH_IMAGE_MIN_AGE", "1s")];
    site.start_agent("a");
    site.wait_for_agent("a");
    for version in ["1", "2"] {
        registry.publish(&format!("{}:{version}", site.image), version);
        registry.forget(version);
    }
    let there = || ["1", "2"].map(|version| engine::has_image(&registry.image(version)));
    assert_eq!(there(), [false, false]);
    deploy(&site, &registry.image("1"), "ports: [{container: 8080}]");
    site.ok(&["rollout", "web", "--image", &registry.image("2"), "--wait", "--timeout", "60s"]);
    // One runs, and the other would be gone back to.
    let looks = || site.agent_count("a", "image_cleanup_looks_total");
    let begun = looks();
    until("it was looked a few times", || (looks() >= begun + 3.0).then_some(()));
    assert_eq!(there(), [true, true], "{}", site.agent_log("a"));

    site.ok(&["delete", "web"]);
    until("both are gone", || (there() == [false, false]).then_some(()));
    assert!(["1", "2"].iter().all(|version| engine::has_image(&format!("{}:{version}", site.image))));
    // Each is counted once the engine has answered.
    until("both are counted", || (site.agent_count("a", "images_removed_total") >= 2.0).then_some(()));
    until("the end is said", || site.agent_log("a").contains("cleaned up images").then_some(()));
    assert!(site.agent_log("a").contains("removed an image that nobody needs"));
}
