//! The `orch` command. All of it is in the library: this only begins and ends the process.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    orch_client::cli::run()
}
