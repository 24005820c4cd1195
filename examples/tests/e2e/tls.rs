//! Server, agents and `orch` over TLS, by the flags that the README names.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::http;
use crate::poll::until;
use crate::site::Site;

/// An authority of one test, and a certificate of it for the server.
pub(crate) struct Files {
    pub(crate) authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// Makes them in this folder.
    pub(crate) fn make(folder: &Path) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let trusted = authority.self_signed(&authority_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let server = server.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap().pem();
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        Self {
            authority: write("ca.pem", trusted.clone()),
            // With the authority behind it, so that enrolment tokens name that.
            certificate: write("server.pem", format!("{server}{trusted}")),
            key: write("server.key", key.serialize_pem()),
        }
    }

    /// What tells a server of them.
    pub(crate) fn server_flags(&self) -> Vec<String> {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        vec!["--tls-cert".to_owned(), path(&self.certificate), "--tls-key".to_owned(), path(&self.key)]
    }
}

#[test]
fn a_service_is_deployed_over_tls_and_who_does_not_know_the_authority_stays_out_engine() {
    let mut site = Site::over_tls(&["a"]);
    site.deploy(2, "");
    let before = site.starts();
    assert_eq!(before.len(), 2);

    // Over a restart of the server: its agent comes back by the same proof.
    site.kill_server();
    site.start_server();
    until("the node is ready", || (site.node("a")["status"] == "ready").then_some(()));
    site.ok(&["scale", "web", "--replicas", "3", "--wait", "--timeout", "60s"]);
    let after = site.starts();
    assert!(
        before.iter().all(|container| after.get(container.0) == Some(container.1)),
        "{before:?} {after:?}"
    );

    let mut stranger = site.command(&["whoami"]);
    let stranger = stranger.env_remove("ORCH_CA_FILE").output().unwrap();
    assert!(!stranger.status.success());
    let said = String::from_utf8_lossy(&stranger.stderr);
    assert!(said.contains("certificate"), "{said}");

    let port = site.url().rsplit(':').next().unwrap().parse().unwrap();
    let (status, body) = http::get(port, "/v1/version").unwrap();
    assert_eq!(status, 400);
    assert!(body.contains("https"), "{body}");
}
