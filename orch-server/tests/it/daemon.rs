//! The daemon, put together as its configuration says.

use orch_server::config::{Config, Settings, command};
use orch_server::daemon;
use tokio_util::sync::CancellationToken;

use crate::world::Http;

/// On a free port of loopback, with its data below `folder`.
pub(crate) fn configuration(folder: &std::path::Path, variables: &[(&str, &str)]) -> Config {
    let matches = command().try_get_matches_from(["orch-server", "--addr", "127.0.0.1:0"]).unwrap();
    let data = folder.display().to_string();
    let all = [("ORCH_DATA_DIR", data.as_str())].into_iter().chain(variables.iter().copied());
    let settings = Settings::collect(&matches, all.map(|(name, value)| (name.into(), value.into())));
    Config::from_settings(&settings.unwrap()).unwrap()
}

#[tokio::test]
async fn a_server_that_is_open_says_so_once_at_each_start_and_shows_the_schema_of_its_store() {
    let folder = tempfile::tempdir().unwrap();
    for starts in 1..=2 {
        let (server, _control) = daemon::build(configuration(folder.path(), &[]), None).await.unwrap();
        let http = Http::new(&format!("http://{}", server.address()));
        let stop = CancellationToken::new();
        let served = tokio::spawn(server.run(stop.clone().cancelled_owned()));
        let events = http.send("GET", "/v1/events?type=server.insecure", None, &[], "").await.expect(200);
        let events = events["events"].as_array().unwrap();
        assert_eq!(events.len(), starts);
        for event in events {
            assert_eq!(event["severity"], "warning");
            let message = event["message"].as_str().unwrap();
            assert!(message.contains("ORCH_JWT_SECRET") && message.contains("ORCH_AGENT_REGISTRATION_TOKEN"));
        }
        let version = http.send("GET", "/v1/version", None, &[], "").await.expect(200);
        assert_eq!(version["database_schema_version"], orch_store::SCHEMA_VERSION);
        stop.cancel();
        served.await.unwrap();
    }
}
