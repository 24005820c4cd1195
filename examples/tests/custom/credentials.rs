//! Node credentials in a form of one's own.

use std::sync::Arc;
use std::time::Duration;

use orch_core::control_plane::query::ReadServices;
use orch_core::id::IdStream;
use orch_core::identity::{
    CredentialIssuer as _, CredentialValidator as _, NotRecognised, PresentedCredential, Recognised, Role,
    Scope,
};
use orch_core::node::Incarnation;
use orch_core::secret::Secret;
use orch_core::testing::parts::user;
use orch_examples::custom::credentials::SiteCredentials;
use orch_server::local::LocalCluster;

use super::cluster::{create, functions, node, running};

fn credentials() -> SiteCredentials {
    SiteCredentials::new(&[1; 32], &[2; 32])
}

async fn recognise(by: &SiteCredentials, token: &str) -> Result<Recognised, NotRecognised> {
    by.recognise(&PresentedCredential::bearer(Secret::new(token.to_owned()))).await
}

#[tokio::test]
async fn what_was_issued_is_recognised_and_nothing_else() {
    let ours = credentials();
    let id = IdStream::seeded(3).next();
    let issued = ours.issue(id, Incarnation(2), 9, [5; 32]);
    let token = issued.token.expose();
    let shown = recognise(&ours, token).await.unwrap();
    assert_eq!((shown.node, shown.incarnation, shown.generation), (id, Incarnation(2), 9));
    assert_eq!(shown.digest, issued.digest);
    assert!(recognise(&SiteCredentials::new(&[9; 32], &[2; 32]), token).await.is_err(), "another site's");
    for at in 0..token.len() {
        for with in ["0", "A", ".", "x"] {
            let mut forged = token.clone();
            forged.replace_range(at..=at, with);
            assert_eq!(recognise(&ours, &forged).await.is_ok(), forged == *token, "{at} {with}");
        }
    }
    assert!(recognise(&ours, "").await.is_err());
    assert!(ours.recognise(&PresentedCredential::default()).await.is_err());
}

#[tokio::test]
async fn a_node_lives_by_them_through_many_rotations() {
    let mut config = node("here");
    config.heartbeat_interval = Some(Duration::from_millis(20));
    let cluster = LocalCluster::builder()
        .node(config, Arc::new(functions()))
        .control_plane(|parts| parts.credentials(Arc::new(credentials())))
        .start()
        .await
        .unwrap();
    let service = create(&cluster, 2).await;
    running(&cluster, &service, 2).await;
    let id = cluster.nodes()[0].owner().unwrap().node;
    let permit =
        cluster.control().authorize::<ReadServices>(user("vic", Role::Viewer), Scope::Cluster).unwrap();
    let rotated = cluster.control().wait_for(&permit, |view| {
        let generation = view.cluster().credential(id)?.current.generation;
        (generation >= 5).then_some(())
    });
    tokio::time::timeout(Duration::from_secs(20), rotated).await.expect("in time");
    cluster.remove().await.unwrap();
}
