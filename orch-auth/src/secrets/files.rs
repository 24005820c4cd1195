//! Secrets from files: `<root>/<namespace>/<name>`, byte for byte.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use orch_core::name::{Namespace, SecretName};
use orch_core::secret::{Secret, SecretError, SecretProvider, SecretRef};

/// The largest value that is delivered: 1 MiB.
const LARGEST_VALUE: u64 = 1024 * 1024;

/// Reads values below a folder. A secret is a file; one with keys is a folder of files, or a file with a JSON object of
/// strings. Links that lead out of the folder are refused.
#[derive(Clone, Debug)]
pub struct FileSecrets {
    root: PathBuf,
}

impl FileSecrets {
    /// Below this folder. It may be made later.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    async fn locate(&self, namespace: &Namespace, name: &SecretName) -> Result<PathBuf, SecretError> {
        let path = self.root.join(namespace.as_str()).join(name.as_str());
        let within = async {
            let root = tokio::fs::canonicalize(&self.root).await?;
            let path = tokio::fs::canonicalize(&path).await?;
            Ok::<_, io::Error>(path.starts_with(root).then_some(path))
        };
        match within.await {
            Ok(Some(path)) => Ok(path),
            Ok(None) => Err(SecretError::NotFound(name.clone())),
            Err(error) => Err(absent_or_broken(error, || SecretError::NotFound(name.clone()))),
        }
    }
}

fn absent_or_broken(error: io::Error, absent: impl FnOnce() -> SecretError) -> SecretError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => absent(),
        _ => SecretError::Unavailable(error.into()),
    }
}

async fn read(path: &Path, absent: impl FnOnce() -> SecretError) -> Result<Secret<Vec<u8>>, SecretError> {
    let attempt = async {
        if tokio::fs::metadata(path).await?.len() > LARGEST_VALUE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the value is larger than 1 MiB"));
        }
        tokio::fs::read(path).await
    };
    attempt.await.map(Secret::new).map_err(|error| absent_or_broken(error, absent))
}

#[async_trait]
impl SecretProvider for FileSecrets {
    async fn exists(&self, namespace: &Namespace, name: &SecretName) -> Result<bool, SecretError> {
        match self.locate(namespace, name).await {
            Ok(_) => Ok(true),
            Err(SecretError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn resolve(
        &self,
        namespace: &Namespace,
        reference: &SecretRef,
    ) -> Result<Secret<Vec<u8>>, SecretError> {
        let path = self.locate(namespace, &reference.name).await?;
        let is_folder = tokio::fs::metadata(&path).await.is_ok_and(|metadata| metadata.is_dir());
        let no_key = |key: &str| SecretError::NoSuchKey { name: reference.name.clone(), key: key.to_owned() };
        match &reference.key {
            None if is_folder => Err(SecretError::Unavailable("it holds several values: name a key".into())),
            None => read(&path, || SecretError::NotFound(reference.name.clone())).await,
            Some(key) if is_folder => {
                let plain = !key.is_empty() && key != "." && key != ".." && !key.contains(['/', '\0']);
                if !plain {
                    return Err(no_key(key));
                }
                let file = tokio::fs::canonicalize(path.join(key))
                    .await
                    .map_err(|e| absent_or_broken(e, || no_key(key)))?;
                if !file.starts_with(&path) {
                    return Err(no_key(key));
                }
                read(&file, || no_key(key)).await
            }
            Some(key) => {
                let whole = read(&path, || SecretError::NotFound(reference.name.clone())).await?;
                // The parser's message could quote the value, so it is not passed on.
                let object: std::collections::BTreeMap<String, zeroize::Zeroizing<String>> =
                    serde_json::from_slice(whole.expose())
                        .map_err(|_| SecretError::Unavailable("it is no JSON object of strings".into()))?;
                object.get(key).map(|value| Secret::new(value.as_bytes().to_vec())).ok_or_else(|| no_key(key))
            }
        }
    }
}
