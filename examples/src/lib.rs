//! Examples of orch: programs in `src/bin`, each run by a test or by `make demo`; and [`custom`] parts, held to the contracts
//! that `orch-core` exports.
#![forbid(unsafe_code)]

pub mod custom;
