//! The daemon's settings: flag, then environment, then YAML file, then default. A blank value counts as unset.

mod images;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use orch_agent::{ImageCleanup, NodePolicy, machine};
use orch_auth::enrollment::server_pin;
use orch_core::identity::ServerPin;
use orch_core::name::NodeName;
use orch_core::node::NodeFacts;
use orch_core::secret::Secret;
use serde::Deserialize;

use super::folder;

/// Runs the tasks of one node of an orch cluster.
#[derive(Parser, Debug)]
#[command(name = "orch-agent", version, about)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) flags: Flags,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Looks at the configuration.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// The same as `config print`.
    CheckConfig,
    /// Writes the manual page, orch-agent.8.
    Man {
        /// Where to: a folder that is there.
        folder: PathBuf,
    },
}

#[derive(Subcommand, Debug)]
pub(crate) enum ConfigAction {
    /// Prints the effective configuration, secrets redacted.
    Print,
}

/// One value a setting, from flag or environment.
#[derive(Args, Debug, Default)]
pub(crate) struct Flags {
    /// A YAML file with any of these settings.
    #[arg(long, global = true)]
    pub(crate) config: Option<PathBuf>,
    /// The node's name [default: the host name].
    #[arg(long, global = true, env = "ORCH_NODE_NAME")]
    node_name: Option<String>,
    /// Where the node's published ports are reached [default: 127.0.0.1].
    #[arg(long, global = true, env = "ORCH_ADVERTISE_ADDRESS")]
    advertise_address: Option<String>,
    /// Where the agent answers /healthz, /readyz and /metrics [default: 127.0.0.1:8081].
    #[arg(long, global = true, env = "ORCH_AGENT_ADDR")]
    agent_addr: Option<String>,
    /// `key=value,key=value` [default: none].
    #[arg(long, global = true, env = "ORCH_NODE_LABELS")]
    labels: Option<String>,
    /// Control plane URLs, comma-separated [default: http://127.0.0.1:8080].
    #[arg(long, global = true, env = "ORCH_SERVER_URL")]
    server_url: Option<String>,
    /// The token that lets the node in the first time: a one-time token (orche_…), or the static one.
    #[arg(
        long,
        visible_alias = "token",
        global = true,
        env = "ORCH_AGENT_REGISTRATION_TOKEN",
        hide_env_values = true
    )]
    bootstrap_token: Option<String>,
    /// The engine's socket [default: that of DOCKER_HOST, else /var/run/docker.sock].
    #[arg(long, global = true, env = "ORCH_DOCKER_SOCKET")]
    docker_socket: Option<PathBuf>,
    /// Where the files of secrets are kept; must be on a tmpfs [default: /run/orch/secrets].
    #[arg(long, global = true, env = "ORCH_SECRETS_TMPFS")]
    secrets_tmpfs: Option<PathBuf>,
    /// error, warn, info, debug, trace, or a filter of targets [default: info].
    #[arg(long, global = true, env = "ORCH_LOG_LEVEL")]
    log_level: Option<String>,
    /// Heartbeats are sent at least so often; the control plane may ask for more [default: 5s].
    #[arg(long, global = true, env = "ORCH_AGENT_HEARTBEAT_INTERVAL")]
    heartbeat_interval: Option<String>,
    /// How long a stopping agent tries to say goodbye [default: 10s].
    #[arg(long, global = true, env = "ORCH_SHUTDOWN_TIMEOUT")]
    shutdown_timeout: Option<String>,
    /// Where the node key and the last desired set are kept [default: /var/lib/orch-agent for root, else ~/.local/state/orch-agent].
    #[arg(long, global = true, env = "ORCH_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// What runs the containers [default: docker].
    #[arg(long, global = true, env = "ORCH_RUNTIME")]
    runtime: Option<RuntimeKind>,
    /// The authorities that the control plane's certificate is checked against, PEM [default: the system's].
    #[arg(long, global = true, env = "ORCH_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// Allows plain HTTP to a control plane on another machine [default: false].
    #[arg(long, global = true, env = "ORCH_INSECURE", num_args = 0..=1, default_missing_value = "true")]
    insecure: Option<String>,
    /// Containers started at the same time [default: four a core, 8 to 16].
    #[arg(long, global = true, env = "ORCH_START_CONCURRENCY")]
    start_concurrency: Option<usize>,
    /// Dead containers of a task that stay for their logs, 1 to 20 [default: 1].
    #[arg(long, global = true, env = "ORCH_KEEP_DEAD")]
    keep_dead: Option<usize>,
    #[command(flatten)]
    images: images::ImageFlags,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RuntimeKind {
    /// A Docker Engine.
    #[default]
    Docker,
    /// Plain child processes, without isolation.
    Process,
}

/// The YAML file. What it does not know is refused.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    node_name: Option<String>,
    advertise_address: Option<String>,
    agent_addr: Option<String>,
    labels: BTreeMap<String, String>,
    server_url: Option<String>,
    bootstrap_token: Option<String>,
    docker_socket_path: Option<PathBuf>,
    secrets_tmpfs: Option<PathBuf>,
    log_level: Option<String>,
    heartbeat_interval: Option<String>,
    graceful_shutdown_ttl: Option<String>,
    data_dir: Option<PathBuf>,
    runtime: Option<RuntimeKind>,
    ca_file: Option<PathBuf>,
    insecure: Option<bool>,
    start_concurrency: Option<usize>,
    keep_dead: Option<usize>,
    images: images::FileImages,
    policy: FilePolicy,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields, default)]
struct FilePolicy {
    allow_privileged: bool,
    allow_host_network: bool,
    allow_host_pid: bool,
    allowed_capabilities: Vec<String>,
    allowed_host_path_prefixes: Vec<String>,
}

/// What is wrong with the settings: all of it at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problems(pub(crate) Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// The effective settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) node_name: NodeName,
    pub(crate) advertise_address: String,
    pub(crate) agent_addr: SocketAddr,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) servers: Vec<String>,
    pub(crate) token: Option<Secret<String>>,
    /// What the token says of the server.
    pub(crate) server_pin: Option<ServerPin>,
    pub(crate) docker_socket: Option<PathBuf>,
    pub(crate) secrets_tmpfs: Option<PathBuf>,
    pub(crate) log_level: String,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) data_dir: PathBuf,
    pub(crate) runtime: RuntimeKind,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) insecure: bool,
    pub(crate) start_concurrency: Option<usize>,
    pub(crate) keep_dead: usize,
    pub(crate) images: Option<ImageCleanup>,
    pub(crate) policy: NodePolicy,
}

impl Settings {
    /// Reads the file that the flags name, and the older names of variables.
    pub(crate) fn load(flags: Flags) -> Result<Self, Problems> {
        let file = match &flags.config {
            None => File::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Problems(vec![format!("{}: {error}", path.display())]))?;
                parse_file(&text).map_err(|why| Problems(vec![format!("{}: {why}", path.display())]))?
            }
        };
        Self::merge(flags, file, &|name| std::env::var(name).ok())
    }

    fn merge(flags: Flags, file: File, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let name = text(flags.node_name)
            .or_else(|| text(variable("ORCH_NODE_ID")))
            .or_else(|| text(file.node_name))
            .or_else(machine::host_name)
            .unwrap_or_else(|| "local-node".to_owned());
        let node_name = keep(&mut problems, "node name", name.parse::<NodeName>());
        let address = text(flags.agent_addr).or_else(|| text(file.agent_addr));
        let address = address.unwrap_or_else(|| "127.0.0.1:8081".to_owned());
        let address = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address };
        let agent_addr = keep(&mut problems, "agent address", address.parse::<SocketAddr>());
        let labels = match text(flags.labels) {
            Some(pairs) => parse_labels(&pairs, &mut problems),
            None => file.labels,
        };
        for key in labels.keys().filter(|key| NodeFacts::KEYS.contains(&key.as_str())) {
            problems.push(format!(
                "label {key}: that is a fact, which the agent finds itself; choose another key"
            ));
        }
        let servers = text(flags.server_url).or_else(|| text(file.server_url));
        let servers = servers.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
        let servers = servers.split(',').map(|url| url.trim().to_owned()).filter(|u| !u.is_empty()).collect();
        let insecure = match text(flags.insecure) {
            Some(word) => keep(&mut problems, "insecure", parse_bool(&word)).unwrap_or_default(),
            None => file.insecure.unwrap_or_default(),
        };
        let token = text(flags.bootstrap_token)
            .or_else(|| text(variable("ORCH_BOOTSTRAP_TOKEN")))
            .or_else(|| text(file.bootstrap_token));
        if token.as_deref() == Some("dev-bootstrap-token") && !insecure {
            problems.push("bootstrap token: the well-known default is refused; choose another".to_owned());
        }
        let token = token.map(Secret::new);
        let pin = token.as_ref().map_or(Ok(None), server_pin);
        let server_pin = keep(&mut problems, "bootstrap token", pin).flatten();
        let mut duration = |what, flag, file, default: &str| {
            let given = text(flag).or_else(|| text(file)).unwrap_or_else(|| default.to_owned());
            keep(&mut problems, what, parse_duration(&given)).unwrap_or_default()
        };
        let heartbeat_interval =
            duration("heartbeat interval", flags.heartbeat_interval, file.heartbeat_interval, "5s");
        let shutdown_timeout =
            duration("shutdown timeout", flags.shutdown_timeout, file.graceful_shutdown_ttl, "10s");
        let start_concurrency = flags.start_concurrency.or(file.start_concurrency);
        if start_concurrency == Some(0) {
            problems.push("start concurrency: must be at least 1".to_owned());
        }
        let keep_dead = flags.keep_dead.or(file.keep_dead).unwrap_or(1);
        if !(1..=20).contains(&keep_dead) {
            problems.push("keep dead: must be 1 to 20".to_owned());
        }
        let images = images::merge(flags.images, file.images, &mut problems);
        let mut policy = NodePolicy::default();
        policy.allow_privileged = file.policy.allow_privileged;
        policy.allow_host_network = file.policy.allow_host_network;
        policy.allow_host_pid = file.policy.allow_host_pid;
        policy.allowed_host_path_prefixes = file.policy.allowed_host_path_prefixes.into_iter().collect();
        for capability in &file.policy.allowed_capabilities {
            let capability = keep(&mut problems, "policy.allowed_capabilities", capability.parse());
            policy.allowed_capabilities.extend(capability);
        }
        let docker_socket = flags.docker_socket.or(file.docker_socket_path);
        if let Some(socket) = &docker_socket {
            policy.engine_sockets.insert(socket.display().to_string());
        }
        let (Some(node_name), Some(agent_addr), true) = (node_name, agent_addr, problems.is_empty()) else {
            return Err(Problems(problems));
        };
        let advertise_address = text(flags.advertise_address).or_else(|| text(file.advertise_address));
        Ok(Self {
            node_name,
            advertise_address: advertise_address.unwrap_or_else(|| "127.0.0.1".to_owned()),
            agent_addr,
            labels,
            servers,
            token,
            server_pin,
            docker_socket,
            secrets_tmpfs: flags.secrets_tmpfs.or(file.secrets_tmpfs),
            log_level: text(flags.log_level)
                .or_else(|| text(file.log_level))
                .unwrap_or_else(|| "info".to_owned()),
            heartbeat_interval,
            shutdown_timeout,
            data_dir: flags.data_dir.or(file.data_dir).unwrap_or_else(folder::data_dir),
            runtime: flags.runtime.or(file.runtime).unwrap_or_default(),
            ca_file: flags.ca_file.or(file.ca_file),
            insecure,
            start_concurrency,
            keep_dead,
            images,
            policy,
        })
    }
}

/// As the YAML file would have it, secrets redacted.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let path = |path: &Option<PathBuf>| {
            path.as_ref().map_or("null".to_owned(), |path| quoted(&path.display().to_string()))
        };
        let list = |items: Vec<&str>| serde_json::Value::from(items).to_string();
        writeln!(f, "node_name: {}", quoted(self.node_name.as_str()))?;
        writeln!(f, "advertise_address: {}", quoted(&self.advertise_address))?;
        writeln!(f, "agent_addr: {}", quoted(&self.agent_addr.to_string()))?;
        writeln!(f, "labels: {}", serde_json::json!(self.labels))?;
        writeln!(f, "server_url: {}", quoted(&self.servers.join(",")))?;
        writeln!(f, "bootstrap_token: {}", if self.token.is_some() { "\"[REDACTED]\"" } else { "null" })?;
        writeln!(f, "docker_socket_path: {}", path(&self.docker_socket))?;
        writeln!(f, "secrets_tmpfs: {}", path(&self.secrets_tmpfs))?;
        writeln!(f, "log_level: {}", quoted(&self.log_level))?;
        writeln!(f, "heartbeat_interval: {}ms", self.heartbeat_interval.as_millis())?;
        writeln!(f, "graceful_shutdown_ttl: {}ms", self.shutdown_timeout.as_millis())?;
        writeln!(f, "data_dir: {}", quoted(&self.data_dir.display().to_string()))?;
        let runtime = match self.runtime {
            RuntimeKind::Docker => "docker",
            RuntimeKind::Process => "process",
        };
        writeln!(f, "runtime: {runtime}")?;
        writeln!(f, "ca_file: {}", path(&self.ca_file))?;
        writeln!(f, "insecure: {}", self.insecure)?;
        let starts = self.start_concurrency.map_or("null".to_owned(), |starts| starts.to_string());
        writeln!(f, "start_concurrency: {starts}")?;
        writeln!(f, "keep_dead: {}", self.keep_dead)?;
        images::write(self.images.as_ref(), f)?;
        writeln!(f, "policy:")?;
        writeln!(f, "  allow_privileged: {}", self.policy.allow_privileged)?;
        writeln!(f, "  allow_host_network: {}", self.policy.allow_host_network)?;
        writeln!(f, "  allow_host_pid: {}", self.policy.allow_host_pid)?;
        let capabilities = self.policy.allowed_capabilities.iter().map(|c| c.as_str()).collect();
        writeln!(f, "  allowed_capabilities: {}", list(capabilities))?;
        let prefixes = self.policy.allowed_host_path_prefixes.iter().map(String::as_str).collect();
        writeln!(f, "  allowed_host_path_prefixes: {}", list(prefixes))
    }
}

fn parse_file(text: &str) -> Result<File, String> {
    if text.trim().is_empty() {
        return Ok(File::default());
    }
    // No snippet in the message: it would quote the file, and the file may hold a token.
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! { max_nodes: 1_000, max_aliases: 10, max_depth: 8 },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

fn text(value: Option<String>) -> Option<String> {
    value.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn keep<T, E: fmt::Display>(problems: &mut Vec<String>, what: &str, value: Result<T, E>) -> Option<T> {
    value.map_err(|error| problems.push(format!("{what}: {error}"))).ok()
}

fn parse_labels(pairs: &str, problems: &mut Vec<String>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for pair in pairs.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                labels.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            _ => problems.push(format!("labels: `{pair}` is not of the form key=value")),
        }
    }
    labels
}

fn parse_bool(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Ok(true),
        "false" | "f" | "0" => Ok(false),
        _ => Err("expected true, false, 1 or 0".to_owned()),
    }
}

/// `10s`, `500ms`, `5m`, `720h`, or a bare number of seconds; more than zero.
fn parse_duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a time like 500ms, 10s, 5m or 1h, more than zero";
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| EXPECTED.to_owned())?;
    let millis = match &text[digits..] {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    millis.filter(|millis| *millis > 0).map(Duration::from_millis).ok_or_else(|| EXPECTED.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str]) -> Flags {
        Cli::try_parse_from(std::iter::once(&"orch-agent").chain(args)).unwrap().flags
    }

    #[test]
    fn a_flag_wins_over_an_older_variable_and_that_over_the_file() {
        let file = || parse_file("node_name: from-file\nserver_url: http://a:1, http://b:2\n").unwrap();
        let variable = |name: &str| (name == "ORCH_NODE_ID").then(|| "from-variable".to_owned());
        let none = |_: &str| None;
        let merged = Settings::merge(flags(&["--node-name", "from-flag"]), file(), &variable).unwrap();
        assert_eq!(merged.node_name.as_str(), "from-flag");
        let merged = Settings::merge(flags(&["--node-name", " "]), file(), &variable).unwrap();
        assert_eq!(merged.node_name.as_str(), "from-variable");
        let merged = Settings::merge(flags(&[]), file(), &none).unwrap();
        assert_eq!(merged.node_name.as_str(), "from-file");
        assert_eq!(merged.servers, ["http://a:1", "http://b:2"]);
        assert_eq!(merged.agent_addr, "127.0.0.1:8081".parse().unwrap());
    }

    #[test]
    fn what_is_printed_can_be_read_back_and_holds_no_token() {
        let given = ["--bootstrap-token", "hunter2", "--labels", "zone=a,disk=ssd", "--agent-addr", ":9"];
        let images = ["--image-high-percent", "70", "--image-low-percent", "60", "--image-budget-bytes", "9"];
        let given = [&given[..], &["--secrets-tmpfs", "/dev/shm/orch"], &images].concat();
        let settings = Settings::merge(flags(&given), File::default(), &|_| None).unwrap();
        assert_eq!(settings.secrets_tmpfs.as_deref(), Some(std::path::Path::new("/dev/shm/orch")));
        let printed = settings.to_string();
        assert!(!printed.contains("hunter2"), "{printed}");
        let again = Settings::merge(flags(&[]), parse_file(&printed).unwrap(), &|_| None).unwrap();
        assert_eq!(again.to_string(), printed);
    }

    #[test]
    fn a_one_time_token_says_what_its_server_is_known_by_and_half_of_one_is_refused() {
        use orch_auth::{enrollment::OneTimeTokens, key::ServerKey};
        use orch_core::{id::IdStream, identity::EnrollmentTokenIssuer as _};
        let key = ServerKey::derive(&Secret::new("0123456789abcdef".to_owned())).unwrap();
        let (id, pin) = (IdStream::seeded(1).next(), ServerPin([7; 32]));
        let token = OneTimeTokens::new(key).issue_token(id, Some(&pin), [3; 32]).token;
        let given = ["--token", token.expose()];
        let settings = Settings::merge(flags(&given), File::default(), &|_| None).unwrap();
        assert_eq!((settings.server_pin, settings.token.is_some()), (Some(pin), true));
        let half = &token.expose()[..40];
        let problems = Settings::merge(flags(&["--token", half]), File::default(), &|_| None).unwrap_err();
        assert!(problems.0[0].contains("copy it whole") && !problems.0[0].contains(half), "{problems}");
        let other = Settings::merge(flags(&["--token", "a static token"]), File::default(), &|_| None);
        assert_eq!(other.unwrap().server_pin, None);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_and_nothing_unknown_is_taken() {
        let given = ["--labels", "x", "--heartbeat-interval", "0", "--node-name", "a b", "--insecure", "no"];
        let problems = Settings::merge(flags(&given), File::default(), &|_| None).unwrap_err();
        assert_eq!(problems.0.len(), 4, "{problems}");
        let unknown = parse_file("bootstrap_token: hunter2\nnode_nmae: x\n").unwrap_err();
        assert!(unknown.contains("node_nmae") && !unknown.contains("hunter2"), "{unknown}");
        let marks = flags(&["--image-high-percent", "70"]);
        assert!(Settings::merge(marks, File::default(), &|_| None).is_err(), "the low mark is above it");
        let off = Settings::merge(flags(&["--image-cleanup", "false"]), File::default(), &|_| None).unwrap();
        assert_eq!(off.images, None);
        let known = flags(&["--bootstrap-token", "dev-bootstrap-token"]);
        assert!(Settings::merge(known, File::default(), &|_| None).is_err());
    }
}
