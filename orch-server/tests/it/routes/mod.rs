//! Mirrors the handlers.

mod agents;
mod health;
mod nodes;
mod rollouts;
mod services;
