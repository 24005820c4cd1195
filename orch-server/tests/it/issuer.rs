//! A small OpenID Connect issuer on loopback, with one Ed25519 key.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_core::time::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

pub(crate) struct Issuer {
    key: Ed25519KeyPair,
    /// Its `iss`, and where it answers.
    pub(crate) url: String,
    answer: Arc<Mutex<String>>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&answer);
        let keys = get(move || async move { shown.lock().unwrap().clone() });
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/keys", keys)).await });
        let issuer = Self { key, url, answer };
        issuer.answer_with(&json!({"keys": [issuer.jwk()]}).to_string());
        issuer
    }

    pub(crate) fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "use": "sig", "x": x})
    }

    pub(crate) fn answer_with(&self, body: &str) {
        *self.answer.lock().unwrap() = body.to_owned();
    }

    /// The variables of a server that lets this issuer's users in.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ORCH_OIDC_ISSUER", self.url.clone()),
            ("ORCH_OIDC_AUDIENCE", "orch".to_owned()),
            ("ORCH_OIDC_JWKS_URL", format!("{}/keys", self.url)),
            ("ORCH_OIDC_ROLE_CLAIM", "groups".to_owned()),
            ("ORCH_OIDC_ROLE_VALUES", "readers=viewer,platform=admin".to_owned()),
        ]
    }

    /// Good for an hour.
    pub(crate) fn token(&self, subject: &str, group: &str, now: Timestamp) -> String {
        let exp = now.as_micros() / 1_000_000 + 3600;
        let claims = json!({"iss": self.url, "aud": "orch", "sub": subject, "exp": exp, "groups": [group]});
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", encode(&json!({"alg": "EdDSA", "kid": "k"})), encode(&claims));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes())))
    }
}
