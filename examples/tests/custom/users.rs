//! Users by API keys, over the wire.

use std::sync::Arc;

use orch_client::{Client, ClientError};
use orch_core::api::Force;
use orch_core::api::endpoint::{GetWhoAmI, ListNodes, Nothing, ScaleService};
use orch_core::api::service::ScaleRequest;
use orch_core::secret::Secret;
use orch_examples::custom::users::ApiKeys;
use ring::digest::{SHA256, digest};

use super::cluster::builder;

fn line(key: &str, rest: &str) -> String {
    let hash = digest(&SHA256, key.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex} {rest}\n")
}

fn status<T>(answer: Result<T, ClientError>) -> Option<u16> {
    match answer {
        Err(ClientError::Api(error)) => Some(error.status),
        _ => None,
    }
}

#[tokio::test]
async fn a_site_hands_out_its_own_keys() {
    let text = line("olgas key", "olga operator")
        + &line("vics key", "vic viewer")
        + &line("tys key", "ty operator team");
    let keys = ApiKeys::parse(&text).unwrap();
    let cluster = builder().control_plane(|parts| parts.users(Arc::new(keys))).start().await.unwrap();
    let client = |key: &str| {
        Client::builder().server(cluster.url()).token(Secret::new(key.to_owned())).build().unwrap()
    };
    let nobody = "00000000-0000-0000-0000-000000000001";
    let scale = async |key: &str| {
        let body = ScaleRequest { replicas: 2 };
        status(client(key).call::<ScaleService>(&[nobody], &Force::default(), &body).await)
    };
    let who = client("olgas key").call::<GetWhoAmI>(&[], &Nothing {}, &Nothing {}).await.unwrap();
    assert_eq!(who.subject, "olga");
    assert_eq!(scale("olgas key").await, Some(404), "she may, and there is no such service");
    assert_eq!(scale("vics key").await, Some(403));
    assert_eq!(scale("tys key").await, Some(403), "his role is another namespace's");
    assert_eq!(scale("no key").await, Some(401));
    let stranger = Client::builder().server(cluster.url()).build().unwrap();
    assert_eq!(status(stranger.call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await), Some(401));
    cluster.remove().await.unwrap();
}

#[test]
fn a_line_that_is_not_understood_is_named_and_not_quoted() {
    for wrong in [
        "secret olga operator",
        &line("k", "olga emperor"),
        &line("k", "olga operator team more"),
        &line("k", "olga"),
    ] {
        let error = ApiKeys::parse(&format!("\n{wrong}")).unwrap_err().to_string();
        assert!(error.starts_with("line 2: expected"), "{error}");
        assert!(!error.contains("olga"), "{error}");
    }
}
