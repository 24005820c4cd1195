//! Secrets on their way out. That these types serialise is the explicit act.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::secret::{ResolvedSecret, ResolvedSecrets, Secret, SecretDelivery};

/// A token on its way to its owner: redacted in `Debug`, zeroized on drop, written out when serialised.
#[derive(Clone, Debug)]
pub struct Token(Secret<String>);

impl Token {
    /// The secret.
    #[must_use]
    pub fn secret(&self) -> Secret<String> {
        self.0.clone()
    }
}

impl From<Secret<String>> for Token {
    fn from(secret: Secret<String>) -> Self {
        Self(secret)
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// A secret's value on its way to the node that runs the task: base64.
#[derive(Clone, Debug)]
pub struct SecretText(Secret<Vec<u8>>);

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = zeroize::Zeroizing::new(STANDARD.encode(self.0.expose()));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = zeroize::Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| de::Error::custom("not base64"))?;
        Ok(Self(Secret::new(bytes)))
    }
}

/// One value and where it goes.
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
pub struct SecretValue {
    /// How the container gets it.
    pub delivery: SecretDelivery,
    /// The value.
    pub value: SecretText,
}

/// The values of one task, in the order of its spec's references.
#[derive(Clone, Debug, Default, JsonSchema, Serialize, Deserialize)]
pub struct SecretsAnswer {
    /// The values.
    pub secrets: Vec<SecretValue>,
}

impl From<ResolvedSecrets> for SecretsAnswer {
    fn from(resolved: ResolvedSecrets) -> Self {
        let one = |secret: ResolvedSecret| SecretValue {
            delivery: secret.delivery,
            value: SecretText(secret.value),
        };
        Self { secrets: resolved.values.into_iter().map(one).collect() }
    }
}

impl From<SecretsAnswer> for ResolvedSecrets {
    fn from(answer: SecretsAnswer) -> Self {
        let one = |secret: SecretValue| ResolvedSecret { delivery: secret.delivery, value: secret.value.0 };
        Self { values: answer.secrets.into_iter().map(one).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_travel_whole_and_stay_out_of_debug() {
        let value = ResolvedSecret {
            delivery: SecretDelivery::File("/run/x".to_owned()),
            value: Secret::new(vec![0, 255, 10]),
        };
        let answer = SecretsAnswer::from(ResolvedSecrets { values: vec![value] });
        assert!(!format!("{answer:?}").contains("255"));
        let json = serde_json::to_string(&answer).unwrap();
        let back: ResolvedSecrets = serde_json::from_str::<SecretsAnswer>(&json).unwrap().into();
        assert_eq!(back.values[0].value.expose(), &[0, 255, 10]);
    }
}
