//! Secrets from files: what is found, and what cannot be reached.

use std::os::unix::fs::symlink;

use orch_auth::secrets::FileSecrets;
use orch_core::name::{Namespace, SecretName};
use orch_core::secret::{SecretDelivery, SecretError, SecretProvider as _, SecretRef};

fn reference(name: &str, key: Option<&str>) -> SecretRef {
    SecretRef {
        name: name.parse().unwrap(),
        key: key.map(str::to_owned),
        delivery: SecretDelivery::Env("X".parse().unwrap()),
    }
}

async fn value(provider: &FileSecrets, name: &str, key: Option<&str>) -> Result<Vec<u8>, SecretError> {
    provider
        .resolve(&Namespace::default_namespace(), &reference(name, key))
        .await
        .map(|value| value.expose().clone())
}

#[tokio::test]
async fn values_are_read_byte_for_byte_by_namespace_name_and_key() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("default/prod");
    std::fs::create_dir_all(folder.join("many")).unwrap();
    std::fs::write(folder.join("db"), b"p\xffw\n").unwrap();
    std::fs::write(folder.join("many/user"), b"u").unwrap();
    std::fs::write(folder.join("json"), br#"{"user":"alice"}"#).unwrap();
    let provider = FileSecrets::new(root.path());
    assert_eq!(value(&provider, "prod/db", None).await.unwrap(), b"p\xffw\n");
    assert_eq!(value(&provider, "prod/many", Some("user")).await.unwrap(), b"u");
    assert_eq!(value(&provider, "prod/json", Some("user")).await.unwrap(), b"alice");
    assert!(matches!(value(&provider, "prod/json", Some("x")).await, Err(SecretError::NoSuchKey { .. })));
    assert!(matches!(value(&provider, "prod/many", Some("../db")).await, Err(SecretError::NoSuchKey { .. })));
    assert!(matches!(value(&provider, "prod/none", None).await, Err(SecretError::NotFound(_))));
    let exists = async |namespace: &str, name: &str| {
        provider.exists(&namespace.parse().unwrap(), &name.parse::<SecretName>().unwrap()).await.unwrap()
    };
    assert!(exists("default", "prod/db").await);
    assert!(!exists("other", "prod/db").await);
}

#[tokio::test]
async fn a_link_that_leads_out_of_the_folder_is_no_secret() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::fs::create_dir_all(root.path().join("default/many")).unwrap();
    symlink(outside.path(), root.path().join("default/out")).unwrap();
    symlink(outside.path(), root.path().join("default/many/out")).unwrap();
    let provider = FileSecrets::new(root.path());
    assert!(matches!(value(&provider, "out", None).await, Err(SecretError::NotFound(_))));
    assert!(matches!(value(&provider, "many", Some("out")).await, Err(SecretError::NoSuchKey { .. })));
}

#[tokio::test]
async fn a_file_that_is_no_json_is_not_quoted() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("default")).unwrap();
    std::fs::write(root.path().join("default/a"), "{canary-91b2").unwrap();
    let error = value(&FileSecrets::new(root.path()), "a", Some("k")).await.unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    assert!(!format!("{error} {error:?} {cause:?}").contains("canary"), "{error}");
}
