//! Pins of images, on the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::service::{self, ImageOrder, ServiceRevision};

/// Which bytes a version runs.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ImagePin {
    /// `registry/name@sha256:…` of a registry's image, else the id that it has on its engine.
    pub image: String,
    /// `registry`: the same on each node. `local`: not from a registry; nodes without it run what they have under the spec's name.
    pub source: String,
}

impl ImagePin {
    /// The pin of a version, if it has one.
    #[must_use]
    pub fn of(revision: &ServiceRevision) -> Option<Self> {
        let image = &revision.spec.template.image;
        let order = ImageOrder::of(image, revision.pin.as_ref());
        order.pin().map(|pin| match pin {
            service::ImagePin::Registry(_) => {
                Self { image: pin.reference(image).to_string(), source: "registry".to_owned() }
            }
            service::ImagePin::Local(id) => Self { image: id.to_string(), source: "local".to_owned() },
        })
    }

    /// In a few words.
    #[must_use]
    pub fn describe(&self) -> String {
        if self.source == "registry" {
            self.image.clone()
        } else {
            format!("{}, not from a registry", self.image)
        }
    }
}
