//! Users of a running daemon: keys that change under it, and a foreign issuer beside its own tokens.

use std::time::Duration;

use orch_auth::jwt::{KeyRing, mint_with};
use orch_core::control_plane::ControlPlane;
use orch_core::identity::Role;
use orch_server::daemon;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::daemon::configuration;
use crate::issuer::Issuer;
use crate::world::Http;

const OLD: &str = "the old secret of this test, 32 bytes";
const NEW: &str = "the new secret of this test, 32 bytes";

struct Daemon {
    control: ControlPlane,
    http: Http,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Daemon {
    async fn start(folder: &std::path::Path, variables: &[(&str, &str)]) -> Self {
        let (server, control) = daemon::build(configuration(folder, variables), None).await.unwrap();
        let http = Http::new(&format!("http://{}", server.address()));
        let stop = CancellationToken::new();
        let served = tokio::spawn(server.run(stop.clone().cancelled_owned()));
        Self { control, http, stop, served }
    }

    async fn status(&self, token: &str) -> u16 {
        self.http.send("GET", "/v1/whoami", Some(token), &[], "").await.status.as_u16()
    }

    /// Until a token is answered so.
    async fn until(&self, token: &str, status: u16) {
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        while self.status(token).await != status {
            assert!(tokio::time::Instant::now() < until, "{status} never came");
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.served.await.unwrap();
    }
}

fn ring(keys: &[(&str, &str)]) -> String {
    let keys: Vec<_> =
        keys.iter().map(|(kid, secret)| format!("{{kid: {kid}, secret: '{secret}'}}")).collect();
    format!("keys: [{}]", keys.join(", "))
}

fn hang_up() {
    let id = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
}

#[tokio::test]
async fn a_key_ring_is_rotated_under_a_running_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.yaml");
    std::fs::write(&path, ring(&[("old", OLD)])).unwrap();
    let daemon = Daemon::start(folder.path(), &[("ORCH_JWT_KEYS", path.to_str().unwrap())]).await;
    let token = |text: &str| {
        let (ring, subject) = (KeyRing::parse(text).unwrap(), "alice".parse().unwrap());
        let token = mint_with(&ring, &subject, Role::Viewer, Duration::from_secs(600), daemon.control.now());
        token.unwrap().expose().clone()
    };
    let (old, new) = (token(&ring(&[("old", OLD)])), token(&ring(&[("new", NEW)])));
    assert_eq!((daemon.status(&old).await, daemon.status(&new).await), (200, 401));

    std::fs::write(&path, ring(&[("new", NEW), ("old", OLD)])).unwrap();
    hang_up();
    daemon.until(&new, 200).await;
    assert_eq!(daemon.status(&old).await, 200, "tokens of the old key are good while it is in the ring");

    std::fs::write(&path, ring(&[("new", NEW)])).unwrap();
    hang_up();
    daemon.until(&old, 401).await;
    assert_eq!(daemon.status(&new).await, 200);
    daemon.end().await;
}

#[tokio::test]
async fn an_issuers_users_come_in_beside_ours_with_the_roles_that_their_groups_mean() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::start().await;
    let mut variables = issuer.variables();
    variables.push(("ORCH_JWT_SECRET", OLD.to_owned()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let daemon = Daemon::start(folder.path(), &variables).await;
    let now = daemon.control.now();
    let carol = issuer.token("carol", "platform", now);
    let whoami = daemon.http.send("GET", "/v1/whoami", Some(&carol), &[], "").await.expect(200);
    assert_eq!((whoami["subject"].as_str(), whoami["role"].as_str()), (Some("carol"), Some("admin")));
    let reader = issuer.token("dave", "readers", now);
    assert_eq!(daemon.http.send("GET", "/v1/audit", Some(&reader), &[], "").await.status, 403);
    assert_eq!(daemon.status(&issuer.token("eve", "strangers", now)).await, 401);
    let ours = orch_auth::jwt::mint(
        &orch_core::secret::Secret::new(OLD.to_owned()),
        &"alice".parse().unwrap(),
        Role::Viewer,
        Duration::from_secs(600),
        now,
    );
    assert_eq!(daemon.status(ours.unwrap().expose()).await, 200);
    for stranger in
        [Issuer::start().await.token("carol", "platform", now), "a.b.c".to_owned(), "x".to_owned()]
    {
        let answer = daemon.http.send("GET", "/v1/whoami", Some(&stranger), &[], "").await;
        assert_eq!(answer.status, 401);
        assert!(answer.text.contains("the token is not accepted"), "{}", answer.text);
    }
    daemon.end().await;
}
