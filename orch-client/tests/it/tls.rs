//! TLS: the right authority is needed, and the certificate's hash is told.

use std::sync::Arc;

use orch_client::{Client, ClientError, HttpAgentApi, RetryPolicy};
use orch_core::agent::AgentApi as _;
use orch_core::api::endpoint::{ListNodes, Nothing};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use super::server::{Reply, Server, dead_url};

struct Authority {
    file: tempfile::NamedTempFile,
    acceptor: TlsAcceptor,
    leaf: Vec<u8>,
}

/// An authority, and a server certificate of it for 127.0.0.1.
fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let leaf_key = KeyPair::generate().unwrap();
    let leaf =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&leaf_key, &issuer).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), root.pem()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der())),
        )
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Authority { file, acceptor: TlsAcceptor::from(Arc::new(config)), leaf: leaf.der().to_vec() }
}

async fn nodes_over(authority: &Authority) -> Server {
    Server::start_with(Some(authority.acceptor.clone()), |asked, _| {
        if asked.path.ends_with("/challenge") {
            let cluster = "7b0c5d4e-0000-4000-8000-000000000001";
            Reply::Json(200, json!({"nonce": "n", "cluster": cluster, "incarnation": 4}))
        } else {
            Reply::Json(200, json!({"nodes": []}))
        }
    })
    .await
}

#[tokio::test]
async fn a_server_is_believed_under_its_own_authority_only() {
    let (ours, other) = (authority(), authority());
    let server = nodes_over(&ours).await;
    let good = Client::builder().server(&server.url).ca_file(ours.file.path()).build().unwrap();
    good.call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await.unwrap();
    let builder = Client::builder().server(&server.url).ca_file(other.file.path());
    let bad = builder.retry(RetryPolicy::one_round()).build().unwrap();
    let failed = bad.call::<ListNodes>(&[], &Nothing {}, &Nothing {}).await.unwrap_err();
    assert!(matches!(failed, ClientError::Unreachable { .. }), "{failed:?}");
    assert!(failed.chain().contains("certificate"), "{}", failed.chain());
}

#[tokio::test]
async fn a_file_that_holds_no_authority_is_told_at_once() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let failed = Client::builder().server("https://127.0.0.1:1").ca_file(empty.path()).build().unwrap_err();
    assert!(failed.to_string().contains("no certificate in it"), "{failed}");
}

#[tokio::test]
async fn an_agent_learns_the_hash_of_the_certificate_that_its_challenge_came_over() {
    let ours = authority();
    let server = nodes_over(&ours).await;
    let settings = Client::builder().server(dead_url().await).server(&server.url).ca_file(ours.file.path());
    let api = HttpAgentApi::new(&settings).unwrap();
    assert_eq!(api.server_certificate(), None);
    let challenge = api.challenge(&"node-1".parse().unwrap()).await.unwrap();
    assert_eq!((challenge.nonce.as_str(), challenge.incarnation), ("n", 4));
    let hash = ring::digest::digest(&ring::digest::SHA256, &ours.leaf);
    assert_eq!(api.server_certificate().unwrap().as_slice(), hash.as_ref());
}
