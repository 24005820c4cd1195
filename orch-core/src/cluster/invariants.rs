//! The invariants that a single image can be held against, for tests, the simulation and debug builds.
