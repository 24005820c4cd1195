//! Who may be a node.

use crate::poll::until;
use crate::site::{Site, TOKEN};

/// How often agents were refused.
const REFUSED: &str = "agent_auth_failures_total";

#[test]
fn an_agent_is_let_in_by_the_token_once_and_by_its_key_ever_after_engine() {
    let mut site = Site::start(&["a"]);
    let incarnation = |site: &Site| site.node("a")["incarnation"].as_u64().unwrap();
    assert_eq!(incarnation(&site), 1);

    let refused = site.count(REFUSED);
    site.start_agent_as("stranger", "b", Some("not-the-token-of-this-test"));
    until("the stranger is refused", || (site.count(REFUSED) > refused).then_some(()));
    assert!(!site.is_ready("stranger"));
    assert_eq!(site.json(&["node", "ls"])["nodes"].as_array().unwrap().len(), 1);
    site.kill_agent("stranger");

    // The token is right, and the name is somebody else's.
    site.stop_agent("a");
    let refused = site.count(REFUSED);
    site.start_agent_as("thief", "a", Some(TOKEN));
    until("the thief is refused twice", || (site.count(REFUSED) >= refused + 2.0).then_some(()));
    assert!(!site.is_ready("thief"));
    assert_eq!(incarnation(&site), 1);
    site.kill_agent("thief");

    site.start_agent_as("a", "a", None);
    site.wait_for_agent("a");
    assert_eq!(incarnation(&site), 2);
    site.deploy(1, "");
}

/// The fingerprint in what an agent says that is not let in.
fn fingerprint(log: &str) -> Option<String> {
    let at = log.rfind("approve-key a sha256:")? + "approve-key a ".len();
    Some(log[at..].chars().take("sha256:".len() + 64).collect())
}

#[test]
fn an_agent_with_nothing_but_a_one_time_token_knows_its_server_and_is_let_in_once_engine() {
    let mut site = Site::over_tls(&[]);
    site.agents_know_the_authority = false;
    let made = site.ok(&["node", "token", "create", "--name", "a", "--label", "zone=a", "--ttl", "10m"]);
    let token = made.trim();
    site.start_agent_as("a", "a", Some(token));
    site.wait_for_agent("a");
    let node = site.node("a");
    assert_eq!((&node["labels"]["zone"], &node["enrollment"]["by"]), (&"a".into(), &"e2e".into()));
    let told = site.ok(&["node", "inspect", "a"]);
    assert!(told.contains("one-time token") && told.contains("sha256:"), "{told}");
    let listed = site.ok(&["node", "token", "ls"]);
    assert!(listed.contains("spent") && !listed.contains(token), "{listed}");

    // The token is gone from its settings, and what it said of the server is kept.
    site.stop_agent("a");
    site.start_agent_as("a", "a", None);
    site.wait_for_agent("a");
    assert_eq!(site.node("a")["incarnation"], 2);

    // Whoever found the token can do nothing with it, and the admin hears of it.
    let refused = site.json(&["audit", "--action", "enrollment.token.refuse"]);
    assert_eq!(refused["audit_logs"].as_array().unwrap().len(), 0);
    site.start_agent_as("thief", "b", Some(token));
    until("the theft is in the audit log", || {
        let refused = site.json(&["audit", "--action", "enrollment.token.refuse"]);
        (refused["audit_logs"].as_array().unwrap().len() == 1).then_some(())
    });
    assert!(!site.is_ready("thief"));
    site.kill_agent("thief");

    // The disk of the machine was lost, and its key with it: an admin approves the new one.
    site.stop_agent("a");
    site.start_agent_as("new-disk", "a", Some(token));
    let key = until("the agent says what helps", || fingerprint(&site.agent_log("new-disk")));
    assert!(!site.is_ready("new-disk"));
    site.ok(&["node", "approve-key", "a", &key]);
    site.wait_for_agent("new-disk");
    assert_eq!(site.node("a")["key_fingerprint"], key.as_str());
    assert!(site.ok(&["node", "inspect", "a"]).contains("an approved key of e2e"));
}
