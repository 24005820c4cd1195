//! Settings of the clean-up of images.

use std::fmt;
use std::time::Duration;

use clap::Args;
use orch_agent::ImageCleanup;
use serde::Deserialize;

use super::{keep, parse_bool, parse_duration, text};

/// From flag or environment.
#[derive(Args, Debug, Default)]
pub(crate) struct ImageFlags {
    /// Whether images that orch pulled and nobody needs are removed when the disk runs full [default: true].
    #[arg(long, global = true, env = "ORCH_IMAGE_CLEANUP")]
    image_cleanup: Option<String>,
    /// They go once the file system of the engine's data is this full, in percent [default: 85].
    #[arg(long, global = true, env = "ORCH_IMAGE_HIGH_PERCENT")]
    image_high_percent: Option<u8>,
    /// They go until it is this full, in percent [default: 75].
    #[arg(long, global = true, env = "ORCH_IMAGE_LOW_PERCENT")]
    image_low_percent: Option<u8>,
    /// Only those that nobody needed for this long [default: 10m].
    #[arg(long, global = true, env = "ORCH_IMAGE_MIN_AGE")]
    image_min_age: Option<String>,
    /// They go as well once those that orch pulled take more bytes than this; for engines whose file system cannot be seen [default: no such limit].
    #[arg(long, global = true, env = "ORCH_IMAGE_BUDGET_BYTES")]
    image_budget_bytes: Option<u64>,
}

/// From the YAML file.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FileImages {
    cleanup: Option<bool>,
    high_percent: Option<u8>,
    low_percent: Option<u8>,
    min_age: Option<String>,
    budget_bytes: Option<u64>,
}

/// The effective settings; `None`: no image is ever removed.
pub(super) fn merge(flags: ImageFlags, file: FileImages, problems: &mut Vec<String>) -> Option<ImageCleanup> {
    let mut rules = ImageCleanup::default();
    rules.high_percent = flags.image_high_percent.or(file.high_percent).unwrap_or(rules.high_percent);
    rules.low_percent = flags.image_low_percent.or(file.low_percent).unwrap_or(rules.low_percent);
    if !(1..=100).contains(&rules.high_percent) || rules.low_percent >= rules.high_percent {
        problems.push("images: high_percent must be 1 to 100, and low_percent below it".to_owned());
    }
    if let Some(age) = text(flags.image_min_age).or_else(|| text(file.min_age)) {
        rules.min_age = keep(problems, "images.min_age", parse_duration(&age)).unwrap_or_default();
    }
    rules.budget_bytes = flags.image_budget_bytes.or(file.budget_bytes);
    let on = match text(flags.image_cleanup) {
        Some(word) => keep(problems, "image cleanup", parse_bool(&word)).unwrap_or_default(),
        None => file.cleanup.unwrap_or(true),
    };
    on.then_some(rules)
}

/// As the YAML file would have it.
pub(super) fn write(rules: Option<&ImageCleanup>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "images:")?;
    writeln!(f, "  cleanup: {}", rules.is_some())?;
    let Some(rules) = rules else { return Ok(()) };
    writeln!(f, "  high_percent: {}", rules.high_percent)?;
    writeln!(f, "  low_percent: {}", rules.low_percent)?;
    writeln!(f, "  min_age: {}", millis(rules.min_age))?;
    let budget = rules.budget_bytes.map_or_else(|| "null".to_owned(), |bytes| bytes.to_string());
    writeln!(f, "  budget_bytes: {budget}")
}

fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
