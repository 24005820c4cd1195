//! Every row of the table, with every kind of credential: who may not gets 401 or 403, who may gets neither.

use orch_core::api::endpoint::{Access, Pace, Row, TABLE};
use orch_core::identity::Role;
use orch_core::secret::Secret;

use crate::world::{Answer, JWT_SECRET, World};

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn ask(world: &World, row: &Row, token: Option<&str>) -> Answer {
    let path = row.path_with(&[NOBODY, NOBODY]);
    world.send(row.method.as_str(), &path, token, &[], "{}").await
}

/// Answers before a body or an object is looked at: 401 and 403 stand for all that is refused.
fn is_refused(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 401 | 403)
}

/// The kinds of credentials that a user may show, with a role.
async fn credentials(world: &World, role: Role) -> Vec<(&'static str, String)> {
    let given = format!("given-{role}");
    let body = serde_json::json!({"name": given, "role": role});
    world.post("/v1/users", &body).await.expect(201);
    // What his token says is the opposite of what the cluster gave him.
    let other = if role == Role::Viewer { Role::Admin } else { Role::Viewer };
    vec![
        ("token of ours", world.token(role)),
        ("token of one whose role the cluster gave", world.newer_token_of(&given, other)),
        ("API token", world.api_token(&format!("account-{role}"), role).await),
    ]
}

/// What is worth nothing, each for a reason of its own.
async fn worthless(world: &World, credential: String) -> Vec<(&'static str, Option<String>)> {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let good = world.token(Role::Admin);
    let (message, _) = good.rsplit_once('.').unwrap();
    let (_, claims) = message.split_once('.').unwrap();
    let by_another = {
        let (secret, now) =
            (Secret::new("another secret of 32 bytes or more".to_owned()), world.control.now());
        let hour = std::time::Duration::from_secs(3600);
        let minted = orch_auth::jwt::mint(&secret, &"alice".parse().unwrap(), Role::Admin, hour, now);
        minted.unwrap().expose().clone()
    };
    let expired = {
        let (secret, then) = (Secret::new(JWT_SECRET.to_owned()), world.control.now() - DAY);
        let minted = orch_auth::jwt::mint(&secret, &"alice".parse().unwrap(), Role::Admin, DAY, then);
        minted.unwrap().expose().clone()
    };
    let disabled = world.token_of("disabled", Role::Admin);
    world.post("/v1/users/disabled/disable", &serde_json::json!({})).await.expect(200);
    let taken_back = world.token_of("careless", Role::Admin);
    world.post("/v1/users/careless/revoke-tokens", &serde_json::json!({})).await.expect(200);
    let revoked = world.api_token("revoked", Role::Admin).await;
    let admin = world.token(Role::Admin);
    world.send("DELETE", "/v1/users/revoked/tokens/t", Some(&admin), &[], "").await.expect(204);
    let of_disabled = world.api_token("switched-off", Role::Admin).await;
    world.post("/v1/users/switched-off/disable", &serde_json::json!({})).await.expect(200);
    vec![
        ("nothing", None),
        ("garbage", Some("not a token".to_owned())),
        ("a node's credential", Some(credential)),
        ("another key", Some(by_another)),
        ("algorithm none", Some(format!("{}.{claims}.", encode(r#"{"alg":"none"}"#)))),
        ("no signature", Some(format!("{message}."))),
        ("an expired token", Some(expired)),
        ("a disabled user", Some(disabled)),
        ("a token that was taken back", Some(taken_back)),
        ("a revoked API token", Some(revoked)),
        ("an API token of a disabled account", Some(of_disabled)),
        ("the form of an API token", Some("orchu_AAAA".to_owned())),
    ]
}

#[tokio::test]
async fn every_route_lets_in_exactly_the_roles_that_its_action_names_whatever_they_show() {
    let world = World::start().await;
    let (_, credential) = world.register("node-a").await;
    let mut shown = Vec::new();
    for role in Role::ALL {
        shown.extend(credentials(&world, role).await.into_iter().map(|(kind, token)| (role, kind, token)));
    }
    let worthless = worthless(&world, credential).await;
    for row in TABLE {
        let Access::User(action) = row.access else { continue };
        for (role, kind, token) in &shown {
            let allowed = action.least_role().is_some_and(|least| *role >= least);
            let answer = ask(&world, row, Some(token)).await;
            assert_eq!(is_refused(&answer), !allowed, "{} as {role} by {kind}: {}", row.name, answer.text);
            if !allowed {
                let found = (answer.status.as_u16(), answer.code());
                assert_eq!((found.0, found.1.as_str()), (403, "forbidden"), "{} by {kind}", row.name);
            }
        }
        for (kind, token) in &worthless {
            let answer = ask(&world, row, token.as_deref()).await;
            let found = (answer.status.as_u16(), answer.code());
            assert_eq!((found.0, found.1.as_str()), (401, "unauthorized"), "{} by {kind}", row.name);
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn no_token_of_a_user_is_good_for_a_route_of_agents() {
    let world = World::start().await;
    let (node, _) = world.register("node-a").await;
    let admin = world.token(Role::Admin);
    let api_token = world.api_token("ci", Role::Admin).await;
    let task = NOBODY;
    for row in TABLE.iter().filter(|row| row.access == Access::Node) {
        let body = match row.name {
            "AgentReports" => format!(r#"{{"node_id":"{node}","reports":[]}}"#),
            "AgentTaskStatus" => format!(r#"{{"node_id":"{node}","status":"running"}}"#),
            _ => format!(r#"{{"node_id":"{node}"}}"#),
        };
        let body = if row.pace == Pace::Stream { String::new() } else { body };
        let path = format!("{}?node_id={node}", row.path_with(&[task]));
        for token in [None, Some(admin.as_str()), Some(api_token.as_str()), Some("orchn_nonsense")] {
            let answer = world.send(row.method.as_str(), &path, token, &[], body.clone()).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (401, "unauthorized"),
                "{}",
                row.name
            );
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_node_is_let_in_as_itself_only() {
    let world = World::start().await;
    let (_, credential) = world.register("node-a").await;
    let (other, _) = world.register("node-b").await;
    let answer =
        world.send("GET", &format!("/v1/agent/tasks?node_id={other}"), Some(&credential), &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "unauthorized"));
    world.stop().await;
}

#[tokio::test]
async fn a_wrong_registration_token_admits_nobody() {
    let world = World::start().await;
    let body = r#"{"node_name":"x","advertise_address":"a","agent_version":"0.3.0"}"#;
    for token in [None, Some("a wrong token"), Some(world.token(Role::Admin).as_str())] {
        let answer = world.send("POST", "/v1/agent/register", token, &[], body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "unauthorized"), "{token:?}");
    }
    assert_eq!(world.control.image().nodes().count(), 0);
    world.stop().await;
}

#[tokio::test]
async fn open_routes_ask_nobody() {
    let world = World::start().await;
    for row in TABLE.iter().filter(|row| row.access == Access::Open) {
        assert!(!is_refused(&ask(&world, row, None).await), "{}", row.name);
    }
    world.stop().await;
}
