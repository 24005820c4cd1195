//! Image references, taken apart once.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An image as a spec names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    text: String,
    registry_end: usize,
    name_end: usize,
    digest_start: Option<usize>,
}

/// What an image without a registry host comes from.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// Why a text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an image reference: {0}; expected [registry/]name[:tag][@sha256:digest]")]
pub struct InvalidImage(&'static str);

impl ImageRef {
    /// The text as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The registry host; [`DEFAULT_REGISTRY`] where none is named.
    #[must_use]
    pub fn registry(&self) -> &str {
        if self.registry_end == 0 { DEFAULT_REGISTRY } else { &self.text[..self.registry_end] }
    }

    /// The repository, without registry, tag and digest.
    #[must_use]
    pub fn name(&self) -> &str {
        let start = if self.registry_end == 0 { 0 } else { self.registry_end + 1 };
        &self.text[start..self.name_end]
    }

    /// The tag, if one is named.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        let end = self.digest_start.map_or(self.text.len(), |d| d - 1);
        (self.name_end < end).then(|| &self.text[self.name_end + 1..end])
    }

    /// The digest, if the image is pinned.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest_start.map(|start| &self.text[start..])
    }

    /// Registry and repository, in one form for all the names that mean them: `docker.io/library/web` of `web`.
    #[must_use]
    pub fn repository(&self) -> String {
        let (registry, name) = (self.registry(), self.name());
        match registry {
            DEFAULT_REGISTRY | "index.docker.io" if !name.contains('/') => {
                format!("{DEFAULT_REGISTRY}/library/{name}")
            }
            "index.docker.io" => format!("{DEFAULT_REGISTRY}/{name}"),
            _ => format!("{registry}/{name}"),
        }
    }

    /// The same registry and repository, at a digest; `self` where that is none.
    #[must_use]
    pub fn with_digest(&self, digest: &ImageDigest) -> Self {
        format!("{}@{digest}", &self.text[..self.name_end]).parse().unwrap_or_else(|_| self.clone())
    }

    /// What an engine is asked for: the text, with `:latest` where neither tag nor digest is named.
    #[must_use]
    pub fn engine_reference(&self) -> String {
        if self.tag().is_none() && self.digest().is_none() {
            format!("{}:latest", self.text)
        } else {
            self.text.clone()
        }
    }
}

impl FromStr for ImageRef {
    type Err = InvalidImage;
    fn from_str(text: &str) -> Result<Self, InvalidImage> {
        if text.is_empty() {
            return Err(InvalidImage("it is empty"));
        }
        if text.len() > 512 {
            return Err(InvalidImage("it is longer than 512 characters"));
        }
        if text.starts_with('-') {
            return Err(InvalidImage("it begins with `-`"));
        }
        if text.contains("://") {
            return Err(InvalidImage("it holds `://`"));
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/@+".contains(&b)) {
            return Err(InvalidImage("it holds a character that no image name has"));
        }
        let (before_digest, digest_start) = match text.split_once('@') {
            None => (text, None),
            Some((before, digest)) => {
                let hex = digest.strip_prefix("sha256:").ok_or(InvalidImage("the digest is no sha256"))?;
                if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
                    return Err(InvalidImage("the digest has not 64 hexadecimal digits"));
                }
                (before, Some(before.len() + 1))
            }
        };
        let registry_end = match before_digest.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host.len(),
            _ => 0,
        };
        let rest_start = if registry_end == 0 { 0 } else { registry_end + 1 };
        let name_end = before_digest[rest_start..].rfind(':').map_or(before_digest.len(), |i| rest_start + i);
        let name = &before_digest[rest_start..name_end];
        if name.is_empty() || name.split('/').any(str::is_empty) {
            return Err(InvalidImage("the name, or a part of it, is empty"));
        }
        if name.contains(':') || name.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidImage("the name holds an upper-case letter or `:`"));
        }
        if name_end < before_digest.len() {
            let tag = &before_digest[name_end + 1..];
            if tag.is_empty() || tag.len() > 128 || tag.starts_with(['.', '-']) || tag.contains(['/', '+']) {
                return Err(InvalidImage("the tag is not 1 to 128 of letters, digits, `_`, `.` and `-`"));
            }
        }
        Ok(Self { text: text.to_owned(), registry_end, name_end, digest_start })
    }
}

impl TryFrom<String> for ImageRef {
    type Error = InvalidImage;
    fn try_from(text: String) -> Result<Self, InvalidImage> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.text
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// What an engine resolved an image to: a content address (`sha256:…`), the same bytes wherever it appears.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageDigest(pub String);

impl ImageDigest {
    /// Whether it is something that may be called an image: 1 to 512 printable characters.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        (1..=512).contains(&self.0.len()) && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let d = format!("sha256:{}", "a".repeat(64));
        for (text, registry, name, tag, digest) in [
            ("web", "docker.io", "web", None, None),
            ("web:1", "docker.io", "web", Some("1"), None),
            ("library/web:1.2", "docker.io", "library/web", Some("1.2"), None),
            ("localhost/web", "localhost", "web", None, None),
            ("reg.example:5000/a/b:v1", "reg.example:5000", "a/b", Some("v1"), None),
            (&format!("reg.example/a@{d}"), "reg.example", "a", None, Some(d.as_str())),
            (&format!("a:1@{d}"), "docker.io", "a", Some("1"), Some(d.as_str())),
        ] {
            let image: ImageRef = text.parse().unwrap();
            assert_eq!(
                (image.registry(), image.name(), image.tag(), image.digest()),
                (registry, name, tag, digest),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for bad in [
            "",
            "-x",
            "a b",
            "http://a",
            "a:",
            "A/b",
            "a//b",
            "a@sha256:12",
            "a@md5:1",
            "reg.example/",
            "a:b:c",
            "a\n",
            "'a'",
        ] {
            assert!(bad.parse::<ImageRef>().is_err(), "{bad:?}");
        }
    }
}
