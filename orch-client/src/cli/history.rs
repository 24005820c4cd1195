//! `orch history SERVICE`: its versions, who made them and what changed.

use orch_core::api::endpoint::{GetHistory, Nothing};
use orch_core::api::history::VersionView;

use super::error::CliError;
use super::output::{Output, age};
use super::resolve;
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name or id
    service: String,
    /// Each field that changed, old → new
    #[arg(long)]
    changes: bool,
}

pub(super) async fn run(client: &Client, args: &Args, out: &Output) -> Result<(), CliError> {
    let service = resolve::service(client, &args.service).await?;
    let answer = client.call::<GetHistory>(&[&service.id], &Nothing {}, &Nothing {}).await?;
    if out.is_json() {
        return out.json(&answer);
    }
    if args.changes {
        return answer.versions.iter().try_for_each(|version| changes(version, out));
    }
    let row = |version: &VersionView| {
        let fields: Vec<_> = version.changes.iter().map(|change| change.field.as_str()).collect();
        vec![
            format!("{}{}", version.version, if version.current { " *" } else { "" }),
            version.status.clone().unwrap_or_default(),
            version.image.clone(),
            version.by.clone().unwrap_or_default(),
            age(version.created_at),
            fields.join(" "),
        ]
    };
    out.table(
        &["VERSION", "ROLLOUT", "IMAGE", "BY", "AGE", "CHANGED"],
        answer.versions.iter().map(row).collect(),
        "no version is kept",
    )
}

fn changes(version: &VersionView, out: &Output) -> Result<(), CliError> {
    let by = version.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let now = if version.current { ", in force" } else { "" };
    out.line(format!("version {}{by}, {}{now}", version.version, version.created_at))?;
    if let Some(pin) = &version.image_pin {
        out.line(format!("  runs {}", pin.describe()))?;
    }
    if let Some(reason) = &version.reason {
        out.line(format!("  {}: {reason}", version.status.as_deref().unwrap_or("ended")))?;
    }
    version.changes.iter().try_for_each(|change| {
        let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        out.line(format!("  {}: {} → {}", change.field, show(&change.before), show(&change.after)))
    })
}
