//! The runtimes against the real thing: a Docker Engine, and processes of this machine. Without an engine the tests that
//! need one fail.
#![allow(clippy::unwrap_used)]

mod canned;
mod contract;
mod docker;
mod docker_checks;
mod docker_registry;
mod docker_spec;
mod fixture;
mod layers;
mod process;
mod registry;
