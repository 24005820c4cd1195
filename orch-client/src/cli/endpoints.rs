//! `orch endpoints SERVICE`: where it is reached.

use orch_core::api::discovery::{Endpoint, EndpointsQuery};
use orch_core::api::endpoint::{GetEndpoints, Nothing};
use orch_core::api::spec::Protocol;

use super::error::CliError;
use super::output::{Output, short};
use super::resolve;
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name or id
    service: String,
    /// Replicas whose health check fails, too
    #[arg(long)]
    include_unhealthy: bool,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    let service = resolve::service(client, &args.service).await?;
    let query = EndpointsQuery { include_unhealthy: args.include_unhealthy };
    let answer = client.call::<GetEndpoints>(&[&service.id], &query, &Nothing {}).await?;
    if out.is_json() {
        return out.json(&answer);
    }
    let row = |endpoint: &Endpoint| {
        let protocol = match endpoint.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        vec![
            format!("{}:{}", host(&endpoint.node_address), endpoint.public_host_port),
            protocol.to_owned(),
            endpoint.container_port.to_string(),
            endpoint.health_status.clone(),
            endpoint.service_version.to_string(),
            short(&endpoint.task_id),
        ]
    };
    out.table(
        &["ADDRESS", "PROTOCOL", "CONTAINER", "HEALTH", "VERSION", "TASK"],
        answer.endpoints.iter().map(row).collect(),
        "no replica of this service can be reached now; `orch service ps` says why",
    )
}

/// The host of a node's advertised address, which may be a URL with a port of its own.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or(rest);
    match rest.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn the_host_is_found_in_every_form_of_address() {
        for (address, expected) in [
            ("10.0.0.1", "10.0.0.1"),
            ("http://10.0.0.1:8081", "10.0.0.1"),
            ("https://node.example/x", "node.example"),
            ("[fd00::1]:8081", "[fd00::1]"),
            ("fd00::1", "fd00::1"),
        ] {
            assert_eq!(host(address), expected);
        }
    }
}
