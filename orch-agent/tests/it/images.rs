//! Which bytes run, and when they are fetched.

use std::time::Duration;

use orch_agent::{AgentConfig, ImageCleanup};
use orch_core::agent::Prepare;
use orch_core::runtime::ContainerRuntime as _;
use orch_core::service::{ImageDigest, ImageOrder, ImageOrigin, ImagePin, ImageRef, Version};
use orch_core::task::{DesiredStatus, FailureKind, PrepareReport, Prepared};
use orch_core::testing::runtime::{Call, FAKE_IMAGE_BYTES, Fault};
use orch_core::time::Timestamp;

use crate::node::Node;

fn image(text: &str) -> ImageRef {
    text.parse().unwrap()
}

fn pinned(exact: &ImageRef) -> ImageOrder {
    let digest = ImageDigest(exact.digest().unwrap().to_owned());
    ImageOrder::Pinned(ImagePin::Registry(digest))
}

/// M32: nothing is created before it is noted which image it is; and what runs then is that one, wherever the tag has moved.
#[tokio::test(start_paused = true)]
async fn what_a_tag_means_is_said_first_and_what_is_noted_is_what_runs() {
    let node = Node::started();
    let web = image("reg.example/web:1");
    let old = node.runtime.publish(&web, "old");
    node.runtime.publish(&web, "new");
    let task = node.task(|task| {
        task.template.image = web.clone();
        task.image = Some(ImageOrder::Resolve);
    });
    node.server.put(task.clone());
    node.until("the image is said", || node.server.said(task.id).is_some_and(|said| said.image.is_some()))
        .await;
    let said = node.server.said(task.id).unwrap();
    assert!(
        matches!(said.origin, Some(ImageOrigin::Registry(from)) if from.repository() == web.repository())
    );
    node.pass(Duration::from_secs(60)).await;
    assert_eq!(node.runtime.calls(Call::Create), 0);

    // Another node had been first, with what the tag meant then.
    node.server.change(task.id, |task| task.image = Some(pinned(&old)));
    node.until("it runs", || node.server.status(task.id) == "running").await;
    assert_eq!(node.server.said(task.id).unwrap().image, Some(ImageDigest("image:old".to_owned())));
}

/// M32: no other bytes will do, and that is said.
#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_get_exactly_what_is_pinned_fails_and_says_so() {
    let node = Node::started();
    let web = image("reg.example/web:1");
    node.runtime.publish(&web, "new");
    let gone = format!("reg.example/web@sha256:{}", "0".repeat(64));
    let task = node.task(|task| {
        task.template.image = web;
        task.image = Some(pinned(&image(&gone)));
    });
    node.server.put(task.clone());
    node.until("it fails", || node.server.status(task.id) == "failed").await;
    let orch_core::task::TaskStatus::Failed(why) = node.server.said(task.id).unwrap().status else {
        panic!()
    };
    assert_eq!(why.kind, FailureKind::Image);
    assert!(why.reason.contains(&gone) && why.reason.ends_with("no other image will do"), "{}", why.reason);
    assert_eq!(node.runtime.calls(Call::Create), 0);
}

/// M32: the next version's image is fetched while the task runs on; what comes of it is said, and tried again.
#[tokio::test(start_paused = true)]
async fn the_next_versions_image_is_fetched_beside_a_task_that_runs_on() {
    let node = Node::started();
    let task = node.runs(|_| ()).await;
    let said = || node.server.said(task).and_then(|said| said.prepared);
    let answer = || said().map(|said| said.answer);
    node.runtime.fail_next(Call::EnsureImage, Fault::Retry("no route".to_owned()));
    let next = image("reg.example/web:2");
    let asked = Prepare {
        version: Version(2),
        since: Timestamp::from_micros(1),
        image: next.clone(),
        order: ImageOrder::Resolve,
    };
    node.server.change(task, |task| task.prepare = Some(asked.clone()));
    node.until("it waits", || answer() == Some(Prepared::Waiting("no route".to_owned()))).await;
    node.until("it is there", || answer() == Some(Prepared::Ready)).await;
    let PrepareReport { version, since, image: found, .. } = said().unwrap();
    assert_eq!((version, since, found.is_some()), (asked.version, asked.since, true));
    let id = found.unwrap();
    assert!(node.runtime.images().unwrap().is_present(&id).await.unwrap());

    let gone = image(&format!("reg.example/web@sha256:{}", "0".repeat(64)));
    let again = Prepare { since: Timestamp::from_micros(2), order: pinned(&gone), ..asked };
    node.server.change(task, |task| task.prepare = Some(again));
    node.until("it cannot be had", || matches!(answer(), Some(Prepared::Failed(_)))).await;
    assert_eq!((node.running(task), node.runtime.calls(Call::Stop)), (1, 0));
}

/// M48: when the disk runs full, images go that orch pulled and nobody needs; nobody else's do, and a restart of the agent forgets
/// nothing of whose they are.
#[tokio::test(start_paused = true)]
async fn a_full_disk_is_cleaned_of_what_orch_pulled_and_nobody_needs() {
    let soon = |config: &mut AgentConfig| {
        let mut rules = ImageCleanup::default();
        rules.min_age = Duration::from_micros(1); // of the wall clock, which is not paused
        config.image_cleanup = Some(rules);
    };
    let mut node = Node::new();
    node.start_with(soon);
    node.runtime.add_image(&image("foreign:1"));
    node.runtime.add_image(&image("foreign-and-ours:1"));
    let mut service = None;
    for text in ["a:1", "a:2", "a:3", "b:1", "foreign-and-ours:1"] {
        let id = node
            .runs(|task| {
                task.template.image = image(text);
                // The versions of `a` are one service's.
                if text.starts_with("a:") {
                    task.service = *service.get_or_insert(task.service);
                }
            })
            .await;
        if text != "a:3" {
            node.server.change(id, |task| task.desired = DesiredStatus::Removed);
            node.until("it is gone", || node.server.status(id) == "removed").await;
            node.server.drop_task(id);
        }
        node.pass(Duration::from_secs(60)).await;
    }
    let names = |node: &Node| {
        let names = node.runtime.image_names();
        names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>().join(" ")
    };
    node.pass(Duration::from_secs(3600)).await;
    assert_eq!(names(&node), "a:1 a:2 a:3 b:1 foreign-and-ours:1 foreign:1", "a disk that cannot be seen");
    node.crash().await;
    node.start_with(soon);
    // Over the high mark, and one image too many for the low one.
    node.runtime.set_disk(FAKE_IMAGE_BYTES * 17 / 10, 9 * FAKE_IMAGE_BYTES);
    node.pass(Duration::from_secs(301)).await;
    assert_eq!(names(&node), "a:2 a:3 b:1 foreign-and-ours:1 foreign:1");
    // However full it is: what runs, what would be gone back to, and what others put there stays.
    node.runtime.set_disk(99 * FAKE_IMAGE_BYTES, 100 * FAKE_IMAGE_BYTES);
    node.pass(Duration::from_secs(3600)).await;
    assert_eq!(names(&node), "a:2 a:3 foreign-and-ours:1 foreign:1");
}
