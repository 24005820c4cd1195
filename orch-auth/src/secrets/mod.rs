//! Providers of secret values.

mod files;

pub use files::FileSecrets;
