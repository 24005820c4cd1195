//! Mirrors the handlers.

mod agents;
mod health;
mod services;
