//! Examples of orch: programs in `src/bin`, each run by a test or by `make demo`.
#![forbid(unsafe_code)]
