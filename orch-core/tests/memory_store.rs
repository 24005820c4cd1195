//! The memory store keeps the promises of the trait.

use orch_core::store::MemoryStore;

orch_core::store_contract!(memory => Box::new(MemoryStore::new()));
