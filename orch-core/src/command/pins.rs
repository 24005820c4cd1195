//! The first word on what a version's image is becomes the version's pin.

use std::collections::BTreeMap;

use super::Ctx;
use crate::cluster::{Cluster, Transaction};
use crate::id::ServiceId;
use crate::record::EventKind;
use crate::service::{ImageOrder, ImagePin, ResolvedImage, ServiceRevision, Version};
use crate::task::{Preparation, Task, TaskReport};

/// The versions that a batch of reports pins.
#[derive(Default)]
pub(super) struct Pins(BTreeMap<(ServiceId, Version), ServiceRevision>);

impl Pins {
    /// Takes in what a report on the node's own `task` says of its image; one whose version is pinned changes nothing.
    ///
    /// # Errors
    /// It is said to be from somewhere that the spec does not name.
    pub(super) fn take(&mut self, cluster: &Cluster, task: &Task, report: &TaskReport) -> Result<(), String> {
        let (Some(id), Some(origin)) = (&report.image, &report.origin) else { return Ok(()) };
        let image = ResolvedImage { id: id.clone(), origin: origin.clone() };
        self.note(cluster, task.service, task.version, &image).map(drop)
    }

    /// The same of what it says of the image that it was asked to have beside `before`; what it comes to is noted in `after`. An
    /// image that is not what is pinned is not the one: the node is told which it is, and says more.
    ///
    /// # Errors
    /// As above.
    pub(super) fn take_prepared(
        &mut self,
        cluster: &Cluster,
        after: &mut Task,
        report: &TaskReport,
    ) -> Result<(), String> {
        let Some(said) = &report.prepared else { return Ok(()) };
        let is_it = |asked: &&mut Preparation| asked.version == said.version && asked.since == said.since;
        let Some(asked) = after.preparation.as_mut().filter(is_it) else { return Ok(()) };
        let right = match said.resolved() {
            Some(image) => self.note(cluster, after.service, said.version, &image)?,
            None => true,
        };
        if right {
            asked.answer = Some(said.answer.clone());
        }
        Ok(())
    }

    /// Notes which image a version is, unless that is known. Answers whether it is this one.
    fn note(
        &mut self,
        cluster: &Cluster,
        service: ServiceId,
        version: Version,
        found: &ResolvedImage,
    ) -> Result<bool, String> {
        let Some(revision) = cluster.service_revision(service, version) else { return Ok(true) };
        let image = &revision.spec.template.image;
        let pin = ImagePin::found(image, &found.id, &found.origin)?;
        let noted = self.0.get(&(service, version)).and_then(|row| row.pin.as_ref());
        let known = ImageOrder::of(image, noted.or(revision.pin.as_ref()));
        match known.pin() {
            // What no registry gave is on each node what the node has.
            Some(known) => Ok(known.local_id().is_some() || known.is_met_by(found)),
            None => {
                let row = ServiceRevision { pin: Some(pin), ..ServiceRevision::clone(revision) };
                self.0.insert((service, version), row);
                Ok(true)
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes them, and says so.
    pub(super) fn write(self, cluster: &Cluster, ctx: &mut Ctx<'_>, transaction: &mut Transaction) {
        for (_, revision) in self.0 {
            if let (Some(service), Some(pin)) = (cluster.service(revision.service), &revision.pin) {
                let (name, version, image) =
                    (&service.spec.name, revision.version, &revision.spec.template.image);
                let message = format!("version {version} of {name} runs {image} as {pin}");
                transaction.events.push(ctx.service_event(EventKind::ServiceImagePinned, service, message));
            }
            transaction.put(revision);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::TaskVerdict;
    use crate::command::{
        ApplyService, CreateService, ReportTasks, RollBack, RollOut, apply_service::ApplyTarget,
    };
    use crate::id::NodeId;
    use crate::identity::Scope;
    use crate::name::Namespace;
    use crate::node::Resources;
    use crate::reconcile::reconcile;
    use crate::schedule::FilterAndScore;
    use crate::service::{ImageDigest, ImageOrigin};
    use crate::task::TaskStatus;
    use crate::testing::{World, web_spec};

    const REPOSITORY: &str = "reg.example/web";

    struct Bed {
        world: World,
        nodes: [NodeId; 2],
        service: ServiceId,
    }

    fn bed() -> Bed {
        let mut world = World::new();
        let nodes = ["a", "b"].map(|name| world.register_node(name, Resources::new(4000, 8 << 30)));
        let mut spec = web_spec("web", 2);
        spec.template.image = format!("{REPOSITORY}:1").parse().unwrap();
        let command = CreateService { namespace: Namespace::default_namespace(), spec };
        let service = world.execute(command).unwrap().id;
        let mut bed = Bed { world, nodes, service };
        bed.look();
        bed
    }

    fn hash(of: char) -> ImageDigest {
        ImageDigest(format!("sha256:{}", of.to_string().repeat(64)))
    }

    fn from(repository: &str, of: char) -> ImageOrigin {
        ImageOrigin::Registry(format!("{repository}@{}", hash(of)).parse().unwrap())
    }

    impl Bed {
        fn look(&mut self) {
            let service = self.service;
            let plan = self.world.with_ctx(|cluster, ctx| reconcile(cluster, service, &FilterAndScore, ctx));
            self.world.apply(plan.transaction);
        }

        fn on(&self, node: NodeId, version: u32) -> Task {
            let mut tasks = self.world.cluster.tasks_of_service(self.service);
            let task = tasks.find(|task| task.node == Some(node) && task.version == Version(version));
            Task::clone(task.expect("the node has a task of it"))
        }

        /// What `node` says of the image of a task.
        fn says(&mut self, node: NodeId, task: &Task, id: &str, origin: Option<ImageOrigin>) -> TaskVerdict {
            let report = TaskReport {
                image: Some(ImageDigest(id.to_owned())),
                origin,
                ..TaskReport::new(task.id, Some(task.attempt), TaskStatus::Pulling)
            };
            let (principal, scope) = (self.world.principal_of(node), Scope::Node(node));
            let answer = self.world.execute_as(&principal, &scope, ReportTasks { reports: vec![report] });
            answer.unwrap().verdicts.remove(0)
        }

        fn pin(&self, version: u32) -> Option<ImagePin> {
            self.world.cluster.service_revision(self.service, Version(version)).unwrap().pin.clone()
        }
    }

    /// M32: the first word holds. Without the look at `revision.pin` the second one would change what the first node runs.
    #[test]
    fn the_first_word_on_a_versions_image_is_its_pin_and_no_later_one_changes_it() {
        let mut bed = bed();
        let ([a, b], before) = (bed.nodes, bed.world.cluster.clone());
        let (first, second) = (bed.on(a, 1), bed.on(b, 1));
        assert_eq!(bed.says(a, &first, "i1", Some(from(REPOSITORY, 'a'))), TaskVerdict::Accepted);
        assert_eq!(bed.pin(1), Some(ImagePin::Registry(hash('a'))));
        for node in bed.nodes {
            let of = |cluster: &Cluster| cluster.index().desired_revision(node);
            assert_ne!(of(&before), of(&bed.world.cluster), "both nodes are told");
        }
        assert_eq!(bed.says(b, &second, "i2", Some(from(REPOSITORY, 'b'))), TaskVerdict::Accepted);
        assert_eq!(bed.says(b, &second, "i3", Some(ImageOrigin::Local)), TaskVerdict::Accepted);
        assert_eq!(bed.pin(1), Some(ImagePin::Registry(hash('a'))));
        let told: Vec<_> =
            bed.world.events.iter().filter(|event| event.kind == EventKind::ServiceImagePinned).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].message.ends_with(&hash('a').0), "{}", told[0].message);
    }

    /// M32: whoever has no task of the service, or names another repository, pins nothing.
    #[test]
    fn only_a_node_that_has_the_task_and_only_the_specs_repository_pin() {
        let mut bed = bed();
        let [a, b] = bed.nodes;
        let task = bed.on(a, 1);
        let good = Some(from(REPOSITORY, 'a'));
        assert!(matches!(bed.says(b, &task, "i", good), TaskVerdict::Refused(_)), "another node's task");
        let foreign = Some(from("reg.example/other", 'a'));
        let TaskVerdict::Refused(why) = bed.says(a, &task, "i", foreign) else { panic!("it is taken") };
        assert!(why.contains("not from reg.example/other@sha256:"), "{why}");
        assert_eq!(bed.pin(1), None);
        assert_eq!(bed.says(a, &task, "i", None), TaskVerdict::Accepted, "an agent that says no origin");
        assert_eq!(bed.pin(1), None);
        assert_eq!(bed.says(a, &task, "i", Some(ImageOrigin::Local)), TaskVerdict::Accepted);
        assert_eq!(bed.pin(1), Some(ImagePin::Local(ImageDigest("i".to_owned()))));
    }

    #[test]
    fn a_version_of_the_same_template_inherits_the_pin_and_one_of_another_gets_its_own() {
        let mut bed = bed();
        let a = bed.nodes[0];
        let task = bed.on(a, 1);
        bed.says(a, &task, "i", Some(from(REPOSITORY, 'a')));
        let mut spec = bed.world.cluster.service(bed.service).unwrap().spec.clone();
        spec.rollout.max_surge += 1;
        let apply = ApplyService {
            namespace: Namespace::default_namespace(),
            target: ApplyTarget::Name,
            spec,
            expected: None,
            dry_run: false,
        };
        bed.world.execute(apply).unwrap();
        assert_eq!(bed.pin(2), bed.pin(1));
        crate::command::versions::tests::end_active(
            &mut bed.world,
            bed.service,
            crate::deployment::DeploymentStatus::Succeeded,
        );
        let image = format!("{REPOSITORY}:2").parse().unwrap();
        let command = RollOut { service: bed.service, image, max_unavailable: None, max_surge: None };
        bed.world.execute(command).unwrap();
        assert_eq!(bed.pin(3), None);
        // Going back is to the version, and so to its pin.
        bed.world.execute(RollBack { service: bed.service, to_version: Some(Version(1)) }).unwrap();
        assert_eq!(bed.pin(1), Some(ImagePin::Registry(hash('a'))));
    }
}
