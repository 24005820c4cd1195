//! Values as people write them.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

/// `10s`, `5m`, `720h`, `500ms`, `1h30m`, or a bare number of seconds; more than 0.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const WRONG: &str = "expected a duration like `10s`, `5m` or `720h`, more than 0";
    let whole = text.parse().ok().map(Duration::from_secs);
    let parsed = whole.or_else(|| {
        let mut rest = text;
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let number: u64 = rest[..digits].parse().ok()?;
            let unit_end =
                rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |i| digits + i);
            let unit = match &rest[digits..unit_end] {
                "ms" => Duration::from_millis(1),
                "s" => Duration::from_secs(1),
                "m" => Duration::from_secs(60),
                "h" => Duration::from_secs(3600),
                _ => return None,
            };
            total = total.checked_add(unit.checked_mul(u32::try_from(number).ok()?)?)?;
            rest = &rest[unit_end..];
        }
        Some(total)
    });
    parsed.filter(|duration| !duration.is_zero()).ok_or_else(|| WRONG.to_owned())
}

/// A whole number between two others.
pub(super) fn number<N>(text: &str, least: N, most: N) -> Result<N, String>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let parsed = text.parse().ok().filter(|number| (&least..=&most).contains(&number));
    parsed.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

/// `true`, `false`, `1`, `0`, `t`, `f`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "t" => Ok(true),
        "false" | "0" | "f" => Ok(false),
        _ => Err("expected `true` or `false`".to_owned()),
    }
}

/// `HOST:PORT`; without a host: all addresses of the machine.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let whole = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    let resolved = whole.to_socket_addrs().ok().and_then(|mut found| found.next());
    resolved.ok_or_else(|| "expected an address like `127.0.0.1:8080` or `:8080`".to_owned())
}

/// Comma-separated, blanks dropped.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}
