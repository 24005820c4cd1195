//! Known attacks on tokens, by name (M9, RFC 8725).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;

use super::jwt::{hs256, show, sign, users};
use super::{KEY, NOW};

fn claims() -> serde_json::Value {
    json!({"sub": "mallory", "role": "admin", "exp": NOW.as_micros() / 1_000_000 + 60})
}

#[tokio::test]
async fn algorithm_none_is_refused_with_and_without_a_signature() {
    for alg in ["none", "None", "NONE", ""] {
        let signed = sign(&json!({"alg": alg}), &claims(), KEY);
        assert!(show(&users(), &signed, NOW).await.is_err(), "{alg}");
        let bare = format!("{}.", &signed[..signed.rfind('.').unwrap()]);
        assert!(show(&users(), &bare, NOW).await.is_err(), "{alg}, bare");
    }
}

#[tokio::test]
async fn another_algorithm_in_the_header_is_refused_even_over_a_right_mac() {
    for alg in ["HS384", "HS512", "RS256", "ES256", "EdDSA", "PS256", "hs256"] {
        assert!(show(&users(), &sign(&json!({"alg": alg}), &claims(), KEY), NOW).await.is_err(), "{alg}");
    }
}

#[tokio::test]
async fn headers_that_bring_a_key_or_demand_extensions_are_refused() {
    for (name, value) in [
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AAAA"])),
        ("jwk", json!({"kty": "oct", "k": "AAAA"})),
        ("crit", json!(["exp"])),
    ] {
        let mut header = hs256();
        header[name] = value;
        assert!(show(&users(), &sign(&header, &claims(), KEY), NOW).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_key_id_is_a_name_and_nothing_else() {
    for kid in ["../../dev/null", "' OR 1=1 --", "http://evil.example"] {
        let mut header = hs256();
        header["kid"] = json!(kid);
        assert!(show(&users(), &sign(&header, &claims(), KEY), NOW).await.is_ok(), "ignored: {kid}");
        assert!(show(&users(), &sign(&header, &claims(), ""), NOW).await.is_err(), "an empty key: {kid}");
    }
}

#[tokio::test]
async fn a_changed_payload_or_another_key_is_refused() {
    let good = sign(&hs256(), &claims(), KEY);
    let parts: Vec<&str> = good.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(json!({"sub": "root", "role": "admin", "exp": 9e9}).to_string());
    assert!(show(&users(), &format!("{}.{other}.{}", parts[0], parts[2]), NOW).await.is_err());
    assert!(
        show(&users(), &sign(&hs256(), &claims(), "another secret, also of 32 bytes!"), NOW).await.is_err()
    );
}

#[tokio::test]
async fn an_oversized_token_is_refused_before_it_is_parsed() {
    let mut large = claims();
    large["pad"] = json!("x".repeat(9_000));
    let error = show(&users(), &sign(&hs256(), &large, KEY), NOW).await.unwrap_err().to_string();
    assert!(error.contains("8 KiB"), "{error}");
}

#[tokio::test]
async fn no_answer_quotes_the_token() {
    let canary = "canary-7f3a";
    for token in [
        canary.to_owned(),
        format!("{canary}.b.c"),
        sign(&hs256(), &json!({"sub": canary, "role": canary}), KEY),
    ] {
        let error = show(&users(), &token, NOW).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(canary), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,400}", header in any::<Vec<u8>>(), payload in any::<Vec<u8>>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        prop_assert!(runtime.block_on(show(&users(), &text, NOW)).is_err());
        let shaped = format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload), "AAAA");
        prop_assert!(runtime.block_on(show(&users(), &shaped, NOW)).is_err());
    }
}
