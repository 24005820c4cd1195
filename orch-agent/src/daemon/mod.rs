//! The daemon around the library: settings, the machine, the agent's own listener.

pub(crate) mod listener;
pub(crate) mod machine;
pub(crate) mod settings;
