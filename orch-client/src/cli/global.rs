//! Where the server is and who asks: flags, then variables, then the configuration file, then defaults.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use orch_core::secret::Secret;
use serde::Deserialize;

use super::error::{CliError, USAGE};
use crate::client::Client;

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // No doc comments on these: help would grow by eight lines in every command.
    #[default]
    Table,
    Json,
}

#[derive(Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Global {
    /// The server's URL; several with commas between [env: ORCH_SERVER_URL; file: server_url]
    #[arg(long, global = true, value_name = "URL", env = "ORCH_SERVER_URL", hide_env = true)]
    server: Option<String>,
    /// A user's token [env: ORCH_TOKEN; file: token]
    #[arg(long, global = true, value_name = "TOKEN", env = "ORCH_TOKEN", hide_env = true)]
    token: Option<String>,
    /// The namespace [default: default; env: ORCH_NAMESPACE; file: namespace]
    #[arg(long, short, global = true, value_name = "NAME", env = "ORCH_NAMESPACE", hide_env = true)]
    namespace: Option<String>,
    /// How to print: for people, or the API's own types for programs
    #[arg(long, short, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) output: Format,
    /// The configuration file [default: orch/config.yaml in your configuration folder]
    #[arg(long, global = true, value_name = "FILE", env = "ORCH_CONFIG", hide_env = true)]
    config: Option<PathBuf>,
    /// Trust the authorities in this PEM file [default: the system's; env: ORCH_CA_FILE; file: ca_file]
    #[arg(long, global = true, value_name = "FILE", env = "ORCH_CA_FILE", hide_env = true)]
    ca_file: Option<PathBuf>,
    /// Allow plain http to other machines, where others can read the token [env: ORCH_INSECURE; file: insecure]
    #[arg(
        long,
        global = true,
        env = "ORCH_INSECURE",
        hide_env = true,
        value_parser = clap::builder::FalseyValueParser::new()
    )]
    insecure: bool,
}

impl std::fmt::Debug for Global {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Global").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The configuration file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    server_url: Option<String>,
    token: Option<String>,
    namespace: Option<String>,
    ca_file: Option<PathBuf>,
    insecure: bool,
}

impl Global {
    /// The client that the settings describe.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        self.try_client()?.ok_or_else(|| {
            CliError::new(USAGE, "no server is configured").hint(
                "name one with --server, the variable ORCH_SERVER_URL, or `server_url` in the configuration file,\nsuch as http://127.0.0.1:8080",
            )
        })
    }

    /// The same; `None` where no server is configured.
    pub(super) fn try_client(&self) -> Result<Option<Client>, CliError> {
        let file = self.file()?;
        let given = |flag: &Option<String>, file: Option<String>| {
            let set = |text: &String| !text.trim().is_empty();
            flag.clone().filter(set).or(file.filter(set))
        };
        let Some(servers) = given(&self.server, file.server_url) else { return Ok(None) };
        let mut builder = Client::builder()
            .user_agent(concat!("orch/", env!("CARGO_PKG_VERSION")))
            .insecure(self.insecure || file.insecure);
        for url in servers.split(',').map(str::trim).filter(|url| !url.is_empty()) {
            builder = builder.server(url);
        }
        if let Some(token) = given(&self.token, file.token) {
            builder = builder.token(Secret::new(token.trim().to_owned()));
        }
        if let Some(name) = given(&self.namespace, file.namespace) {
            let name = name.trim().to_ascii_lowercase();
            let name = name.parse().map_err(|e| CliError::new(USAGE, format!("--namespace: {e}")))?;
            builder = builder.namespace(name);
        }
        let set = |path: &PathBuf| !path.as_os_str().is_empty();
        if let Some(path) = self.ca_file.clone().filter(set).or(file.ca_file.filter(set)) {
            builder = builder.ca_file(path);
        }
        Ok(Some(builder.build().map_err(|e| CliError::new(USAGE, e.to_string()))?))
    }

    fn file(&self) -> Result<File, CliError> {
        let (path, must_exist) = match &self.config {
            Some(path) => (path.clone(), true),
            None => match default_path() {
                Some(path) => (path, false),
                None => return Ok(File::default()),
            },
        };
        let wrong = |problem: String| CliError::new(USAGE, format!("{}: {problem}", path.display()));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
                return Ok(File::default());
            }
            Err(error) => return Err(wrong(error.to_string())),
        };
        if text.trim().is_empty() {
            return Ok(File::default());
        }
        let options = serde_saphyr::options! {
            with_snippet: false, // It would quote the token.
            budget: serde_saphyr::budget! { max_nodes: 1_000, max_aliases: 10, max_depth: 8 },
        };
        serde_saphyr::from_str_with_options(&text, options).map_err(|error| wrong(error.to_string()))
    }
}

/// `orch/config.yaml` in the user's configuration folder.
fn default_path() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = from("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).or_else(|| {
        let within = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".config" };
        from("HOME").map(|home| home.join(within))
    })?;
    Some(folder.join("orch").join("config.yaml"))
}
