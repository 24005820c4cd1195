//! A cluster of real processes for one test: what it needs is in one temporary folder, and all it made goes with it.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::binaries::program;
use crate::daemon::{Daemon, inherited};
use crate::engine::{self, Container};
use crate::http;
use crate::poll::until;
use crate::processes;
use crate::tls::Files;

/// What admits agents here.
pub(crate) const TOKEN: &str = "a-registration-token-of-this-test";
const JWT_SECRET: &str = "a-key-that-signs-the-tokens-of-this-test";
const SECRET_KEY: &str = "what-the-keys-of-this-test-derive-from";

/// How an `orch` command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// An agent's process, and where it answers for itself.
struct Agent {
    daemon: Daemon,
    port: u16,
}

/// The cluster.
pub(crate) struct Site {
    pub(crate) image: String,
    pub(crate) cluster: String,
    port: u16,
    user: String,
    server: Option<Daemon>,
    agents: BTreeMap<String, Agent>,
    runtime: &'static str,
    /// More of the environment of agents that are started from now on.
    pub(crate) agent_env: Vec<(&'static str, &'static str)>,
    /// All connections are TLS.
    tls: Option<Files>,
    /// Agents that are started from now on are given the authority's file.
    pub(crate) agents_know_the_authority: bool,
    /// Agents that reach server and engine by a way of their own: a port, and a socket.
    wires: BTreeMap<String, (u16, PathBuf)>,
    folder: TempDir,
    /// On a tmpfs.
    memory: TempDir,
}

impl Site {
    /// A server, and agents of these names that are ready, on the Docker Engine.
    pub(crate) fn start(agents: &[&str]) -> Self {
        Self::on("docker", agents)
    }

    /// The same, on that runtime.
    pub(crate) fn on(runtime: &'static str, agents: &[&str]) -> Self {
        Self::set_up(runtime, false, agents)
    }

    /// The same on the Docker Engine, with TLS between all of them and an authority that nobody else knows.
    pub(crate) fn over_tls(agents: &[&str]) -> Self {
        Self::set_up("docker", true, agents)
    }

    fn set_up(runtime: &'static str, tls: bool, agents: &[&str]) -> Self {
        let folder = TempDir::with_prefix("orch-e2e-").unwrap();
        let unique = folder.path().file_name().unwrap().to_string_lossy().to_ascii_lowercase();
        let mut site = Self {
            image: format!("orch-e2e/{}", unique.replace('.', "")),
            cluster: String::new(),
            port: free_port(),
            user: String::new(),
            server: None,
            agents: BTreeMap::new(),
            runtime,
            agent_env: Vec::new(),
            wires: BTreeMap::new(),
            tls: tls.then(|| Files::make(folder.path())),
            agents_know_the_authority: true,
            folder,
            memory: TempDir::with_prefix_in("orch-e2e-", "/dev/shm").unwrap(),
        };
        engine::import(&site.image);
        site.user = site.ok(&["token", "mint", "--sub", "e2e", "--role", "admin"]).trim().to_owned();
        site.start_server();
        let version = site.json(&["version"]);
        site.cluster = version["server"]["cluster_id"].as_str().unwrap().to_owned();
        agents.iter().for_each(|name| site.start_agent(name));
        agents.iter().for_each(|name| site.wait_for_agent(name));
        site
    }

    /// The server's port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The agent of that name reaches the server on that port, and the engine at that socket, from its next start on.
    pub(crate) fn wired(&mut self, name: &str, port: u16, socket: &Path) {
        self.wires.insert(name.to_owned(), (port, socket.to_owned()));
    }

    /// Sends a signal to the server: `STOP`, say.
    pub(crate) fn signal_server(&self, signal: &str) {
        self.server.as_ref().unwrap().signal(signal);
    }

    /// The same to an agent.
    pub(crate) fn signal_agent(&self, name: &str, signal: &str) {
        self.agents[name].daemon.signal(signal);
    }

    /// Where the server is.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn start_server(&mut self) {
        let address = format!("127.0.0.1:{}", self.port);
        let env = [
            ("ORCH_SERVER_ADDR", address.as_str()),
            ("ORCH_DATA_DIR", self.path("server").to_str().unwrap()),
            ("ORCH_JWT_SECRET", JWT_SECRET),
            ("ORCH_SECRET_KEY", SECRET_KEY),
            ("ORCH_AGENT_REGISTRATION_TOKEN", TOKEN),
            ("ORCH_LOG_LEVEL", "debug,sqlx=info,hyper=info"),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        let tls = self.tls.as_ref().map_or_else(Vec::new, Files::server_flags);
        let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
        self.server = Some(Daemon::start("orch-server", &self.path("server.log"), &env, &tls));
        until("the server is ready", || match &self.tls {
            Some(_) => (self.orch(&["whoami"]).code == 0).then_some(()),
            None => http::get(self.port, "/readyz").ok().filter(|(status, _)| *status == 200).map(drop),
        });
    }

    pub(crate) fn kill_server(&mut self) {
        self.server.take().unwrap().kill();
    }

    pub(crate) fn stop_server(&mut self) {
        self.server.take().unwrap().stop();
    }

    /// What the server has logged.
    pub(crate) fn server_log(&self) -> String {
        self.server.as_ref().unwrap().log()
    }

    /// What the server counted under a name, over all labels.
    pub(crate) fn count(&self, metric: &str) -> f64 {
        counted(self.port, metric)
    }

    /// What an agent counted under a name, over all labels.
    pub(crate) fn agent_count(&self, name: &str, metric: &str) -> f64 {
        counted(self.agents[name].port, metric)
    }

    /// Starts the agent of that name, with the data folder of that name.
    pub(crate) fn start_agent(&mut self, name: &str) {
        self.start_agent_as(name, name, Some(TOKEN));
    }

    /// Starts an agent with that data folder, node name and token.
    pub(crate) fn start_agent_as(&mut self, folder: &str, node: &str, token: Option<&str>) {
        let port = free_port();
        let mut env = vec![
            ("ORCH_NODE_NAME", node.to_owned()),
            ("ORCH_SERVER_URL", self.url()),
            ("ORCH_AGENT_ADDR", format!("127.0.0.1:{port}")),
            ("ORCH_DATA_DIR", self.agent_folder(folder).to_str().unwrap().to_owned()),
            ("ORCH_SECRETS_TMPFS", self.memory.path().to_str().unwrap().to_owned()),
            ("ORCH_LOG_LEVEL", "debug,hyper=info".to_owned()),
        ];
        env.extend(self.agent_env.iter().map(|(name, value)| (*name, (*value).to_owned())));
        if let Some((port, socket)) = self.wires.get(folder) {
            env.push(("ORCH_SERVER_URL", format!("http://127.0.0.1:{port}")));
            env.push(("DOCKER_HOST", format!("unix://{}", socket.display())));
        }
        env.extend(token.map(|token| ("ORCH_AGENT_REGISTRATION_TOKEN", token.to_owned())));
        let log = self.path(&format!("agent-{folder}.log"));
        let mut flags = vec!["--runtime", self.runtime];
        if let Some(files) = self.tls.as_ref().filter(|_| self.agents_know_the_authority) {
            flags.extend(["--ca-file", files.authority.to_str().unwrap()]);
        }
        let daemon = Daemon::start("orch-agent", &log, &env, &flags);
        self.agents.insert(folder.to_owned(), Agent { daemon, port });
    }

    pub(crate) fn agent_folder(&self, name: &str) -> PathBuf {
        self.path(&format!("agent-{name}"))
    }

    pub(crate) fn agent_log(&self, name: &str) -> String {
        self.agents[name].daemon.log()
    }

    /// Whether an agent says that it is in, and can work.
    pub(crate) fn is_ready(&self, name: &str) -> bool {
        http::get(self.agents[name].port, "/readyz").is_ok_and(|(status, _)| status == 200)
    }

    pub(crate) fn wait_for_agent(&self, name: &str) {
        until(&format!("agent {name} is ready"), || self.is_ready(name).then_some(()));
    }

    pub(crate) fn has_agent(&self, name: &str) -> bool {
        self.agents.contains_key(name)
    }

    pub(crate) fn kill_agent(&mut self, name: &str) {
        self.agents.remove(name).unwrap().daemon.kill();
    }

    pub(crate) fn stop_agent(&mut self, name: &str) {
        self.agents.remove(name).unwrap().daemon.stop();
    }

    /// Runs `orch` as the admin.
    pub(crate) fn orch(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// The same command, for one who wants to watch it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("orch"));
        command.args(arguments).env_clear().envs(inherited()).env("HOME", self.folder.path());
        command.env("ORCH_SERVER_URL", self.url());
        command.env("ORCH_TOKEN", &self.user).env("ORCH_JWT_SECRET", JWT_SECRET);
        if let Some(files) = &self.tls {
            command.env("ORCH_CA_FILE", &files.authority);
        }
        command
    }

    /// What a command that must succeed prints.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.orch(arguments);
        assert_eq!(ran.code, 0, "orch {}\n{}\n{}", arguments.join(" "), ran.out, ran.err);
        ran.out
    }

    /// The same as JSON.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let out = self.ok(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&out)
            .unwrap_or_else(|error| panic!("orch {}: {error}\n{out}", arguments.join(" ")))
    }

    /// Writes a deploy file of `replicas` of the demo server, with `more` lines of YAML.
    pub(crate) fn deploy_file(&self, replicas: u32, more: &str) -> PathBuf {
        let path = self.path("web.yaml");
        let text = format!(
            "name: web\nimage: {}:1\nreplicas: {replicas}\nports: [{{container: 8080}}]\n\
             healthcheck: {{type: http, path: /health, interval: 300ms, timeout: 2s}}\n{more}\n",
            self.image
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Deploys that and waits as a user does.
    #[track_caller]
    pub(crate) fn deploy(&self, replicas: u32, more: &str) {
        let file = self.deploy_file(replicas, more);
        self.ok(&["deploy", file.to_str().unwrap(), "--wait", "--timeout", "60s"]);
    }

    /// The service's wanted tasks as the API has them.
    pub(crate) fn tasks(&self) -> Vec<Value> {
        let answer = self.json(&["service", "ps", "web"]);
        let tasks = answer["tasks"].as_array().unwrap().iter();
        tasks.filter(|task| task["desired_status"] == "running").cloned().collect()
    }

    /// Waits until exactly so many tasks are wanted and all of them are healthy, and answers them.
    #[track_caller]
    pub(crate) fn healthy(&self, replicas: usize) -> Vec<Value> {
        until(&format!("{replicas} replicas are healthy"), || {
            let tasks = self.tasks();
            let healthy = tasks.iter().all(|task| task["actual_status"] == "healthy");
            (healthy && tasks.len() == replicas).then_some(tasks)
        })
    }

    /// The id of a node.
    pub(crate) fn node(&self, name: &str) -> Value {
        self.json(&["node", "inspect", name])["node"].clone()
    }

    /// The cluster's running containers by id.
    pub(crate) fn running(&self) -> BTreeMap<String, Container> {
        engine::running(&self.cluster)
    }

    /// When each running container was started: equal before and after means that nothing was disturbed.
    pub(crate) fn starts(&self) -> BTreeMap<String, String> {
        self.running().into_values().map(|container| (container.id, container.started)).collect()
    }

    /// Every file below the server's data folder.
    pub(crate) fn stored(&self) -> Vec<u8> {
        fn read(folder: &Path, into: &mut Vec<u8>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true if path.ends_with("secrets") => {}
                    true => read(&path, into),
                    false => into.extend(std::fs::read(path).unwrap()),
                }
            }
        }
        let mut bytes = Vec::new();
        read(&self.path("server"), &mut bytes);
        bytes
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.runtime == "process" {
            let folders: Vec<PathBuf> = self.agents.keys().map(|name| self.agent_folder(name)).collect();
            self.agents.clear();
            folders.iter().for_each(|folder| processes::clear(&folder.join("processes")));
        }
        self.agents.clear();
        self.server = None;
        let cluster = Some(self.cluster.as_str()).filter(|cluster| !cluster.is_empty());
        engine::clear(cluster, &self.image);
    }
}

fn counted(port: u16, metric: &str) -> f64 {
    let (status, body) = http::get(port, "/metrics").unwrap();
    assert_eq!(status, 200);
    let values =
        body.lines().filter(|line| line.starts_with(metric)).filter_map(|line| line.rsplit(' ').next());
    values.filter_map(|value| value.parse::<f64>().ok()).sum()
}

/// The host port of a task's first port.
pub(crate) fn port_of(task: &Value) -> u16 {
    task["ports"][0]["published_port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap()
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
