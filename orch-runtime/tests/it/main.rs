//! Tests of the runtimes.
