//! `orch rebalance`, as a process.

use serde_json::json;

use super::cli::{orch, stderr, stdout};
use super::server::{Reply, Server};

#[tokio::test]
async fn a_rebalance_is_shown_or_carried_out_and_watched_to_its_end() {
    let server = Server::start(|asked, before| {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/rebalance"));
        let one =
            json!({"task_id": "t", "name": "web.1", "from": "a", "to": "b", "reason": "fewer beside it"});
        let applies = asked.json()["apply"] == true;
        assert_eq!((applies, &asked.json()["at_most"]), (before > 0, &json!(if applies { 2 } else { 5 })));
        // What is on its way is no move any more, and then it has arrived.
        let (moves, under_way) = match before {
            0 | 1 => (json!([one]), 0),
            2 => (json!([]), 1),
            _ => (json!([]), 0),
        };
        let skipped = json!([{"service": "db", "reason": "a stateful replica keeps its node"}]);
        let begun = u32::from(before == 1);
        Reply::Json(200, json!({"moves": moves, "under_way": under_way, "begun": begun, "skipped": skipped}))
    })
    .await;
    let env = [("ORCH_SERVER_URL", server.url.as_str())];
    assert_eq!(orch(&["rebalance"], &env).await.status.code(), Some(64), "one of the two must be said");
    let ended = orch(&["rebalance", "--plan"], &env).await;
    assert!(stdout(&ended).contains("web.1    a     b   fewer beside it"), "{}", stdout(&ended));
    assert!(stderr(&ended).contains("db: left alone: a stateful replica"), "{}", stderr(&ended));
    let ended = orch(&["rebalance", "--apply", "--at-most", "2"], &env).await;
    assert_eq!(stdout(&ended), "balanced; 1 replica moved\n", "{}", stderr(&ended));
    assert!(stderr(&ended).contains("web.1 leaves a for b: fewer beside it"), "{}", stderr(&ended));
    assert!(stderr(&ended).contains("1 on their way, 0 to go"), "{}", stderr(&ended));
}
