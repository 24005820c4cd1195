//! The node's own key: made once, kept in a file that nobody else reads, never sent anywhere.

use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_core::identity::NodePublicKey;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

/// Proves a node key. The simulation brings its own.
pub trait NodeSigner: Send + Sync + 'static {
    /// The public half.
    fn public_key(&self) -> NodePublicKey;
    /// A signature over `text`: ECDSA P-256 with SHA-256, fixed form, base64url without padding.
    fn sign(&self, text: &[u8]) -> String;
}

/// A P-256 key pair.
pub struct NodeKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

/// Why there is no node key.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum NodeKeyError {
    /// The file cannot be read or written.
    #[error("the node key {path} cannot be read or written")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Someone else may read the file.
    #[error(
        "the node key {path} is open to others (mode {mode:o}); make it 0600, or remove it and register anew"
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// What the file holds is no P-256 key.
    #[error("the node key {0} is damaged; restore it, or remove it and register under a new name")]
    Damaged(PathBuf),
    /// No key could be made.
    #[error("no node key could be made")]
    Entropy,
}

impl NodeKey {
    /// A new key, in memory only.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, NodeKeyError> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| NodeKeyError::Entropy)?;
        Self::parse(pkcs8.as_ref(), random).ok_or(NodeKeyError::Entropy)
    }

    /// The key in `path` (PKCS#8, mode 0600); made there if there is none. It is on the disk before it is answered.
    ///
    /// # Errors
    /// The file cannot be read or written, is open to others, or holds something else.
    pub fn load_or_create(path: &Path) -> Result<Self, NodeKeyError> {
        let file = |cause| NodeKeyError::File { path: path.to_owned(), cause };
        match std::fs::read(path) {
            Ok(bytes) => {
                let mode = std::fs::metadata(path).map_err(file)?.permissions().mode() & 0o777;
                if mode & 0o077 != 0 {
                    return Err(NodeKeyError::Exposed { path: path.to_owned(), mode });
                }
                let bytes = zeroize::Zeroizing::new(bytes);
                Self::parse(&bytes, SystemRandom::new()).ok_or_else(|| NodeKeyError::Damaged(path.to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let random = SystemRandom::new();
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .map_err(|_| NodeKeyError::Entropy)?;
                write_private(path, pkcs8.as_ref()).map_err(file)?;
                Self::parse(pkcs8.as_ref(), random).ok_or(NodeKeyError::Entropy)
            }
            Err(error) => Err(file(error)),
        }
    }

    fn parse(pkcs8: &[u8], random: SystemRandom) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random).ok()?;
        Some(Self { pair, random })
    }
}

impl NodeSigner for NodeKey {
    fn public_key(&self) -> NodePublicKey {
        NodePublicKey(URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref()))
    }

    fn sign(&self, text: &[u8]) -> String {
        let signature = self.pair.sign(&self.random, text).expect("the system's random source works");
        URL_SAFE_NO_PAD.encode(signature.as_ref())
    }
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NodeKey({:?})", self.public_key())
    }
}

/// Writes a file that only its owner reads, so that after a crash either all of it is there or none: a temporary file is
/// written, synced and renamed, and the folder is synced too.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // What a crash left there may have another mode: it is made anew.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&temporary, path)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    #[test]
    fn the_key_is_made_once_and_signs_what_its_public_half_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        let key = NodeKey::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(NodeKey::load_or_create(&path).unwrap().public_key(), key.public_key());
        let point = URL_SAFE_NO_PAD.decode(key.public_key().0).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(key.sign(b"text")).unwrap();
        assert_eq!((point.len(), point[0], signature.len()), (65, 4, 64));
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
        assert!(public.verify(b"text", &signature).is_ok());
        assert!(public.verify(b"other", &signature).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_is_open_to_others_or_damaged_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        NodeKey::load_or_create(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(NodeKey::load_or_create(&path), Err(NodeKeyError::Exposed { mode: 0o640, .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, b"junk").unwrap();
        assert!(matches!(NodeKey::load_or_create(&path), Err(NodeKeyError::Damaged(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"junk");
    }
}
