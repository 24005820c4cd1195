//! For tests of ours and of embedders: contract suites, a fake runtime, a simulated environment, builders.

pub mod contract;
pub mod decide;
pub mod env;
pub mod faulty_store;
pub mod parts;
pub mod reference;
pub mod runtime;
pub mod wrapped_store;

pub use decide::{World, web_spec};
pub use faulty_store::{Fault, FaultyStore};
pub use runtime::FakeRuntime;
