//! Pins: which bytes a version runs, whatever its tag comes to mean.
//!
//! The first agent that has the image of a version says what it came to be; that is noted on the version once, and holds for
//! each of its tasks from then on (M32). What a registry gave is the same everywhere. An image that no registry gave, such as one
//! that was built on the node, has nothing but the engine's id: where an image of that id is, that one runs; a node that does
//! not have it runs what it has under the spec's name, since there is no place to get the other from.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ImageDigest, ImageRef};

/// Which bytes a version runs. Never changes once it is set.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[schemars(rename = "AssignedImagePin")]
#[serde(rename_all = "snake_case")]
pub enum ImagePin {
    /// What the spec's registry calls by this digest, and nothing else.
    Registry(ImageDigest),
    /// The image that has this id on its engine; it is not from a registry.
    Local(ImageDigest),
}

/// Where an image on a node is from.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageOrigin {
    /// A registry gave it: by this name, which has a digest.
    Registry(ImageRef),
    /// No registry gave it under the name that was asked for.
    Local,
}

/// An image that is on the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedImage {
    /// What the engine calls it.
    pub id: ImageDigest,
    /// Where it is from.
    pub origin: ImageOrigin,
}

/// What an agent is told about the bytes of a task's image.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageOrder {
    /// Nobody has it yet: get it, say what it came to be, and start nothing before that is noted.
    Resolve,
    /// Run these.
    Pinned(ImagePin),
}

impl ImagePin {
    /// The pin that follows from what an agent has for a spec's `image`.
    ///
    /// # Errors
    /// It is from another repository, or what it is called is no name of an image.
    pub fn found(image: &ImageRef, id: &ImageDigest, origin: &ImageOrigin) -> Result<Self, String> {
        match origin {
            ImageOrigin::Registry(from) if from.repository() != image.repository() => {
                Err(format!("the task's image is {image}, and not from {from}"))
            }
            ImageOrigin::Registry(from) => match from.digest() {
                Some(digest) => Ok(Self::Registry(ImageDigest(digest.to_owned()))),
                None => Err(format!("{from} has no digest")),
            },
            ImageOrigin::Local if id.is_plain() => Ok(Self::Local(id.clone())),
            ImageOrigin::Local => Err("the id of an image is 1 to 512 printable characters".to_owned()),
        }
    }

    /// Whether an image on a node is what is pinned.
    #[must_use]
    pub fn is_met_by(&self, image: &ResolvedImage) -> bool {
        match (self, &image.origin) {
            (Self::Registry(digest), ImageOrigin::Registry(from)) => from.digest() == Some(digest.0.as_str()),
            (Self::Registry(_), ImageOrigin::Local) => false,
            (Self::Local(id), _) => image.id == *id,
        }
    }

    /// What to ask an engine for, for a spec's `image`.
    #[must_use]
    pub fn reference(&self, image: &ImageRef) -> ImageRef {
        match self {
            Self::Registry(digest) => image.with_digest(digest),
            Self::Local(_) => image.clone(),
        }
    }

    /// The id to look for before anything is asked of a registry.
    #[must_use]
    pub const fn local_id(&self) -> Option<&ImageDigest> {
        match self {
            Self::Registry(_) => None,
            Self::Local(id) => Some(id),
        }
    }

    /// Whether two versions of one template run the same bytes, as far as is known.
    #[must_use]
    pub fn may_be_same(one: Option<&Self>, other: Option<&Self>) -> bool {
        one.zip(other).is_none_or(|(one, other)| one == other)
    }
}

impl ImageOrder {
    /// What is told of a spec's image that is pinned like this, or not yet. A digest in the spec is a pin of its own.
    #[must_use]
    pub fn of(image: &ImageRef, pin: Option<&ImagePin>) -> Self {
        match (image.digest(), pin) {
            (Some(digest), _) => Self::Pinned(ImagePin::Registry(ImageDigest(digest.to_owned()))),
            (None, Some(pin)) => Self::Pinned(pin.clone()),
            (None, None) => Self::Resolve,
        }
    }

    /// The pin, once there is one.
    #[must_use]
    pub const fn pin(&self) -> Option<&ImagePin> {
        match self {
            Self::Resolve => None,
            Self::Pinned(pin) => Some(pin),
        }
    }
}

/// `sha256:…`, or `sha256:… (not from a registry)`.
impl fmt::Display for ImagePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(digest) => write!(f, "{digest}"),
            Self::Local(id) => write!(f, "{id} (not from a registry)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(of: char) -> ImageDigest {
        ImageDigest(format!("sha256:{}", of.to_string().repeat(64)))
    }

    fn from(text: &str) -> ImageOrigin {
        ImageOrigin::Registry(format!("{text}@{}", digest('a')).parse().unwrap())
    }

    #[test]
    fn only_the_specs_own_repository_gives_a_pin() {
        let found = |image: &str, origin: &ImageOrigin| {
            ImagePin::found(&image.parse().unwrap(), &ImageDigest("id".to_owned()), origin)
        };
        let pinned = Ok(ImagePin::Registry(digest('a')));
        assert_eq!(found("reg.example:5000/a/web:1", &from("reg.example:5000/a/web")), pinned);
        assert_eq!(found("web:1", &from("docker.io/library/web")), pinned, "one name of the same");
        for other in ["web", "reg.example/web", "other.example:5000/a/web", "reg.example:5000/a/web2"] {
            assert!(found("reg.example:5000/a/web:1", &from(other)).is_err(), "{other}");
        }
        let nameless = ImageOrigin::Registry("web:1".parse().unwrap());
        assert!(found("web:1", &nameless).is_err(), "a tag is no digest");
        let local = Ok(ImagePin::Local(ImageDigest("id".to_owned())));
        assert_eq!(found("web:1", &ImageOrigin::Local), local);
        let nothing =
            ImagePin::found(&"web".parse().unwrap(), &ImageDigest(String::new()), &ImageOrigin::Local);
        assert!(nothing.is_err());
    }

    #[test]
    fn a_pin_is_met_by_its_own_bytes_only() {
        let image = |origin| ResolvedImage { id: ImageDigest("id".to_owned()), origin };
        let pin = ImagePin::Registry(digest('a'));
        assert!(pin.is_met_by(&image(from("web"))));
        assert!(!pin.is_met_by(&image(ImageOrigin::Local)));
        assert!(!ImagePin::Registry(digest('b')).is_met_by(&image(from("web"))));
        assert!(ImagePin::Local(ImageDigest("id".to_owned())).is_met_by(&image(from("web"))));
        assert!(!ImagePin::Local(digest('b')).is_met_by(&image(ImageOrigin::Local)));
        let spec: ImageRef = "reg.example/web:1".parse().unwrap();
        assert_eq!(pin.reference(&spec).as_str(), format!("reg.example/web@{}", digest('a')));
        assert_eq!(ImagePin::Local(digest('b')).reference(&spec), spec);
    }

    #[test]
    fn a_digest_in_the_spec_is_the_pin_whatever_else_was_noted() {
        let spec: ImageRef = format!("web@{}", digest('c')).parse().unwrap();
        let pinned = |of| ImageOrder::Pinned(ImagePin::Registry(digest(of)));
        assert_eq!(ImageOrder::of(&spec, Some(&ImagePin::Registry(digest('a')))), pinned('c'));
        let spec = "web:1".parse().unwrap();
        assert_eq!(ImageOrder::of(&spec, Some(&ImagePin::Registry(digest('a')))), pinned('a'));
        assert_eq!(ImageOrder::of(&spec, None), ImageOrder::Resolve);
    }
}
