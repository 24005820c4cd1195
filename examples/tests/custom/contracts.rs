//! The suites of `orch-core`, on parts that are not orch's.

use orch_core::env::{EnvExt as _, SharedEnv, SystemEnv};
use orch_core::id::IdStream;
use orch_core::runtime::{ContainerRuntime, Owner};
use orch_core::service::TaskTemplate;
use orch_core::testing::contract::runtime::{Behaviour, RuntimeFixture};
use orch_core::testing::web_spec;
use orch_examples::custom::functions::FunctionRuntime;
use orch_examples::custom::journal::JournalStore;

use super::cluster::functions;

struct Functions {
    runtime: FunctionRuntime,
    owner: Owner,
}

impl Functions {
    fn new() -> Self {
        let mut ids = IdStream::seeded(SystemEnv::new().random_u64());
        Self { runtime: functions(), owner: Owner { cluster: ids.next(), node: ids.next() } }
    }
}

impl RuntimeFixture for Functions {
    fn runtime(&self) -> &dyn ContainerRuntime {
        &self.runtime
    }

    fn reopened(&self) -> Box<dyn ContainerRuntime> {
        Box::new(self.runtime.clone())
    }

    fn owner(&self) -> Owner {
        self.owner
    }

    fn env(&self) -> SharedEnv {
        SystemEnv::shared()
    }

    fn template(&self, behaviour: Behaviour) -> TaskTemplate {
        let mut template = web_spec("functions", 1).template;
        template.image = match behaviour {
            Behaviour::Serve => "fn/serve:1".parse().unwrap(),
            Behaviour::Fail => "fn/fail:1".parse().unwrap(),
        };
        template
    }
}

orch_core::runtime_contract!(functions => Box::new(Functions::new()));

/// A store with the folder that it lies in.
struct InFolder {
    store: JournalStore,
    _folder: tempfile::TempDir,
}

impl InFolder {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = JournalStore::open_file(&folder.path().join("journal")).await.unwrap();
        Self { store, _folder: folder }
    }
}

impl std::ops::Deref for InFolder {
    type Target = JournalStore;
    fn deref(&self) -> &JournalStore {
        &self.store
    }
}

orch_core::store_contract!(journal => InFolder::new().await);
