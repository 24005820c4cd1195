//! A ring of keys while it is rotated: nobody who holds a good token notices, and nobody comes in by a key that is gone.

use std::time::Duration;

use orch_auth::jwt::{JwtUsers, KeyRing, mint_with};
use orch_auth::live::Live;
use orch_auth::watched::{Reload as _, Reloaded, WatchedFile};
use orch_core::identity::Role;
use orch_core::time::Timestamp;
use serde_json::json;

use super::NOW;
use super::jwt::{show, sign};

const OLD: &str = "the old secret of these tests, 32+";
const NEW: &str = "the new secret of these tests, 32+";

fn parse(text: &str) -> Result<KeyRing, String> {
    KeyRing::parse(text).map_err(|error| error.to_string())
}

fn minted(ring: &KeyRing) -> String {
    let subject = "alice".parse().unwrap();
    mint_with(ring, &subject, Role::Viewer, Duration::from_secs(7200), NOW).unwrap().expose().clone()
}

#[tokio::test]
async fn a_ring_is_rotated_without_a_restart_and_the_old_key_verifies_until_its_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.yaml");
    let until = NOW + Duration::from_secs(3600);
    std::fs::write(&path, format!("keys: [{{kid: old, secret: '{OLD}'}}]")).unwrap();
    let file = WatchedFile::open(&path, parse).unwrap();
    let users = JwtUsers::with_ring(file.live());
    let before = minted(&file.live().get());

    let both = format!(
        "keys:\n- {{kid: new, secret: '{NEW}'}}\n- {{kid: old, secret: '{OLD}', verify_until: {until}}}\n"
    );
    std::fs::write(&path, both).unwrap();
    assert!(matches!(file.reload(), Reloaded::Replaced));
    let after = minted(&file.live().get());
    let just_before = Timestamp::from_micros(until.as_micros() - 1);
    for (token, now, good, what) in [
        (&before, NOW, true, "the old key's, now"),
        (&after, NOW, true, "the new key's, now"),
        (&before, just_before, true, "the old key's, until its date"),
        (&before, until, false, "the old key's, from its date on"),
        (&after, until, true, "the new key's, then"),
    ] {
        assert_eq!(show(&users, token, now).await.is_ok(), good, "{what}");
    }

    std::fs::write(&path, "keys: [{kid: new").unwrap();
    let Reloaded::Kept(error) = file.reload() else { panic!("a broken file is not taken") };
    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    assert!(show(&users, &after, NOW).await.is_ok(), "the ring from before stays in force");

    std::fs::write(&path, format!("keys: [{{kid: new, secret: '{NEW}'}}]")).unwrap();
    assert!(matches!(file.reload(), Reloaded::Replaced));
    assert!(show(&users, &before, NOW).await.is_err(), "the old key is gone");
}

#[tokio::test]
async fn a_key_id_names_the_key_and_without_one_each_is_tried() {
    let text = format!("keys: [{{kid: a, secret: '{OLD}'}}, {{kid: b, secret: '{NEW}'}}]");
    let users = JwtUsers::with_ring(Live::new(KeyRing::parse(&text).unwrap()));
    let claims = json!({"sub": "a", "role": "viewer", "exp": NOW.as_micros() / 1_000_000 + 60});
    for (kid, key, good) in [
        (Some("a"), OLD, true),
        (Some("b"), NEW, true),
        (Some("a"), NEW, false),
        (Some("c"), OLD, false),
        (Some("../a"), OLD, false),
        (Some(""), OLD, false),
        (None, OLD, true),
        (None, NEW, true),
        (None, "another secret, also of 32 bytes!", false),
    ] {
        let mut header = json!({"alg": "HS256"});
        if let Some(kid) = kid {
            header["kid"] = json!(kid);
        }
        assert_eq!(show(&users, &sign(&header, &claims, key), NOW).await.is_ok(), good, "{kid:?}");
    }
}
