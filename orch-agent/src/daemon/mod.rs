//! The daemon around the library: settings, folders, the agent's own listener.

pub(crate) mod folder;
pub(crate) mod listener;
pub(crate) mod manual;
pub(crate) mod settings;
