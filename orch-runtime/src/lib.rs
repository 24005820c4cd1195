//! # orch-runtime — what runs containers on a node
//!
//! Two implementations of [`ContainerRuntime`](orch_core::runtime::ContainerRuntime): [`docker`] speaks with a Docker
//! Engine (20.10 to 29) over its unix socket; [`process`] runs plain child processes, for machines without an engine.
#![forbid(unsafe_code)]

pub mod docker;
pub mod process;
#[cfg(feature = "testing")]
pub mod testing;
