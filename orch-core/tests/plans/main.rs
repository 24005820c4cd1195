//! What the reconciler plans, as text: one file per theme. Each plan is applied, and a second look at the same time must find
//! nothing to do.
#![expect(clippy::unwrap_used, reason = "what a test takes for granted, it may insist on")]

mod deletion;
mod deployments;
mod drains;
mod failures;
mod history;
mod images;
mod losses;
mod placement;
mod properties;
mod rebalance;
mod rollouts;
mod scaling;
mod site;
