//! Parts of one's own in place of orch's, each whole. `docs/embed.md` walks through them.

pub mod credentials;
pub mod functions;
mod hex;
pub mod journal;
pub mod users;
