//! Registration proofs: token, challenge, node key.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_auth::enrollment::{Anybody, EnrollmentChain, OneTimeTokens, StaticToken};
use orch_auth::key::ServerKey;
use orch_core::id::{ClusterId, IdStream};
use orch_core::identity::{
    Attestation, BootstrapProof, Challenge, Enrollment, EnrollmentRefused, KeyProof, NodeAttestor,
    NodePublicKey, RegistrationClaim,
};
use orch_core::node::Resources;
use orch_core::time::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use super::{NOW, secret};

const TOKEN: &str = "a registration token";

fn cluster() -> ClusterId {
    IdStream::seeded(1).next()
}

fn key() -> ServerKey {
    ServerKey::derive(&secret("a server key for the tests")).unwrap()
}

fn claim(name: &str) -> RegistrationClaim {
    RegistrationClaim {
        facts: Default::default(),
        name: name.parse().unwrap(),
        advertise_address: "127.0.0.1".to_owned(),
        labels: [].into(),
        capacity: Resources::new(4000, 1 << 30),
        allocatable: Resources::new(4000, 1 << 30),
        agent_version: "0.3.0".to_owned(),
        boot: None,
    }
}

struct NodeKey(EcdsaKeyPair);

impl NodeKey {
    fn new() -> Self {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap())
    }

    fn prove(
        &self,
        challenge: &Challenge,
        claim: &RegistrationClaim,
        certificate: Option<&[u8; 32]>,
    ) -> KeyProof {
        let text = KeyProof::signed_text(challenge, claim, certificate);
        KeyProof {
            key: NodePublicKey(URL_SAFE_NO_PAD.encode(self.0.public_key())),
            challenge: challenge.clone(),
            signature: URL_SAFE_NO_PAD.encode(self.0.sign(&SystemRandom::new(), &text).unwrap()),
        }
    }
}

fn showing(key: Option<KeyProof>, token: Option<&str>, certificate: Option<[u8; 32]>) -> BootstrapProof {
    let mut proof = BootstrapProof::default();
    proof.key = key;
    proof.token = token.map(secret);
    proof.server_certificate = certificate;
    proof
}

fn with_token() -> EnrollmentChain {
    EnrollmentChain::new(key())
        .attestor(OneTimeTokens::new(key()))
        .attestor(StaticToken::new(key(), &secret(TOKEN)))
}

async fn judge(
    claim: &RegistrationClaim,
    proof: &BootstrapProof,
    now: Timestamp,
) -> Result<orch_core::identity::Proven, EnrollmentRefused> {
    with_token().prove(cluster(), claim, proof, now).await
}

#[tokio::test]
async fn the_token_admits_and_another_does_not() {
    let proven = judge(&claim("a"), &showing(None, Some(TOKEN), None), NOW).await.unwrap();
    assert_eq!(proven.attestation, Some(Attestation::StaticToken));
    for wrong in [Some("another"), Some(""), None] {
        let answer = judge(&claim("a"), &showing(None, wrong, None), NOW).await;
        assert_eq!(answer, Err(EnrollmentRefused::Token), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_closed_cluster_takes_no_token_and_an_open_one_takes_anybody() {
    let proof = showing(None, Some(TOKEN), None);
    let closed = EnrollmentChain::new(key()).prove(cluster(), &claim("a"), &proof, NOW).await;
    assert_eq!(closed, Err(EnrollmentRefused::Token));
    let open = EnrollmentChain::new(key())
        .attestor(Anybody)
        .prove(cluster(), &claim("a"), &showing(None, None, None), NOW)
        .await;
    assert_eq!(open.unwrap().attestation, Some(Attestation::Open));
}

#[tokio::test]
async fn possession_of_the_key_is_proven_by_a_fresh_challenge_and_a_right_signature() {
    let (node, claim) = (NodeKey::new(), claim("a"));
    let challenge = EnrollmentChain::new(key()).challenge(cluster(), 3, NOW, [9; 32]);
    let proof = showing(Some(node.prove(&challenge, &claim, None)), None, None);
    for (after, good) in [(0, true), (60, true), (61, false)] {
        let answer = judge(&claim, &proof, NOW + Duration::from_secs(after)).await;
        assert_eq!(answer.is_ok(), good, "{after}: {answer:?}");
    }
    let (_, incarnation) = judge(&claim, &proof, NOW).await.unwrap().key.unwrap();
    assert_eq!(incarnation, 3);
    let early = judge(&claim, &proof, NOW - Duration::from_secs(6)).await;
    assert_eq!(early, Err(EnrollmentRefused::Challenge), "a challenge from the future");
}

#[tokio::test]
async fn everything_that_is_signed_counts() {
    let (node, claim) = (NodeKey::new(), claim("a"));
    let challenge = EnrollmentChain::new(key()).challenge(cluster(), 3, NOW, [9; 32]);
    let good = node.prove(&challenge, &claim, Some(&[1; 32]));
    let judge_as = async |proof: KeyProof, claim: &RegistrationClaim, certificate| {
        judge(claim, &showing(Some(proof), None, certificate), NOW).await.map(|_| ())
    };
    assert_eq!(judge_as(good.clone(), &claim, Some([1; 32])).await, Ok(()));
    let wrong = Err(EnrollmentRefused::Signature);
    assert_eq!(judge_as(good.clone(), &claim, Some([2; 32])).await, wrong, "another server's certificate");
    assert_eq!(judge_as(good.clone(), &claim, None).await, wrong, "no TLS");
    assert_eq!(judge_as(good.clone(), &self::claim("b"), Some([1; 32])).await, wrong, "another name");
    let mut later = good.clone();
    later.challenge.incarnation = 4;
    assert_eq!(judge_as(later, &claim, Some([1; 32])).await, wrong, "another incarnation");
    let mut stranger = good.clone();
    stranger.key = NodeKey::new().prove(&challenge, &claim, Some(&[1; 32])).key;
    assert_eq!(judge_as(stranger, &claim, Some([1; 32])).await, wrong, "another key");
    let mut forged = good;
    forged.challenge.nonce = URL_SAFE_NO_PAD.encode([0u8; 56]);
    assert_eq!(
        judge_as(forged, &claim, Some([1; 32])).await,
        Err(EnrollmentRefused::Challenge),
        "a nonce of his own"
    );
}

#[tokio::test]
async fn another_clusters_challenge_is_none_of_ours() {
    let (node, claim) = (NodeKey::new(), claim("a"));
    let other: ClusterId = IdStream::seeded(2).next();
    let challenge = EnrollmentChain::new(key()).challenge(other, 0, NOW, [9; 32]);
    let proof = showing(Some(node.prove(&challenge, &claim, None)), Some(TOKEN), None);
    assert_eq!(judge(&claim, &proof, NOW).await, Err(EnrollmentRefused::Challenge));
}

#[tokio::test]
async fn a_replaced_token_does_not_lock_out_a_node_that_has_its_key() {
    let (node, claim) = (NodeKey::new(), claim("a"));
    let challenge = EnrollmentChain::new(key()).challenge(cluster(), 1, NOW, [9; 32]);
    let proof = showing(Some(node.prove(&challenge, &claim, None)), Some("the token of last year"), None);
    let proven = judge(&claim, &proof, NOW).await.unwrap();
    assert!(proven.key.is_some() && proven.attestation.is_none());
}

#[tokio::test]
async fn a_one_time_token_is_recognised_beside_the_static_one_and_is_judged_by_the_state() {
    let chain = with_token();
    let id = IdStream::seeded(7).next();
    let issued = chain.token_issuer().unwrap().issue_token(id, None, [8; 32]);
    let proof = showing(None, Some(issued.token.expose()), None);
    let proven = chain.prove(cluster(), &claim("a"), &proof, NOW).await.unwrap();
    let Some(Attestation::OneTimeToken(shown)) = proven.attestation else { panic!("{proven:?}") };
    assert_eq!((shown.id, shown.digest), (id, issued.digest));
    // One that was never issued here is a stranger's, however it looks.
    let other = ServerKey::derive(&secret("another server's key")).unwrap();
    let foreign = EnrollmentChain::new(other.clone()).attestor(OneTimeTokens::new(other));
    let answer = foreign.prove(cluster(), &claim("a"), &proof, NOW).await;
    assert_eq!(answer, Err(EnrollmentRefused::Token));
    assert!(EnrollmentChain::new(key()).token_issuer().is_none());
}

/// Knows the machines of a site by their names.
struct BySite;

#[async_trait::async_trait]
impl NodeAttestor for BySite {
    async fn attest(
        &self,
        claim: &RegistrationClaim,
        _: &BootstrapProof,
        _: Timestamp,
    ) -> Result<Option<Attestation>, EnrollmentRefused> {
        match claim.name.as_str() {
            "known" => Ok(Some(Attestation::Other("site".to_owned()))),
            "unsure" => Err(EnrollmentRefused::Unavailable),
            _ => Ok(None),
        }
    }
}

#[tokio::test]
async fn an_embedders_attestor_stands_in_the_same_chain() {
    let chain =
        EnrollmentChain::new(key()).attestor(BySite).attestor(StaticToken::new(key(), &secret(TOKEN)));
    let prove = async |name: &str, token| {
        let proof = showing(None, token, None);
        chain.prove(cluster(), &claim(name), &proof, NOW).await.map(|proven| proven.attestation)
    };
    assert_eq!(prove("known", None).await, Ok(Some(Attestation::Other("site".to_owned()))));
    assert_eq!(prove("other", Some(TOKEN)).await, Ok(Some(Attestation::StaticToken)));
    assert_eq!(prove("other", None).await, Err(EnrollmentRefused::Token));
    assert_eq!(prove("unsure", Some(TOKEN)).await, Err(EnrollmentRefused::Unavailable));
}
