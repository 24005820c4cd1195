//! Tokens of a foreign issuer: what they must be, claim by claim, and where its keys come from.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use orch_auth::live::Live;
use orch_auth::oidc::{
    FetchKeys, FetchedKeys, Freshness, HttpKeys, IssuerKeys, KeySet, OidcUsers, RoleMapping,
};
use orch_core::BoxError;
use orch_core::env::SystemEnv;
use orch_core::identity::{AuthError, Grants, Role, UserAuthenticator, UserIdentity, UserProof};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use super::issuer::{AUDIENCE, HttpIssuer, ISSUER, Signer, claims, key_set, ok};
use super::{NOW, secret};

pub(crate) async fn show(users: &dyn UserAuthenticator, token: &str) -> Result<UserIdentity, AuthError> {
    let mut proof = UserProof::at(NOW);
    proof.bearer = Some(secret(token));
    users.authenticate(&proof).await
}

/// With these keys at hand.
pub(crate) fn users(keys: &[Value]) -> OidcUsers {
    let keys = KeySet::parse(&key_set(keys)).unwrap();
    OidcUsers::new(ISSUER, AUDIENCE, IssuerKeys::Live(Live::new(keys)))
}

fn with(changes: &Value) -> Value {
    let mut all = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
            value => all[name] = value.clone(),
        }
    }
    all
}

#[tokio::test]
async fn each_algorithm_is_taken_by_its_own_kind_of_key() {
    for signer in [Signer::rsa(), Signer::ec(), Signer::ed()] {
        let users = users(&[signer.jwk("k")]);
        let carol = show(&users, &signer.token("k", &claims())).await.unwrap();
        assert_eq!((carol.subject.as_str(), carol.grants), ("carol", Grants::cluster(Role::Viewer)));
        let unnamed = signer.token_with(&json!({"alg": signer.algorithm()}), &claims());
        assert!(show(&users, &unnamed).await.is_ok(), "the only key there is: {}", signer.algorithm());
    }
    let (one, two) = (Signer::ec(), Signer::ed());
    let users = users(&[one.jwk("1"), two.jwk("2")]);
    assert!(show(&users, &two.token("2", &claims())).await.is_ok());
    assert!(show(&users, &two.token("1", &claims())).await.is_err());
    assert!(show(&users, &two.token_with(&json!({"alg": "EdDSA"}), &claims())).await.is_err(), "which key?");
}

#[tokio::test]
async fn every_claim_has_its_rule() {
    let signer = Signer::ed();
    let users = users(&[signer.jwk("k")]);
    let now = NOW.as_micros() / 1_000_000;
    for (changes, good, what) in [
        (json!({}), true, "plain"),
        (json!({"aud": ["x", AUDIENCE]}), true, "one audience of several"),
        (json!({"aud": "other"}), false, "wrong audience"),
        (json!({"aud": null}), false, "no audience"),
        (json!({"iss": "https://id.example/realm/"}), false, "an issuer to the letter"),
        (json!({"iss": null}), false, "no issuer"),
        (json!({"exp": null}), false, "no exp"),
        (json!({"exp": now - 59}), true, "expired within leeway"),
        (json!({"exp": now - 60}), false, "expired"),
        (json!({"nbf": now + 60}), true, "nbf within leeway"),
        (json!({"nbf": now + 61}), false, "nbf ahead"),
        (json!({"iat": now + 61}), false, "iat ahead"),
        (json!({"sub": null}), false, "no sub"),
        (json!({"sub": " "}), false, "a blank sub"),
        (json!({"sub": 7}), false, "a number for a sub"),
        (json!({"role": "root"}), false, "no role that means anything"),
        (json!({"role": null, "namespace_roles": {"team-a": "operator"}}), true, "a role in a namespace"),
    ] {
        let answer = show(&users, &signer.token("k", &with(&changes))).await;
        assert_eq!(answer.is_ok(), good, "{what}: {answer:?}");
    }
    let strict = self::users(&[signer.jwk("k")]).with_leeway(Duration::from_secs(1));
    assert!(show(&strict, &signer.token("k", &with(&json!({"exp": now - 1})))).await.is_err());
}

#[tokio::test]
async fn a_token_that_does_not_say_who_a_user_is_is_refused_by_its_kind() {
    let signer = Signer::ed();
    let users = users(&[signer.jwk("k")]);
    for (typ, good) in [("JWT", true), ("at+jwt", true), ("application/at+jwt", true), ("logout+jwt", false)]
    {
        let token = signer.token_with(&json!({"alg": "EdDSA", "typ": typ, "kid": "k"}), &claims());
        assert_eq!(show(&users, &token).await.is_ok(), good, "{typ}");
    }
}

#[tokio::test]
async fn subjects_and_roles_come_from_where_the_settings_say_and_listed_users_have_the_listed_role() {
    let signer = Signer::ed();
    let mapping = RoleMapping {
        role_claim: "groups".parse().unwrap(),
        role_values: [("ops".to_owned(), Role::Operator)].into(),
        ..RoleMapping::default()
    };
    let users = || {
        users(&[signer.jwk("k")])
            .with_subject("email".parse().unwrap(), "oidc:")
            .with_mapping(mapping.clone())
    };
    let token = signer.token("k", &with(&json!({"email": "carol@example.com", "groups": ["x", "ops"]})));
    let carol = show(&users(), &token).await.unwrap();
    assert_eq!(
        (carol.subject.as_str(), carol.grants),
        ("oidc:carol@example.com", Grants::cluster(Role::Operator))
    );
    let listed = users().with_users("oidc:carol@example.com:viewer".parse().unwrap());
    assert_eq!(show(&listed, &token).await.unwrap().grants, Grants::cluster(Role::Viewer));
    let unlisted = users().with_users("carol@example.com:admin".parse().unwrap());
    assert!(show(&unlisted, &token).await.is_err());
}

/// A source that a test scripts.
#[derive(Clone, Default)]
struct Script(Arc<Scripted>);

#[derive(Default)]
struct Scripted {
    answer: Mutex<Option<String>>,
    fetched: AtomicUsize,
}

impl Script {
    fn say(&self, answer: Option<String>) {
        *self.0.answer.lock().unwrap() = answer;
    }

    fn fetched(&self) -> usize {
        self.0.fetched.load(Ordering::SeqCst)
    }

    fn users(&self) -> OidcUsers {
        let keys = FetchedKeys::new(self.clone(), SystemEnv::shared(), Freshness::default());
        OidcUsers::new(ISSUER, AUDIENCE, IssuerKeys::Fetched(keys)).with_leeway(Duration::from_secs(600))
    }
}

#[async_trait]
impl FetchKeys for Script {
    async fn fetch(&self) -> Result<String, BoxError> {
        self.0.fetched.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.0.answer.lock().unwrap().clone().ok_or_else(|| "the issuer is away".into())
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once_for_many_and_anew_when_they_are_old() {
    let (source, signer) = (Script::default(), Signer::ed());
    source.say(Some(key_set(&[signer.jwk("k")])));
    let (users, token) = (source.users(), signer.token("k", &claims()));
    let all = futures_util::future::join_all((0..20).map(|_| show(&users, &token))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(source.fetched(), 1);
    tokio::time::advance(Duration::from_secs(599)).await;
    show(&users, &token).await.unwrap();
    assert_eq!(source.fetched(), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    source.say(Some(key_set(&[Signer::ed().jwk("other")])));
    assert!(show(&users, &token).await.is_err(), "the issuer withdrew the key");
    assert_eq!(source.fetched(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_at_a_bounded_rate() {
    let (source, old, new) = (Script::default(), Signer::ed(), Signer::ec());
    source.say(Some(key_set(&[old.jwk("old")])));
    let users = source.users();
    show(&users, &old.token("old", &claims())).await.unwrap();
    source.say(Some(key_set(&[old.jwk("old"), new.jwk("new")])));
    let token = new.token("new", &claims());
    assert!(show(&users, &token).await.is_err(), "the issuer was asked a moment ago");
    tokio::time::advance(Duration::from_secs(10)).await;
    show(&users, &token).await.unwrap();
    assert_eq!(source.fetched(), 2);
    for number in 0..100 {
        let made_up = new.token(&format!("made-up-{number}"), &claims());
        assert!(show(&users, &made_up).await.is_err());
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert!(source.fetched() <= 3, "a hundred made-up keys in ten seconds: {}", source.fetched());
    let elsewhere = new.token("x", &with(&json!({"iss": "https://evil.example"})));
    tokio::time::advance(Duration::from_secs(60)).await;
    let before = source.fetched();
    assert!(show(&users, &elsewhere).await.is_err());
    assert_eq!(source.fetched(), before, "a token of another issuer makes nobody ask");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_away_is_done_without_for_a_day_and_no_longer() {
    let (source, signer) = (Script::default(), Signer::ed());
    let users = source.users();
    let token = |age: i64| {
        let now = NOW.as_micros() / 1_000_000 + age;
        signer.token("k", &with(&json!({"exp": now + 60})))
    };
    assert!(matches!(show(&users, &token(0)).await, Err(AuthError::Unavailable(_))), "it was never there");
    source.say(Some(key_set(&[signer.jwk("k")])));
    tokio::time::advance(Duration::from_secs(10)).await;
    show(&users, &token(0)).await.unwrap();
    for broken in [None, Some("<html>busy</html>".to_owned()), Some(key_set(&[])), Some("x".repeat(1 << 20))]
    {
        source.say(broken);
        tokio::time::advance(Duration::from_secs(3600)).await;
        show(&users, &token(0)).await.unwrap();
    }
    tokio::time::advance(Duration::from_secs(20 * 3600)).await;
    assert!(matches!(show(&users, &token(0)).await, Err(AuthError::Unavailable(_))), "a day has passed");
    source.say(Some(key_set(&[signer.jwk("k")])));
    tokio::time::advance(Duration::from_secs(10)).await;
    show(&users, &token(0)).await.unwrap();
}

/// An authority, and an acceptor with a certificate of it for `localhost`.
fn authority() -> (String, tokio_rustls::TlsAcceptor) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
    (pem, tokio_rustls::TlsAcceptor::from(Arc::new(config)))
}

fn fetching(keys: HttpKeys) -> OidcUsers {
    let keys = FetchedKeys::new(keys, SystemEnv::shared(), Freshness::default());
    OidcUsers::new(ISSUER, AUDIENCE, IssuerKeys::Fetched(keys))
}

#[tokio::test]
async fn keys_come_over_tls_from_an_issuer_of_the_trusted_authority_only() {
    let folder = tempfile::tempdir().unwrap();
    let ((ca, acceptor), (other, _)) = (authority(), authority());
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let (ca, other) = (file("ca.pem", &ca), file("other.pem", &other));
    let signer = Signer::ec();
    let issuer = HttpIssuer::start(ok(&key_set(&[signer.jwk("k")])), Some(acceptor)).await;
    let url = format!("https://localhost:{}/keys", issuer.address.port());
    let token = signer.token("k", &claims());
    show(&fetching(HttpKeys::new(&url, Some(&ca)).unwrap()), &token).await.unwrap();
    assert_eq!(issuer.asked(), 1);
    let distrusting = fetching(HttpKeys::new(&url, Some(&other)).unwrap());
    assert!(matches!(show(&distrusting, &token).await, Err(AuthError::Unavailable(_))));
    assert_eq!(issuer.asked(), 1, "the connection was not made");
}

#[tokio::test]
async fn an_answer_that_leads_elsewhere_is_too_large_fails_or_never_comes_brings_no_key() {
    let signer = Signer::ec();
    let good = ok(&key_set(&[signer.jwk("k")]));
    let elsewhere = HttpIssuer::start(good.clone(), None).await;
    let issuer = HttpIssuer::start(None, None).await;
    let url = format!("http://{}/keys", issuer.address);
    let token = signer.token("k", &claims());
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    let large = ok(&format!("{{\"keys\": [{}]}}{}", signer.jwk("k"), " ".repeat(300 * 1024)));
    let failing = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".to_owned();
    for bad in [Some(redirect), large, Some(failing), Some("garbage\r\n\r\n".to_owned()), None] {
        issuer.answer_with(bad);
        let keys = HttpKeys::new(&url, None).unwrap().with_limit(Duration::from_millis(500));
        let answer = show(&fetching(keys), &token).await;
        assert!(matches!(answer, Err(AuthError::Unavailable(_))), "{answer:?}");
    }
    assert_eq!((issuer.asked(), elsewhere.asked()), (5, 0));
    issuer.answer_with(good);
    show(&fetching(HttpKeys::new(&url, None).unwrap()), &token).await.unwrap();
}

#[test]
fn a_source_that_anybody_could_answer_for_is_refused() {
    for bad in
        ["http://id.example/keys", "ftp://id.example", "keys.json", "", "https://user:hunter2@id.example/"]
    {
        let error = HttpKeys::new(bad, None).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
    let missing = HttpKeys::new("https://id.example/", Some(std::path::Path::new("/nonexistent/ca.pem")));
    assert!(missing.unwrap_err().to_string().starts_with("/nonexistent/ca.pem"));
}

#[test]
fn a_set_without_a_key_of_use_is_refused_and_foreign_kinds_are_passed_over() {
    let signer = Signer::rsa();
    let for_secrets = json!({"kty": "oct", "kid": "k", "k": "AAAA"});
    let mut encrypting = signer.jwk("k");
    encrypting["use"] = json!("enc");
    let mut other_padding = signer.jwk("k");
    other_padding["alg"] = json!("PS256");
    let short = json!({"kty": "RSA", "kid": "k", "n": "AAECAwQF", "e": "AQAB"});
    let curve = json!({"kty": "EC", "crv": "P-521", "kid": "k", "x": "AA", "y": "AA"});
    let useless = [for_secrets, encrypting, other_padding, short, curve, json!(7), json!({"kty": 1})];
    for one in &useless {
        assert!(KeySet::parse(&key_set(std::slice::from_ref(one))).is_err(), "{one}");
    }
    let mixed: Vec<_> = useless.into_iter().chain([signer.jwk("good")]).collect();
    assert_eq!(KeySet::parse(&key_set(&mixed)).unwrap().len(), 1);
    let many: Vec<_> = (0..65).map(|n| signer.jwk(&n.to_string())).collect();
    assert!(KeySet::parse(&key_set(&many)).unwrap_err().to_string().contains("65"));
}
