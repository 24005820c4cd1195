//! Tests of the shell, on the simulated executor, with commands of their own.

mod harness;
mod receipts;
mod writer;
