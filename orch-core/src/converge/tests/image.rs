//! Which image a container is made from, and what is waited for before.

use super::*;

fn hash(of: char) -> ImageDigest {
    ImageDigest(format!("sha256:{}", of.to_string().repeat(64)))
}

/// What a registry calls by the digest `of`.
fn pulled(of: char) -> ResolvedImage {
    let from = format!("web@{}", hash(of)).parse().unwrap();
    ResolvedImage { id: ImageDigest(format!("i{of}")), origin: ImageOrigin::Registry(from) }
}

impl Bench {
    fn ordered(mut self, order: ImageOrder) -> Self {
        self.desired.image = Some(order);
        self
    }

    /// The pull that is asked for brings `image`.
    fn pulls(&mut self, image: ResolvedImage) {
        let step = self.look().step.expect("a pull");
        assert!(matches!(step, Step::Pull { .. }), "{step}");
        self.memory.after(&step, Ok(&StepDone::Pulled(image)), self.now, 0);
    }
}

/// M32: nothing is made of an image before it is noted which one it is. Without the wait two nodes would start what a moving
/// tag meant to each of them.
#[test]
fn an_image_is_said_before_anything_is_made_of_it_and_the_one_that_is_noted_is_what_runs() {
    let mut bench = Bench::new().ordered(ImageOrder::Resolve);
    bench.pulls(pulled('a'));
    let plan = bench.look();
    assert_eq!(plan.step, None);
    let report = plan.report.unwrap();
    assert_eq!((report.image, report.origin), (Some(pulled('a').id), Some(pulled('a').origin)));
    assert!(report.note.is_some_and(|note| note.contains("waiting for the control plane")));

    // It was the first: that is what it has.
    bench.desired.image = Some(ImageOrder::Pinned(ImagePin::Registry(hash('a'))));
    bench.says(
        "create attempt 1
         report pulling (attempt 1)",
    );

    // Another node was first: what came by the tag is not what runs.
    let mut late = Bench::new().ordered(ImageOrder::Resolve);
    late.pulls(pulled('a'));
    late.look();
    late.desired.image = Some(ImageOrder::Pinned(ImagePin::Registry(hash('b'))));
    late.says(&format!("pull web@{}\nreport pulling (attempt 1)", hash('b')));
    late.pulls(pulled('b'));
    let Some(Step::Create { image, .. }) = late.look().step else { panic!("nothing is made") };
    assert_eq!(image, pulled('b').id);
}

/// An image that is from no registry: its id is looked for, and a node that does not have it runs what it has.
#[test]
fn an_image_of_no_registry_is_looked_for_by_its_id_and_holds_up_no_other_node() {
    let pin = ImageOrder::Pinned(ImagePin::Local(ImageDigest("i1".to_owned())));
    let mut bench = Bench::new().ordered(pin);
    let Some(Step::Pull { image, prefer }) = bench.look().step else { panic!("no pull") };
    assert_eq!((image.as_str(), prefer), ("web:1", Some(ImageDigest("i1".to_owned()))));
    bench.pulls(local("i2"));
    assert!(matches!(bench.look().step, Some(Step::Create { .. })));
}

#[test]
fn a_control_plane_that_pins_nothing_is_waited_for_by_nobody() {
    let mut bench = Bench::new();
    bench.pulls(pulled('a'));
    assert!(matches!(bench.look().step, Some(Step::Create { .. })));
}
