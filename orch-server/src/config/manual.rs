//! The daemon's manual page, from the same table as everything else that knows its settings.

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::settings::SETTINGS;
use super::source::program;

/// The manual page `orch-server(8)`: every setting with its flag, variables, key and default.
///
/// # Panics
/// Never: a vector takes what is written.
#[must_use]
pub fn manual() -> Vec<u8> {
    let man = Man::new(program()).title("orch-server").section("8").manual("orch");
    let mut page = Vec::new();
    let written = man
        .render_title(&mut page)
        .and_then(|()| man.render_name_section(&mut page))
        .and_then(|()| man.render_synopsis_section(&mut page))
        .and_then(|()| man.render_description_section(&mut page))
        .and_then(|()| man.render_options_section(&mut page))
        .and_then(|()| man.render_subcommands_section(&mut page))
        .and_then(|()| settings().to_writer(&mut page))
        .and_then(|()| man.render_version_section(&mut page));
    written.expect("a vector takes what is written");
    page
}

fn settings() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SETTINGS"]);
    roff.text([roman(
        "A flag counts before a variable, a variable before the key of the YAML file that --config or ORCH_CONFIG names. A dot in \
         a key leads into a section of the file. Blank values count as unset, unknown keys are refused.",
    )]);
    for setting in SETTINGS {
        roff.control("TP", []);
        let flag = match (setting.flag, setting.switch) {
            ("", _) => None,
            (flag, true) => Some(format!("--{flag}[=true|false]")),
            (flag, false) => Some(format!("--{flag} VALUE")),
        };
        let names = flag.into_iter().chain(setting.env.iter().map(|name| (*name).to_owned()));
        let names: Vec<String> = names.chain([format!("{}:", setting.key)]).collect();
        roff.text([bold(names.join(", "))]);
        roff.text([roman(setting.help)]);
    }
    roff
}
