//! Mirrors the handlers.

mod agents;
mod health;
mod rollouts;
mod services;
