//! Where settings come from, and which of several wins.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::{Arg, ArgMatches, Command};

use super::settings::{SETTINGS, Setting};

/// What was said of each setting, and where. Blank values count as unsaid.
#[derive(Clone, Default)]
pub struct Settings {
    said: BTreeMap<&'static str, (String, String)>,
    pub(super) home: Option<String>,
}

/// The command line.
#[must_use]
pub fn command() -> Command {
    let mut command = program();
    for setting in SETTINGS.iter().filter(|setting| !setting.flag.is_empty()) {
        let help = format!("{} [env: {}]", setting.help, setting.env.join(", "));
        let mut arg = Arg::new(setting.key).long(setting.flag).global(true).help(help).value_name("VALUE");
        if setting.switch {
            arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
        }
        command = command.arg(arg);
    }
    command.after_help(flagless())
}

/// Those that only variables and the file can say.
fn flagless() -> String {
    let mut text = "By variable, or by key in the file:".to_owned();
    for setting in SETTINGS.iter().filter(|setting| setting.flag.is_empty()) {
        text.push_str(&format!(
            "\n  {}, {}:\n          {}",
            setting.env.join(", "),
            setting.key,
            setting.help
        ));
    }
    text
}

/// The command line without the settings.
pub(super) fn program() -> Command {
    let sub = |name: &'static str, about: &'static str| Command::new(name).about(about);
    Command::new("orch-server")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The control plane of orch: HTTP API, scheduler, reconciler, store")
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .global(true)
                .help("Settings from a YAML file"),
        )
        .subcommand(
            sub("config", "Look at the configuration")
                .subcommand_required(true)
                .subcommand(sub("print", "Show the effective configuration, secrets redacted")),
        )
        .subcommand(sub("check-config", "The same as `config print`"))
        .subcommand(
            sub("backup", "Copy an SQLite store while it is in use")
                .arg(Arg::new("file").required(true).value_name("FILE").help("Must not exist yet")),
        )
        .subcommand(
            sub("migrate", "Look at the store's schema, or bring it up to date")
                .subcommand_required(true)
                .subcommand(sub("status", "Show the schema's version and what is pending; changes nothing"))
                .subcommand(sub("up", "Bring the schema up to date, as each start does")),
        )
        .subcommand(sub("man", "Write the manual page, orch-server.8").arg(
            Arg::new("folder").required(true).value_name("FOLDER").help("Where to: a folder that is there"),
        ))
}

impl Settings {
    /// Collects from the command line, the environment and the file that either names.
    ///
    /// # Errors
    /// What could not be read, each with where it stands.
    pub fn collect(
        matches: &ArgMatches,
        env: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Vec<String>> {
        let text =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        let env: BTreeMap<String, String> = env.into_iter().filter_map(text).collect();
        let mut problems = Vec::new();
        let file = matches.get_one::<String>("config").cloned().or_else(|| env.get("ORCH_CONFIG").cloned());
        let file_values = match file.filter(|path| !path.trim().is_empty()) {
            None => BTreeMap::new(),
            Some(path) => read_file(Path::new(&path), &mut problems),
        };
        let mut said = BTreeMap::new();
        for setting in SETTINGS {
            let flag = matches
                .try_get_one::<String>(setting.key)
                .ok()
                .flatten()
                .map(|value| (value.clone(), format!("--{}", setting.flag)));
            let variable = || {
                setting.env.iter().find_map(|name| {
                    let value = env.get(*name).filter(|value| !value.trim().is_empty())?;
                    Some((value.clone(), (*name).to_owned()))
                })
            };
            let in_file = || {
                file_values
                    .get(setting.key)
                    .map(|value| (value.clone(), format!("{} in the file", setting.key)))
            };
            let found = flag.filter(|(value, _)| !value.trim().is_empty()).or_else(variable).or_else(in_file);
            if let Some((value, source)) = found.filter(|(value, _)| !value.trim().is_empty()) {
                said.insert(setting.key, (value.trim().to_owned(), source));
            }
        }
        let home = env.get("HOME").cloned();
        if problems.is_empty() { Ok(Self { said, home }) } else { Err(problems) }
    }

    /// What was said of a setting.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.said.get(key).map(|(value, _)| value.as_str())
    }

    /// The settings of which something was said.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.said.keys().copied()
    }

    /// What a message calls a setting: where it was said, else how it can be.
    #[must_use]
    pub fn name_of(&self, key: &str) -> String {
        if let Some((_, source)) = self.said.get(key) {
            return source.clone();
        }
        match SETTINGS.iter().find(|setting| setting.key == key) {
            Some(Setting { flag: "", env: [first, ..], .. }) => (*first).to_owned(),
            Some(setting) => format!("--{}", setting.flag),
            None => key.to_owned(),
        }
    }

    /// Where a setting was said; `None`: nowhere.
    #[must_use]
    pub fn source_of(&self, key: &str) -> Option<&str> {
        self.said.get(key).map(|(_, source)| source.as_str())
    }
}

/// The values of a file, sections flattened. Its content is not quoted: it may hold secrets.
fn read_file(path: &Path, problems: &mut Vec<String>) -> BTreeMap<String, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("--config: {}: {error}", path.display()));
            return BTreeMap::new();
        }
    };
    let mut values = BTreeMap::new();
    match serde_saphyr::from_str::<serde_json::Value>(&text) {
        Ok(serde_json::Value::Null) => {}
        Ok(value @ serde_json::Value::Object(_)) => flatten("", &value, &mut values),
        Ok(_) | Err(_) => problems.push(format!("--config: {}: not a YAML mapping", path.display())),
    }
    if let Some(value) = values.remove("cluster_policy.block_latest_tag") {
        values.entry("cluster_policy.deny_latest_tag".to_owned()).or_insert(value); // its old name
    }
    for key in values.keys().filter(|key| !SETTINGS.iter().any(|setting| setting.key == key.as_str())) {
        problems.push(format!("--config: {}: there is no setting `{}`", path.display(), key.escape_debug()));
    }
    values
}

fn flatten(prefix: &str, value: &serde_json::Value, into: &mut BTreeMap<String, String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&path, value, into);
            }
        }
        serde_json::Value::Null => {}
        serde_json::Value::String(text) => {
            into.insert(prefix.to_owned(), text.clone());
        }
        serde_json::Value::Array(entries) => {
            let texts: Vec<String> =
                entries.iter().map(|e| e.as_str().map_or_else(|| e.to_string(), str::to_owned)).collect();
            into.insert(prefix.to_owned(), texts.join(","));
        }
        other => {
            into.insert(prefix.to_owned(), other.to_string());
        }
    }
}
