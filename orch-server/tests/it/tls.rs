//! TLS from end to end: the client knows the authority, and a node's proof is good for the server it was made for only.

use std::path::{Path, PathBuf};

use orch_agent::{NodeKey, NodeSigner as _};
use orch_client::{Client, ClientBuilder, ClientError, HttpAgentApi};
use orch_core::agent::{AgentApi, AgentApiError, RegisterRequest, Registered};
use orch_core::api::endpoint::{GetVersion, Nothing};
use orch_core::identity::{KeyProof, Role};
use orch_core::secret::Secret;
use orch_server::ServerTls;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::world::{Http, REGISTRATION_TOKEN, World, claim};

/// An authority, and a certificate of it for loopback, as PEM files.
struct Files {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

fn files(folder: &Path, name: &str) -> Files {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let write = |what: &str, text: String| {
        let path = folder.join(format!("{name}-{what}.pem"));
        std::fs::write(&path, text).unwrap();
        path
    };
    Files {
        authority: write("ca", ca_pem),
        certificate: write("certificate", leaf.pem()),
        key: write("key", key.serialize_pem()),
    }
}

fn client(world: &World, authority: &Path) -> ClientBuilder {
    let token = Secret::new(world.token(Role::Viewer));
    Client::builder().server(world.base()).ca_file(authority).token(token)
}

/// Registers with a node key; `bound_to` says which certificate is signed along.
async fn register(
    api: &HttpAgentApi,
    key: &NodeKey,
    bound_to: impl FnOnce(Option<[u8; 32]>) -> Option<[u8; 32]>,
) -> Result<Registered, AgentApiError> {
    let claim = claim("node-a");
    let challenge = api.challenge(&claim.name).await?;
    let certificate = bound_to(api.server_certificate());
    let signature = key.sign(&KeyProof::signed_text(&challenge, &claim, certificate.as_ref()));
    let key = KeyProof { key: key.public_key(), challenge, signature };
    let token = Some(Secret::new(REGISTRATION_TOKEN.to_owned()));
    api.register(RegisterRequest { claim, token, key: Some(key) }).await
}

#[tokio::test]
async fn a_user_and_a_node_come_over_tls_and_a_proof_for_another_server_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), "ours");
    let world = World::start_with(Some(ServerTls::from_files(&files.certificate, &files.key).unwrap())).await;
    let settings = client(&world, &files.authority);
    let version =
        settings.clone().build().unwrap().call::<GetVersion>(&[], &Nothing {}, &Nothing {}).await.unwrap();
    assert_eq!(version.cluster_id, world.control.image().id().to_string());

    let (api, key) = (HttpAgentApi::new(&settings).unwrap(), NodeKey::generate().unwrap());
    for wrong in [None, Some([7; 32])] {
        let refused = register(&api, &key, |_| wrong).await;
        assert!(matches!(refused, Err(AgentApiError::Unauthorized)), "{refused:?}");
    }
    let registered = register(&api, &key, |shown| {
        assert!(shown.is_some(), "the client saw the certificate");
        shown
    });
    assert_eq!(registered.await.unwrap().incarnation.0, 1);
    world.stop().await;
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_spoken_to() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (files(folder.path(), "ours"), files(folder.path(), "other"));
    let world = World::start_with(Some(ServerTls::from_files(&ours.certificate, &ours.key).unwrap())).await;
    let settings = client(&world, &other.authority);
    let refused = settings.clone().build().unwrap().call::<GetVersion>(&[], &Nothing {}, &Nothing {}).await;
    let Err(ClientError::Unreachable { .. }) = refused else { panic!("{refused:?}") };
    let api = HttpAgentApi::new(&settings).unwrap();
    let refused = register(&api, &NodeKey::generate().unwrap(), |shown| shown).await;
    assert!(matches!(refused, Err(AgentApiError::Unavailable { .. })), "{refused:?}");
    assert_eq!(world.control.image().nodes().count(), 0);
    world.stop().await;
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_told_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), "ours");
    let world = World::start_with(Some(ServerTls::from_files(&files.certificate, &files.key).unwrap())).await;
    let plain = Http::new(&world.base().replace("https://", "http://"));
    let answer = plain.send("GET", "/healthz", None, &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_argument"));
    assert!(answer.text.contains("https://"), "{}", answer.text);
    world.stop().await;
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (files(folder.path(), "ours"), files(folder.path(), "other"));
    assert!(ServerTls::from_files(&ours.certificate, &other.key).is_err());
    assert!(ServerTls::from_files(&ours.key, &ours.key).is_err());
}
