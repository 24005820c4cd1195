//! Where the programs under test are: beside this test's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const PACKAGES: [&str; 3] = ["orch-server", "orch-agent", "orch-client"];
const PROGRAMS: [&str; 3] = ["orch-server", "orch-agent", "orch"];

/// The path of a program of the workspace. A run of the whole workspace's tests builds them; after a run of these tests alone
/// they may be missing or older than their sources, and are built here.
pub(crate) fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let folder = test.parent().and_then(Path::parent).unwrap().to_owned();
        if !PROGRAMS.iter().all(|program| is_fresh(&folder.join(program))) {
            build(&folder);
        }
        folder
    });
    folder.join(name)
}

/// Whether the program is there and none of the sources that cargo noted for it is newer.
fn is_fresh(program: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    let Some((built, noted)) =
        changed(program).zip(std::fs::read_to_string(program.with_extension("d")).ok())
    else {
        return false;
    };
    let sources =
        noted.lines().filter_map(|line| line.split_once(": ")).flat_map(|(_, list)| list.split(' '));
    sources.into_iter().all(|source| changed(Path::new(source)).is_some_and(|changed| changed <= built))
}

fn build(folder: &Path) {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--bins"]).current_dir(workspace);
    cargo.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    cargo.arg("--target-dir").arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().unwrap().success(), "the programs under test do not build");
}
