//! Known attacks on tokens of a foreign issuer, by name (M9, RFC 8725).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_auth::chain::UserChain;
use orch_auth::jwt::mint;
use orch_core::identity::{AuthError, Role};
use ring::hmac;
use serde_json::{Value, json};
use std::sync::Arc;

use super::issuer::{Signer, claims, key_set};
use super::oidc::{show, users};
use super::{KEY, NOW, secret};

fn admin() -> Value {
    let mut all = claims();
    all["role"] = json!("admin");
    all
}

fn hmac_token(header: &Value, claims: &Value, key: &[u8]) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(header), encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[tokio::test]
async fn algorithm_confusion_a_public_key_is_no_hmac_secret() {
    for signer in [Signer::rsa(), Signer::ec(), Signer::ed()] {
        let jwk = signer.jwk("k");
        let component = |name: &str| jwk[name].as_str().map(|text| URL_SAFE_NO_PAD.decode(text).unwrap());
        let secrets = [component("n"), component("x"), component("y"), Some(jwk.to_string().into_bytes())]
            .into_iter()
            .chain([Some(key_set(std::slice::from_ref(&jwk)).into_bytes()), Some(Vec::new())]);
        for secret in secrets.flatten() {
            for alg in ["HS256", signer.algorithm()] {
                let forged = hmac_token(&json!({"alg": alg, "kid": "k"}), &admin(), &secret);
                assert!(show(&users(std::slice::from_ref(&jwk)), &forged).await.is_err(), "{alg}");
            }
        }
    }
}

#[tokio::test]
async fn algorithm_confusion_a_key_is_good_for_its_own_algorithm_only() {
    let (rsa, ec) = (Signer::rsa(), Signer::ec());
    let users = users(&[rsa.jwk("rsa"), ec.jwk("ec")]);
    for alg in ["PS256", "RS512", "ES256", "EdDSA", "HS256", "none"] {
        let token = rsa.token_with(&json!({"alg": alg, "kid": "rsa"}), &admin());
        assert!(show(&users, &token).await.is_err(), "a right RSA signature called {alg}");
    }
    for (kid, alg) in [("ec", "RS256"), ("rsa", "ES256")] {
        assert!(show(&users, &rsa.token_with(&json!({"alg": alg, "kid": kid}), &admin())).await.is_err());
    }
}

#[tokio::test]
async fn algorithm_none_is_refused_with_and_without_a_signature() {
    let signer = Signer::ec();
    for alg in ["none", "None", "NONE", ""] {
        let signed = signer.token_with(&json!({"alg": alg, "kid": "k"}), &admin());
        assert!(show(&users(&[signer.jwk("k")]), &signed).await.is_err(), "{alg}");
        let bare = format!("{}.", &signed[..signed.rfind('.').unwrap()]);
        assert!(show(&users(&[signer.jwk("k")]), &bare).await.is_err(), "{alg}, bare");
    }
}

#[tokio::test]
async fn kid_injection_a_key_id_is_looked_up_among_the_keys_and_is_no_path_query_or_url() {
    let signer = Signer::ed();
    let users = users(&[signer.jwk("k")]);
    for kid in ["../../../dev/null", "/dev/null", "k' OR '1'='1", "http://evil.example/k", "k\u{0}", "", "K"]
    {
        assert!(show(&users, &signer.token(kid, &admin())).await.is_err(), "{kid:?}");
        let empty = hmac_token(&json!({"alg": "HS256", "kid": kid}), &admin(), b"");
        assert!(show(&users, &empty).await.is_err(), "{kid:?}, with an empty secret");
    }
    for kid in [json!(["k"]), json!({"k": 1}), json!(7)] {
        let odd = signer.token_with(&json!({"alg": "EdDSA", "kid": kid}), &admin());
        assert!(show(&users, &odd).await.is_err(), "{kid}");
    }
}

#[tokio::test]
async fn jwks_swap_a_key_of_the_attackers_is_not_taken_under_the_issuers_name() {
    let (issuer, attacker) = (Signer::ec(), Signer::ec());
    let users = users(&[issuer.jwk("k")]);
    assert!(show(&users, &attacker.token("k", &admin())).await.is_err());
    for (member, value) in [
        ("jwk", attacker.jwk("k")),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AAAA"])),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "k"});
        header[member] = value;
        assert!(
            show(&users, &attacker.token_with(&header, &admin())).await.is_err(),
            "{member}, by the attacker"
        );
        assert!(
            show(&users, &issuer.token_with(&header, &admin())).await.is_err(),
            "{member}, by the issuer"
        );
    }
}

#[tokio::test]
async fn jwks_swap_a_symmetric_key_in_the_set_is_no_key() {
    let signer = Signer::ec();
    let known = b"a secret that everybody can read in the published key set";
    let oct = json!({"kty": "oct", "kid": "s", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(known)});
    let users = users(&[signer.jwk("k"), oct]);
    assert!(show(&users, &hmac_token(&json!({"alg": "HS256", "kid": "s"}), &admin(), known)).await.is_err());
}

#[tokio::test]
async fn a_header_that_demands_an_extension_is_refused() {
    let signer = Signer::ed();
    let header = json!({"alg": "EdDSA", "kid": "k", "crit": ["b64"], "b64": false});
    assert!(show(&users(&[signer.jwk("k")]), &signer.token_with(&header, &admin())).await.is_err());
}

#[tokio::test]
async fn a_signature_of_zeros_or_of_nothing_is_refused() {
    for signer in [Signer::rsa(), Signer::ec(), Signer::ed()] {
        let token = signer.token("k", &admin());
        let message = &token[..token.rfind('.').unwrap()];
        for signature in [vec![], vec![0; 64], vec![0; 256], vec![0xff; 64]] {
            let forged = format!("{message}.{}", URL_SAFE_NO_PAD.encode(&signature));
            assert!(show(&users(&[signer.jwk("k")]), &forged).await.is_err(), "{}", signer.algorithm());
        }
    }
}

#[tokio::test]
async fn wrong_audience_wrong_issuer_expired_and_not_yet_valid_are_refused_though_rightly_signed() {
    let signer = Signer::ed();
    let users = users(&[signer.jwk("k")]);
    let now = NOW.as_micros() / 1_000_000;
    for (claim, value) in [
        ("aud", json!("another-program")),
        ("aud", json!(["orc", "orch2"])),
        ("iss", json!("https://evil.example")),
        ("exp", json!(now - 3600)),
        ("exp", json!(-1)),
        ("nbf", json!(now + 3600)),
    ] {
        let mut all = admin();
        all[claim] = value.clone();
        assert!(show(&users, &signer.token("k", &all)).await.is_err(), "{claim}: {value}");
    }
    let twice = admin().to_string().replacen('{', r#"{"sub":"carol","#, 1);
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"k"}"#),
        URL_SAFE_NO_PAD.encode(twice)
    );
    assert!(show(&users, &format!("{text}.AAAA")).await.is_err(), "a claim that stands twice");
}

#[tokio::test]
async fn an_oversized_token_is_refused_before_it_is_parsed() {
    let signer = Signer::ed();
    let mut all = admin();
    all["groups"] = json!("x".repeat(9_000));
    let error = show(&users(&[signer.jwk("k")]), &signer.token("k", &all)).await.unwrap_err().to_string();
    assert!(error.contains("8 KiB"), "{error}");
}

#[tokio::test]
async fn what_one_link_of_a_chain_refuses_no_other_lets_in_and_a_stranger_is_not_told_which_it_was() {
    let signer = Signer::rsa();
    let ours = super::jwt::users();
    let chain = UserChain::new().with(Arc::new(users(&[signer.jwk("k")]))).with(Arc::new(ours));
    let hour = Duration::from_secs(3600);
    let own = mint(&secret(KEY), &"alice".parse().unwrap(), Role::Operator, hour, NOW).unwrap();
    assert_eq!(show(&chain, own.expose()).await.unwrap().subject.as_str(), "alice");
    assert_eq!(show(&chain, &signer.token("k", &claims())).await.unwrap().subject.as_str(), "carol");

    // Signed with our own secret, but in the issuer's name: the issuer's link judges it.
    let mut strangers = vec![super::jwt::sign(&json!({"alg": "HS256", "kid": "k"}), &admin(), KEY)];
    strangers.push(Signer::ec().token("k", &admin()));
    strangers.push(Signer::ec().token("another", &admin()));
    strangers.push(super::jwt::sign(
        &json!({"alg": "HS256"}),
        &json!({"sub": "x"}),
        "another secret, also of 32 bytes!",
    ));
    strangers.push(super::jwt::sign(&json!({"alg": "none"}), &json!({"sub": "x"}), KEY));
    strangers.extend(["x".to_owned(), "a.b.c".to_owned(), "orchn_x".to_owned(), "x".repeat(20_000)]);
    for stranger in strangers {
        let error = show(&chain, &stranger).await.unwrap_err();
        assert!(matches!(error, AuthError::Unproven(_)), "{error:?}");
        assert_eq!(error.to_string(), "the token is not accepted");
    }
    // Who holds a token that was once good is told what became of it.
    let expired = json!({"sub": "alice", "role": "viewer", "exp": 1});
    let error = show(&chain, &super::jwt::sign(&json!({"alg": "HS256"}), &expired, KEY)).await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
    assert!(matches!(chain_missing(&chain).await, Err(AuthError::Missing)));
}

async fn chain_missing(chain: &UserChain) -> Result<orch_core::identity::UserIdentity, AuthError> {
    use orch_core::identity::UserAuthenticator as _;
    chain.authenticate(&orch_core::identity::UserProof::at(NOW)).await
}
