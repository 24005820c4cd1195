//! The state in one file.

use std::io::Write as _;
use std::sync::Arc;

use orch_core::secret::Secret;
use orch_core::store::{EventFilter, History as _, StoreError};
use orch_examples::custom::journal::JournalStore;
use orch_server::local::LocalCluster;

use super::cluster::{create, functions, node, running};

#[tokio::test]
async fn a_cluster_goes_on_from_its_file_and_half_a_line_never_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let runtime = functions();
    let start = async || {
        let store = Arc::new(JournalStore::open_file(&path).await.unwrap());
        let builder = LocalCluster::builder().store(store).folder(folder.path());
        let builder = builder.secret(Secret::new("the same secret at each start".to_owned()));
        builder.node(node("here"), Arc::new(runtime.clone())).start().await.unwrap()
    };
    let cluster = start().await;
    let service = create(&cluster, 2).await;
    running(&cluster, &service, 2).await;
    let id = cluster.control().image().id();
    cluster.stop().await;

    // A crash within a write.
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"Group\":[{\"rows\":[{\"NoServ").unwrap();
    drop(file);
    let cluster = start().await;
    assert_eq!(cluster.control().image().id(), id);
    running(&cluster, &service, 2).await;
    cluster.remove().await.unwrap();

    let store = JournalStore::open_file(&path).await.unwrap();
    let all = EventFilter { limit: 1_000, ..EventFilter::default() };
    assert!(!store.events(&all).await.unwrap().is_empty());
    let second = JournalStore::open_file(&path).await;
    assert!(matches!(second, Err(StoreError::Unavailable(_))), "a file has one writer");
    drop(store);

    std::fs::write(&path, "what is this\n").unwrap();
    let Err(StoreError::Corrupt { what, .. }) = JournalStore::open_file(&path).await else { panic!("read") };
    assert!(what.starts_with("line 1 of"), "{what}");
}
