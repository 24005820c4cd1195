//! Convergence on a node: desired and actual in, steps out. Pure; the agent carries the steps out.
