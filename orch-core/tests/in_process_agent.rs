//! The agent API of a control plane in the same process keeps the promises of the trait.

use orch_core::control_plane::{AgentConnection, ControlPlane};

orch_core::agent_api_contract!(in_process => |plane: ControlPlane| async move {
    (plane.agent_api(AgentConnection::default()), ())
});
