//! [`PinFile`]: what an agent learned to know its server by, for when the token that said so is gone from its settings.

use std::io;
use std::path::PathBuf;

use orch_core::identity::ServerPin;

use crate::node_key::write_private;

/// A file in the agent's data folder. What stands in it is no secret.
#[derive(Clone, Debug)]
pub struct PinFile(PathBuf);

impl PinFile {
    /// At this path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// What was kept; `None`: nothing was.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn load(&self) -> io::Result<Option<ServerPin>> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => {
                let pin = text.parse().map_err(|_| {
                    let problem =
                        "it holds no digest of a server's key; remove it, and give a token or a CA file";
                    io::Error::new(io::ErrorKind::InvalidData, problem)
                })?;
                Ok(Some(pin))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps it, whole or not at all; on the disk when this answers.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, pin: &ServerPin) -> io::Result<()> {
        write_private(&self.0, format!("{pin}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_again_and_nothing_else_passes_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.pin");
        let file = PinFile::new(&path);
        assert_eq!(file.load().unwrap(), None);
        file.save(&ServerPin([7; 32])).unwrap();
        assert_eq!(file.load().unwrap(), Some(ServerPin([7; 32])));
        std::fs::write(&path, "sha256:77").unwrap();
        assert_eq!(file.load().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
