//! Enums that stand on the wire as one word each, beside the domain's own.

/// Declares a wire enum with its words, and both conversions.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident is $domain:ty { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),* }
        impl From<$domain> for $name {
            fn from(value: $domain) -> Self { match value { $(<$domain>::$variant => Self::$variant),* } }
        }
        impl From<$name> for $domain {
            fn from(value: $name) -> Self { match value { $($name::$variant => Self::$variant),* } }
        }
    )*};
}
pub(crate) use words;
