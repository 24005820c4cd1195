//! The daemon's manual page: what the command line knows of itself, and the keys of the file.

use clap::CommandFactory as _;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::settings::Cli;

/// The keys of the YAML file: of those that a flag can say, which; of the others, what they do.
const KEYS: [(&str, &str); 27] = [
    ("node_name", "--node-name; also the variable ORCH_NODE_ID"),
    ("advertise_address", "--advertise-address"),
    ("agent_addr", "--agent-addr"),
    ("labels", "--labels, as a mapping"),
    ("server_url", "--server-url"),
    ("bootstrap_token", "--bootstrap-token; also the variable ORCH_BOOTSTRAP_TOKEN"),
    ("docker_socket_path", "--docker-socket"),
    ("secrets_tmpfs", "--secrets-tmpfs"),
    ("log_level", "--log-level"),
    ("heartbeat_interval", "--heartbeat-interval"),
    ("graceful_shutdown_ttl", "--shutdown-timeout"),
    ("data_dir", "--data-dir"),
    ("runtime", "--runtime"),
    ("ca_file", "--ca-file"),
    ("insecure", "--insecure"),
    ("start_concurrency", "--start-concurrency"),
    ("keep_dead", "--keep-dead"),
    ("images.cleanup", "--image-cleanup"),
    ("images.high_percent", "--image-high-percent"),
    ("images.low_percent", "--image-low-percent"),
    ("images.min_age", "--image-min-age"),
    ("images.budget_bytes", "--image-budget-bytes"),
    ("policy.allow_privileged", "Containers may have all privileges on this node [default: false]"),
    ("policy.allow_host_network", "Containers may use this node's network [default: false]"),
    ("policy.allow_host_pid", "Containers may see this node's processes [default: false]"),
    ("policy.allowed_capabilities", "Capabilities that containers may have added here [default: none]"),
    ("policy.allowed_host_path_prefixes", "Paths of this node that containers may mount [default: none]"),
];

/// The manual page `orch-agent(8)`: every setting with its flag, variable, key and default.
pub(crate) fn manual() -> Vec<u8> {
    let man = Man::new(Cli::command()).title("orch-agent").section("8").manual("orch");
    let mut page = Vec::new();
    let written = man
        .render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| man.render_description_section(&mut page))
        .and_then(|()| man.render_options_section(&mut page))
        .and_then(|()| man.render_subcommands_section(&mut page))
        .and_then(|()| file().to_writer(&mut page))
        .and_then(|()| man.render_version_section(&mut page));
    written.expect("a vector takes what is written");
    page
}

fn file() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["FILE"]);
    roff.text([roman(
        "The YAML file that --config names. A flag counts before a variable, a variable before the file. A dot leads into a \
         section. Unknown keys are refused.",
    )]);
    for (key, words) in KEYS {
        roff.control("TP", []);
        roff.text([bold(format!("{key}:"))]);
        roff.text([roman(words)]);
    }
    roff
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser as _;

    use super::super::settings::Settings;
    use super::*;

    /// The keys of `config print`, sections with a dot.
    fn printed() -> BTreeSet<String> {
        let given = ["orch-agent", "--node-name", "a", "--image-budget-bytes", "9"];
        let settings = Settings::load(Cli::try_parse_from(given).unwrap().flags).unwrap().to_string();
        let mut section = String::new();
        let mut keys = BTreeSet::new();
        for line in settings.lines() {
            let (key, value) = line.split_once(':').unwrap();
            match key.strip_prefix("  ") {
                Some(key) => drop(keys.insert(format!("{section}.{key}"))),
                None if value.is_empty() => section = key.to_owned(),
                None => drop(keys.insert(key.to_owned())),
            }
        }
        keys
    }

    #[test]
    fn the_page_has_every_key_and_every_flag_with_its_variable() {
        assert_eq!(KEYS.map(|(key, _)| key.to_owned()).into_iter().collect::<BTreeSet<_>>(), printed());
        let page = String::from_utf8(manual()).unwrap().replace("\\-", "-");
        for argument in
            Cli::command().get_arguments().filter(|argument| argument.get_long() != Some("config"))
        {
            let flag = format!("--{}", argument.get_long().unwrap());
            assert!(page.contains(&flag), "{flag}");
            let named = KEYS.iter().any(|(_, words)| words.split([';', ',']).next() == Some(flag.as_str()));
            assert!(named, "{flag} has no key");
            let variable = argument.get_env().unwrap_or_else(|| panic!("{flag} has no variable"));
            assert!(page.contains(variable.to_str().unwrap()), "{flag}");
        }
    }
}
