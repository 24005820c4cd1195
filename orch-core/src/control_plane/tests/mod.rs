//! Tests of the shell, on the simulated executor, with commands of their own.

mod exploration;
mod harness;
mod nodes;
mod receipts;
mod writer;
