//! What a user's token must be, claim by claim.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_auth::jwt::{JwtUsers, mint};
use orch_core::identity::{AuthError, Grants, Role, UserAuthenticator as _, UserIdentity, UserProof};
use orch_core::time::Timestamp;
use ring::hmac;
use serde_json::{Value, json};

use super::{KEY, NOW, secret};

pub(super) fn sign(header: &Value, claims: &Value, key: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(header), encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

pub(super) async fn show(users: &JwtUsers, token: &str, now: Timestamp) -> Result<UserIdentity, AuthError> {
    let mut proof = UserProof::at(now);
    proof.bearer = Some(secret(token));
    users.authenticate(&proof).await
}

pub(super) fn users() -> JwtUsers {
    JwtUsers::new(&secret(KEY)).unwrap()
}

pub(super) fn hs256() -> Value {
    json!({"alg": "HS256", "typ": "JWT"})
}

fn now_seconds() -> i64 {
    NOW.as_micros() / 1_000_000
}

#[tokio::test]
async fn a_minted_token_is_good_until_the_second_it_expires() {
    let token =
        mint(&secret(KEY), &"alice".parse().unwrap(), Role::Viewer, Duration::from_secs(60), NOW).unwrap();
    let alice = show(&users(), token.expose(), NOW + Duration::from_secs(59)).await.unwrap();
    assert_eq!((alice.subject.as_str(), alice.grants), ("alice", Grants::cluster(Role::Viewer)));
    assert!(show(&users(), token.expose(), NOW + Duration::from_secs(60)).await.is_err());
}

#[tokio::test]
async fn every_claim_has_its_rule() {
    let exp = now_seconds() + 60;
    let cases = [
        (json!({"sub": "a", "role": "viewer", "exp": exp}), true, "plain"),
        (json!({"sub": "a", "role": "viewer"}), false, "no exp"),
        (json!({"sub": "a", "role": "viewer", "exp": "soon"}), false, "exp of the wrong type"),
        (json!({"sub": "a", "role": "viewer", "exp": now_seconds()}), false, "exp is now"),
        (json!({"role": "viewer", "exp": exp}), false, "no sub"),
        (json!({"sub": "  ", "role": "viewer", "exp": exp}), false, "blank sub"),
        (json!({"sub": "a", "exp": exp}), false, "no role at all"),
        (json!({"sub": "a", "role": "root", "exp": exp}), false, "unknown role"),
        (
            json!({"sub": "a", "role": 3, "exp": exp, "namespace_roles": {"default": "viewer"}}),
            true,
            "namespace roles instead",
        ),
        (
            json!({"sub": "a", "exp": exp, "namespace_roles": {"default": "root"}}),
            false,
            "no usable namespace role",
        ),
        (
            json!({"sub": "a", "role": "viewer", "exp": exp, "nbf": now_seconds() + 59}),
            true,
            "nbf within leeway (M10)",
        ),
        (
            json!({"sub": "a", "role": "viewer", "exp": exp + 999, "nbf": now_seconds() + 62}),
            false,
            "nbf ahead",
        ),
        (
            json!({"sub": "a", "role": "viewer", "exp": exp + 999, "iat": now_seconds() + 62}),
            false,
            "iat ahead",
        ),
        (
            json!({"sub": "a", "role": "viewer", "exp": exp, "aud": "x", "iss": "y", "more": [1]}),
            true,
            "others ignored",
        ),
    ];
    for (claims, good, what) in cases {
        let answer = show(&users(), &sign(&hs256(), &claims, KEY), NOW).await;
        assert_eq!(answer.is_ok(), good, "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn issuer_and_audience_count_once_configured_even_when_the_token_has_none() {
    let strict = users().with_issuer("me").with_audience("orch");
    let exp = now_seconds() + 60;
    for (claims, good) in [
        (json!({"sub": "a", "role": "viewer", "exp": exp}), false),
        (json!({"sub": "a", "role": "viewer", "exp": exp, "iss": "me"}), false),
        (json!({"sub": "a", "role": "viewer", "exp": exp, "iss": "me", "aud": "other"}), false),
        (json!({"sub": "a", "role": "viewer", "exp": exp, "iss": "me", "aud": "orch"}), true),
        (json!({"sub": "a", "role": "viewer", "exp": exp, "iss": "me", "aud": ["x", "orch"]}), true),
    ] {
        assert_eq!(show(&strict, &sign(&hs256(), &claims, KEY), NOW).await.is_ok(), good, "{claims}");
    }
}

#[tokio::test]
async fn listed_users_have_the_listed_role_and_nobody_else_gets_in() {
    let users = users().with_users("alice:viewer".parse().unwrap());
    let exp = now_seconds() + 60;
    let claims = json!({"sub": "alice", "role": "admin", "exp": exp, "namespace_roles": {"x": "admin"}});
    let alice = show(&users, &sign(&hs256(), &claims, KEY), NOW).await.unwrap();
    assert_eq!(alice.grants, Grants::cluster(Role::Viewer));
    assert!(
        show(&users, &sign(&hs256(), &json!({"sub": "bob", "role": "admin", "exp": exp}), KEY), NOW)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn without_a_token_authentication_is_asked_for() {
    assert!(matches!(users().authenticate(&UserProof::at(NOW)).await, Err(AuthError::Missing)));
}

#[test]
fn a_short_secret_is_refused_with_its_length() {
    assert_eq!(JwtUsers::new(&secret("short")).unwrap_err().length, 5);
}
