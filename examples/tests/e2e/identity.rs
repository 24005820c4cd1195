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
