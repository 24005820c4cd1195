//! The router: one line an endpoint; where and with which method stands in the table.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use orch_core::api::endpoint::{self as ep, Endpoint, Method};

use super::{App, handlers as h, layers};

/// All endpoints over an app, with the layers around them.
pub(crate) fn router(app: App) -> Router {
    let parts = Arc::clone(&app.inner);
    layers::around(routes().router.with_state(app), parts)
}

struct Routes {
    router: Router<App>,
    mounted: Vec<&'static str>,
}

impl Routes {
    fn mount<E: Endpoint, T: 'static>(mut self, handler: impl Handler<T, App>) -> Self {
        let method = match E::ROW.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
            Method::Delete => MethodFilter::DELETE,
        };
        self.router = self.router.route(E::ROW.path, on(method, handler));
        self.mounted.push(E::ROW.name);
        self
    }
}

fn routes() -> Routes {
    Routes { router: Router::new(), mounted: Vec::new() }
        .mount::<ep::Healthz, _>(h::health::alive)
        .mount::<ep::Readyz, _>(h::health::ready)
        .mount::<ep::Metrics, _>(h::health::metrics)
        .mount::<ep::GetVersion, _>(h::version::version)
        .mount::<ep::GetOpenApi, _>(h::version::openapi)
        .mount::<ep::GetWhoAmI, _>(h::version::who_am_i)
        .mount::<ep::GetAccess, _>(h::users::access)
        .mount::<ep::ListNodes, _>(h::nodes::list)
        .mount::<ep::GetNode, _>(h::nodes::get)
        .mount::<ep::DrainNode, _>(h::nodes::drain)
        .mount::<ep::UncordonNode, _>(h::nodes::uncordon)
        .mount::<ep::CordonNode, _>(h::nodes::cordon)
        .mount::<ep::GiveUpNode, _>(h::nodes::give_up)
        .mount::<ep::RevokeNode, _>(h::nodes::revoke)
        .mount::<ep::ResetNode, _>(h::nodes::reset)
        .mount::<ep::RemoveNode, _>(h::nodes::remove)
        .mount::<ep::ApproveNodeKey, _>(h::enrollment::approve_key)
        .mount::<ep::CreateEnrollmentToken, _>(h::enrollment::create)
        .mount::<ep::ListEnrollmentTokens, _>(h::enrollment::list)
        .mount::<ep::RevokeEnrollmentToken, _>(h::enrollment::revoke)
        .mount::<ep::GetDrainStatus, _>(h::nodes::drain_status)
        .mount::<ep::CreateService, _>(h::services::create)
        .mount::<ep::ListServices, _>(h::services::list)
        .mount::<ep::GetService, _>(h::services::get)
        .mount::<ep::UpdateService, _>(h::services::update)
        .mount::<ep::Apply, _>(h::services::apply)
        .mount::<ep::Plan, _>(h::services::plan)
        .mount::<ep::Rebalance, _>(h::rebalance::rebalance)
        .mount::<ep::DeleteService, _>(h::services::delete)
        .mount::<ep::GetHistory, _>(h::services::history)
        .mount::<ep::RestartService, _>(h::deployments::restart)
        .mount::<ep::ScaleService, _>(h::services::scale)
        .mount::<ep::GetWhy, _>(h::services::why)
        .mount::<ep::GetTaskWhy, _>(h::tasks::why)
        .mount::<ep::GetNodeWhy, _>(h::nodes::why)
        .mount::<ep::GetEndpoints, _>(h::discovery::endpoints)
        .mount::<ep::ListDiscovery, _>(h::discovery::list)
        .mount::<ep::GetDiscovery, _>(h::discovery::by_name)
        .mount::<ep::RollOut, _>(h::deployments::roll_out)
        .mount::<ep::GetServiceRollout, _>(h::deployments::newest)
        .mount::<ep::RollBack, _>(h::deployments::roll_back)
        .mount::<ep::PauseRollout, _>(h::deployments::pause)
        .mount::<ep::ContinueRollout, _>(h::deployments::go_on)
        .mount::<ep::AbortRollout, _>(h::deployments::abort)
        .mount::<ep::GetRollout, _>(h::deployments::get)
        .mount::<ep::ListTasks, _>(h::tasks::list)
        .mount::<ep::GetTask, _>(h::tasks::get)
        .mount::<ep::ExecTask, _>(h::exec::exec)
        .mount::<ep::ListEvents, _>(h::history::events)
        .mount::<ep::ListAudit, _>(h::history::audit)
        .mount::<ep::GetLogs, _>(h::logs::logs)
        .mount::<ep::GetStats, _>(h::stats::get)
        .mount::<ep::CreateNamespace, _>(h::namespaces::create)
        .mount::<ep::ListNamespaces, _>(h::namespaces::list)
        .mount::<ep::DeleteNamespace, _>(h::namespaces::delete)
        .mount::<ep::ListUsers, _>(h::users::list)
        .mount::<ep::CreateUser, _>(h::users::create)
        .mount::<ep::GetUser, _>(h::users::get)
        .mount::<ep::SetUserRole, _>(h::users::set_role)
        .mount::<ep::DisableUser, _>(h::users::disable)
        .mount::<ep::EnableUser, _>(h::users::enable)
        .mount::<ep::RevokeUserTokens, _>(h::users::revoke_tokens)
        .mount::<ep::RemoveUser, _>(h::users::remove)
        .mount::<ep::ListApiTokens, _>(h::users::tokens)
        .mount::<ep::CreateApiToken, _>(h::users::create_token)
        .mount::<ep::RevokeApiToken, _>(h::users::revoke_token)
        .mount::<ep::AgentChallenge, _>(h::agents::challenge)
        .mount::<ep::AgentRegister, _>(h::agents::register)
        .mount::<ep::AgentHeartbeat, _>(h::agents::heartbeat)
        .mount::<ep::AgentDesired, _>(h::agents::desired)
        .mount::<ep::AgentReports, _>(h::agents::reports)
        .mount::<ep::AgentSecrets, _>(h::agents::secrets)
        .mount::<ep::AgentStream, _>(h::agents::stream)
        .mount::<ep::AgentInput, _>(h::agents::input)
        .mount::<ep::AgentTasks, _>(h::legacy_agents::tasks)
        .mount::<ep::AgentTaskStatus, _>(h::legacy_agents::status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_mounted_once() {
        let mut mounted = routes().mounted;
        let mut table: Vec<_> = ep::TABLE.iter().map(|row| row.name).collect();
        mounted.sort_unstable();
        table.sort_unstable();
        assert_eq!(mounted, table);
    }
}
