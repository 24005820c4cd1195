//! For tests of ours and of embedders: contract suites, a fake runtime, a simulated environment, builders.

pub mod contract;
pub mod decide;
pub mod env;

pub use decide::{World, web_spec};
