//! [`Remark`]: what a person says of what he asks for.

use std::fmt;
use std::str::FromStr;

/// How many characters a remark has at most.
pub const REMARK_MAX: usize = 200;

/// A person's words on why he asks for something: one line of 1 to [`REMARK_MAX`] characters. Kept in events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark(String);

/// The text is no remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRemark {
    /// Nothing is said.
    #[error("it is empty")]
    Empty,
    /// It is no line.
    #[error("it holds a control character")]
    Control,
    /// It is too long.
    #[error("it is longer than {REMARK_MAX} characters")]
    Long,
}

impl FromStr for Remark {
    type Err = InvalidRemark;

    fn from_str(text: &str) -> Result<Self, InvalidRemark> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidRemark::Empty);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidRemark::Control);
        }
        if text.chars().count() > REMARK_MAX {
            return Err(InvalidRemark::Long);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_one_line_that_says_something() {
        assert_eq!("  errors on the canary ".parse::<Remark>().unwrap().to_string(), "errors on the canary");
        assert_eq!(" ".parse::<Remark>(), Err(InvalidRemark::Empty));
        assert_eq!("a\nb".parse::<Remark>(), Err(InvalidRemark::Control));
        assert!("ü".repeat(REMARK_MAX).parse::<Remark>().is_ok());
        assert_eq!("ü".repeat(REMARK_MAX + 1).parse::<Remark>(), Err(InvalidRemark::Long));
    }
}
