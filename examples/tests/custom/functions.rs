//! Functions as containers, in a cluster.

use std::sync::Arc;

use orch_core::runtime::ContainerRuntime as _;
use orch_core::service::StopPolicy;
use orch_server::local::LocalCluster;

use super::cluster::{create, functions, node, running};

#[tokio::test]
async fn functions_are_placed_restarted_and_taken_down_like_containers() {
    let (left, right) = (functions(), functions());
    let builder = LocalCluster::builder().node(node("left"), Arc::new(left.clone()));
    let cluster = builder.node(node("right"), Arc::new(right.clone())).start().await.unwrap();
    let service = create(&cluster, 4).await;
    running(&cluster, &service, 4).await;
    let owners: Vec<_> = cluster.nodes().iter().map(|node| node.owner().unwrap()).collect();
    let on_left = left.list(&owners[0]).await.unwrap();
    assert_eq!((on_left.len(), right.list(&owners[1]).await.unwrap().len()), (2, 2), "spread over both");

    // Somebody ends one behind the agent's back: it comes again, as another attempt.
    left.stop(&on_left[0].id, &StopPolicy::default()).await.unwrap();
    let again = async {
        loop {
            let found = left.list(&owners[0]).await.unwrap();
            if found.iter().any(|seen| seen.labels.attempt.0 > 1) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), again).await.expect("in time");

    cluster.remove().await.unwrap();
    assert_eq!(left.list(&owners[0]).await.unwrap(), []);
    assert_eq!(right.list(&owners[1]).await.unwrap(), []);
}
