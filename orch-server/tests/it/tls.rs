//! TLS from end to end: the client knows the authority, and a node's proof is good for the server it was made for only.

use std::path::{Path, PathBuf};

use orch_agent::{NodeKey, NodeSigner as _};
use orch_auth::enrollment::server_pin;
use orch_client::{Client, ClientBuilder, ClientError, HttpAgentApi};
use orch_core::agent::{AgentApi, AgentApiError, RegisterRequest, Registered};
use orch_core::api::endpoint::{GetVersion, Nothing};
use orch_core::control_plane::{RequestOptions, TokenRequest};
use orch_core::identity::{KeyProof, Role, Scope, ServerPin};
use orch_core::secret::Secret;
use orch_server::ServerTls;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::world::{Http, REGISTRATION_TOKEN, World, claim};

/// An authority, and a certificate of it for loopback, as PEM files.
struct Files {
    authority: PathBuf,
    certificate: PathBuf,
    /// The certificate, and behind it the authority's.
    chain: PathBuf,
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
        chain: write("chain", format!("{}{ca_pem}", leaf.pem())),
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

/// A server with these files, and a token of it.
async fn server_with_token(chain: &Path, key: &Path) -> (World, Secret<String>) {
    let tls = ServerTls::from_files(chain, key).unwrap();
    let pin = tls.pin();
    let world = World::start_with(Some(tls)).await;
    let permit = world.control.authorize(world.principal(Role::Admin).await, Scope::Cluster).unwrap();
    let mut request = TokenRequest::default();
    request.uses = 9;
    request.server = Some(pin);
    let made = world.control.create_enrollment_token(permit, request, RequestOptions::default());
    let token = made.await.unwrap().1;
    (world, token)
}

/// An agent that has nothing but its token, and the server's address.
async fn first_contact(
    world: &World,
    token: &Secret<String>,
    name: &str,
) -> Result<Registered, AgentApiError> {
    let pin = server_pin(token).unwrap().expect("the token says what its server is known by");
    let api = HttpAgentApi::new(&Client::builder().server(world.base()).server_pin(pin)).unwrap();
    let (claim, key) = (claim(name), NodeKey::generate().unwrap());
    let challenge = api.challenge(&claim.name).await?;
    let certificate = api.server_certificate();
    let signature = key.sign(&KeyProof::signed_text(&challenge, &claim, certificate.as_ref()));
    let key = KeyProof { key: key.public_key(), challenge, signature };
    api.register(RegisterRequest { claim, token: Some(token.clone()), key: Some(key) }).await
}

#[tokio::test]
async fn an_agent_knows_its_server_by_the_token_alone_and_another_server_gets_no_token_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (files(folder.path(), "ours"), files(folder.path(), "other"));
    for chain in [&ours.chain, &ours.certificate] {
        let (world, token) = server_with_token(chain, &ours.key).await;
        first_contact(&world, &token, "node-a").await.unwrap();
        world.stop().await;

        // Someone else answers at the address, with a certificate for its name, too.
        let impostor =
            World::start_with(Some(ServerTls::from_files(&other.chain, &other.key).unwrap())).await;
        let refused = first_contact(&impostor, &token, "node-b").await.unwrap_err();
        let mut said = String::new();
        let mut cause: Option<&dyn std::error::Error> = Some(&refused);
        while let Some(error) = cause {
            said.push_str(&error.to_string());
            cause = error.source();
        }
        assert!(said.contains("another key than the enrolment token names"), "{said}");
        assert_eq!(impostor.control.image().nodes().count(), 0);
        impostor.stop().await;
    }
}

#[tokio::test]
async fn a_renewed_certificate_of_the_same_authority_is_known_by_the_old_token() {
    let folder = tempfile::tempdir().unwrap();
    let authority = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = params.self_signed(&authority).unwrap().pem();
    let issuer = Issuer::new(params, authority);
    let issue = |nth: u32, name: &str| {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let paths = ["chain", "key"].map(|what| folder.path().join(format!("{nth}-{what}.pem")));
        std::fs::write(&paths[0], format!("{}{root}", leaf.pem())).unwrap();
        std::fs::write(&paths[1], key.serialize_pem()).unwrap();
        paths
    };
    let ([chain, key], [later, later_key], [foreign, foreign_key]) =
        (issue(1, "127.0.0.1"), issue(2, "127.0.0.1"), issue(3, "elsewhere.example"));
    let (world, token) = server_with_token(&chain, &key).await;
    world.stop().await;
    let (world, _) = server_with_token(&later, &later_key).await;
    // Of another cluster's store, so it lets nobody in; but it is spoken to.
    let refused = first_contact(&world, &token, "node-a").await;
    assert!(matches!(refused, Err(AgentApiError::Unauthorized)), "{refused:?}");
    world.stop().await;
    let (world, _) = server_with_token(&foreign, &foreign_key).await;
    let refused = first_contact(&world, &token, "node-a").await;
    assert!(matches!(refused, Err(AgentApiError::Unavailable { .. })), "for another name: {refused:?}");
    world.stop().await;
}

#[test]
fn what_is_known_by_its_certificate_is_not_asked_over_plain_http() {
    let builder = Client::builder().server("http://127.0.0.1:1").server_pin(ServerPin([1; 32]));
    let refused = builder.build().unwrap_err();
    assert!(refused.to_string().contains("https://"), "{refused}");
}
