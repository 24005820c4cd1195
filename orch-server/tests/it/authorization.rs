//! Every row of the table, with every kind of credential: who may not gets 401 or 403, who may gets neither.

use orch_core::api::endpoint::{Access, Pace, Row, TABLE};
use orch_core::identity::Role;

use crate::world::{Answer, World};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn ask(world: &World, row: &Row, token: Option<&str>) -> Answer {
    let path = row.path_with(&[NOBODY]);
    world.send(row.method.as_str(), &path, token, &[], "{}").await
}

/// Answers before a body or an object is looked at: 401 and 403 stand for all that is refused.
fn is_refused(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 401 | 403)
}

#[tokio::test]
async fn every_route_lets_in_exactly_the_roles_that_its_action_names() {
    let world = World::start().await;
    let (_, credential) = world.register("node-a").await;
    for row in TABLE {
        let Access::User(action) = row.access else { continue };
        for role in Role::ALL {
            let allowed = action.least_role().is_some_and(|least| role >= least);
            let answer = ask(&world, row, Some(&world.token(role))).await;
            assert_eq!(is_refused(&answer), !allowed, "{} as {role}: {}", row.name, answer.text);
            if !allowed {
                assert_eq!(
                    (answer.status.as_u16(), answer.code().as_str()),
                    (403, "forbidden"),
                    "{}",
                    row.name
                );
            }
        }
        for stranger in [None, Some("not a token"), Some(credential.as_str())] {
            let answer = ask(&world, row, stranger).await;
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
async fn no_token_of_a_user_is_good_for_a_route_of_agents() {
    let world = World::start().await;
    let (node, _) = world.register("node-a").await;
    let admin = world.token(Role::Admin);
    let task = NOBODY;
    for row in TABLE.iter().filter(|row| row.access == Access::Node) {
        let body = match row.name {
            "AgentReports" => format!(r#"{{"node_id":"{node}","reports":[]}}"#),
            "AgentTaskStatus" => format!(r#"{{"node_id":"{node}","status":"running"}}"#),
            _ => format!(r#"{{"node_id":"{node}"}}"#),
        };
        let body = if row.pace == Pace::Stream { String::new() } else { body };
        let path = format!("{}?node_id={node}", row.path_with(&[task]));
        for token in [None, Some(admin.as_str()), Some("orchn_nonsense")] {
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
