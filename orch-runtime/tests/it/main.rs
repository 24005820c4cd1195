//! The runtimes against the real thing: a Docker Engine, and processes of this machine. Without an engine the tests that
//! need one fail.

mod contract;
mod fixture;
