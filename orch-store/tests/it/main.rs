//! The stores against the contract of `orch-core`, and against what files and servers do to them.
mod postgres_server;
mod sqlite_file;

orch_core::store_contract!(sqlite => sqlite_file::fresh().await);
orch_core::store_contract!(postgres => postgres_server::fresh().await);
