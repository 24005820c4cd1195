//! The surface of the crate: deploy files, calls over real sockets, the agent's side, and the command itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agent;
mod calls;
mod cli;
mod cli_node_token;
mod cli_rebalance;
mod deploy_file;
mod deploy_file_bad_input;
mod examples;
mod server;
mod tls;
