//! A store in trouble under a running server: writes answer 503 and say why, reads go on, and once the trouble is over writes
//! do, without a restart. What nodes do meanwhile is `control_plane::tests::nodes::
//! while_the_store_cannot_be_written_heartbeats_keep_nodes_alive`; that they lose no container, the simulation holds.
//!
//! | trouble | test |
//! | --- | --- |
//! | full | [`a_full_disk_is_told_reads_go_on_and_room_is_used_without_a_restart`]; of each engine `orch-store`, `sqlite_keeps` |
//! | locked by another program | [`a_store_that_another_program_locks_is_told_and_got_over_without_a_restart`] |
//! | removed or replaced while it is open | [`a_removed_file_is_noticed_before_anything_is_written_and_what_it_held_goes_on_in_its_place`]; each case `orch-store`, `sqlite_place` |
//! | held by another server | [`a_server_that_cannot_have_its_store_says_which_and_why_and_changes_nothing`] |
//! | corrupt | the same; row by row `sqlite_keeps::a_row_that_cannot_be_read_is_named_without_its_content` |
//! | read-only at the start | the same |
//! | made read-only while it is open | [`a_file_that_becomes_read_only_is_told_and_written_again_once_it_may_be`] |
//! | of a later version | `sqlite_keeps::a_schema_from_a_later_version_is_refused_by_its_number` |
//! | missing | [`where_the_file_is_missing_another_cluster_begins_and_its_id_shows_it`] |
//! | cut off at any byte, power lost | `orch-store`, `power_cut` and `crash` |
//! | does not answer, or not surely | `control_plane::tests::writer` |

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use orch_server::daemon;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::daemon::configuration;
use crate::world::{Answer, Http};

/// A file system of its own, of so many KiB, on memory.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(kib: usize) -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        disk.mount(&["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"]);
        disk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Files of a server that was just stopped may still be open for a moment.
    fn mount(&self, arguments: &[&str]) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let done = Command::new("mount").args(arguments).arg(self.path()).output().unwrap();
            let busy = String::from_utf8_lossy(&done.stderr).contains("busy");
            if !(busy && Instant::now() < end) {
                return assert!(done.status.success(), "a small disk needs the right to mount: {done:?}");
            }
        }
    }

    /// Takes all the room there is; dropping the file gives it back.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        for size in [64 << 10, 1 << 10, 1] {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
            while std::io::Write::write_all(&mut file, &vec![0; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}

/// A daemon in this process.
struct Running {
    http: Http,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Running {
    async fn start(folder: &Path) -> Self {
        let (server, _control) = daemon::build(configuration(folder, &[]), None).await.unwrap();
        let http = Http::new(&format!("http://{}", server.address()));
        let stop = CancellationToken::new();
        let served = tokio::spawn(server.run(stop.clone().cancelled_owned()));
        Self { http, stop, served }
    }

    async fn get(&self, path: &str) -> Answer {
        self.http.send("GET", path, None, &[], "").await
    }

    /// Creates a service whose row has some size.
    async fn create(&self, name: &str) -> Answer {
        let env = json!({"FILLER": "x".repeat(4096)});
        let body = json!({"spec": {"name": name, "image": "web:1", "env": env}});
        self.http.send("POST", "/v1/services", None, &[], body.to_string()).await
    }

    async fn names(&self) -> Vec<String> {
        let all = self.get("/v1/services").await.expect(200);
        let name = |service: &Value| service["spec"]["name"].as_str().unwrap().to_owned();
        let mut names: Vec<_> = all["services"].as_array().unwrap().iter().map(name).collect();
        names.sort();
        names
    }

    /// Creates it once writes are taken again.
    async fn create_soon(&self, name: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let answer = self.create(name).await;
            if answer.status == 201 {
                return;
            }
            assert!(answer.status == 503 && Instant::now() < end, "{}", answer.text);
            tokio::task::yield_now().await;
        }
    }

    async fn cluster(&self) -> String {
        self.get("/v1/version").await.expect(200)["cluster_id"].as_str().unwrap().to_owned()
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), self.served).await.expect("it stops").unwrap();
    }
}

/// The write is refused for now, and the answer says why and when to try again.
#[track_caller]
fn refused(answer: &Answer, why: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"), "{}", answer.text);
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("nothing was written: ") && message.contains(why), "{message}");
    assert!(answer.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_full_disk_is_told_reads_go_on_and_room_is_used_without_a_restart() {
    let disk = SmallDisk::new(8 << 10);
    let server = Running::start(disk.path()).await;
    assert_eq!(server.create("before").await.status, 201);
    let filler = disk.fill();
    let mut written = vec!["before".to_owned()];
    let told = loop {
        // What the log has room for already is still taken.
        let name = format!("during-{:03}", written.len());
        let answer = server.create(&name).await;
        if answer.status != 201 {
            break answer;
        }
        written.push(name);
        assert!(written.len() < 500, "the disk never became full");
    };
    refused(&told, "the disk of the database file is full");
    refused(&server.create("again").await, "the disk of the database file is full");

    assert_eq!(server.names().await, written);
    assert_eq!(server.get("/v1/events?type=service.created&limit=500").await.status, 200);
    assert_eq!(server.get("/healthz").await.status, 200);
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text.contains("the disk of the database file is full"), "{}", ready.text);

    std::fs::remove_file(filler).unwrap();
    server.create_soon("z-after").await;
    written.push("z-after".to_owned());
    assert_eq!(server.names().await, written);
    assert_eq!(server.get("/readyz").await.status, 200);
    server.stop().await;
    let again = Running::start(disk.path()).await;
    assert_eq!(again.names().await, written, "and it was durable");
    again.stop().await;
}

#[tokio::test]
async fn a_store_that_another_program_locks_is_told_and_got_over_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Running::start(folder.path()).await;
    // A program of its own, that holds the right to write until its input ends.
    let script = "import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
sys.stdin.read()
db.execute('ROLLBACK')";
    let mut other = Command::new("python3")
        .args(["-c", script])
        .arg(folder.path().join("orch.db"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = std::io::BufReader::new(other.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert_eq!(line.trim(), "locked");
    refused(&server.create("web").await, "the database file is locked by another program");
    assert_eq!(server.names().await, Vec::<String>::new());
    drop(other.stdin.take());
    other.wait().unwrap();
    server.create_soon("web").await;
    server.stop().await;
}

#[tokio::test]
async fn a_removed_file_is_noticed_before_anything_is_written_and_what_it_held_goes_on_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orch.db");
    let server = Running::start(folder.path()).await;
    assert_eq!(server.create("before").await.status, 201);
    std::fs::remove_file(&path).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    let told = loop {
        let ready = server.get("/readyz").await;
        if ready.status == 503 {
            break ready.text;
        }
        assert!(Instant::now() < end, "nobody noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(told.contains("the database file was removed while it was open"), "{told}");
    assert!(!told.contains(&folder.path().display().to_string()), "callers learn no folder: {told}");
    refused(&server.create("during").await, "orch.db.rescued");
    assert_eq!(server.names().await, ["before"]);
    assert_eq!(server.get("/v1/events?type=service.created&limit=500").await.status, 200);
    assert_eq!(server.get("/healthz").await.status, 200);

    std::fs::rename(folder.path().join("orch.db.rescued"), &path).unwrap();
    server.create_soon("z-after").await;
    assert_eq!(server.get("/readyz").await.status, 200);
    server.stop().await;
    closed(folder.path()).await;
    let again = Running::start(folder.path()).await;
    assert_eq!(again.names().await, ["before", "z-after"], "and it was durable");
    again.stop().await;
}

#[tokio::test]
async fn a_file_that_becomes_read_only_is_told_and_written_again_once_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    // Taking the right to write from the file's mode would not concern whoever has it open, nor root.
    let immutable = |flag: &str| {
        let files = ["orch.db", "orch.db-wal"].map(|name| folder.path().join(name));
        let done = Command::new("chattr").arg(flag).args(files).output().unwrap();
        assert!(done.status.success(), "needs root, and a file system that has the attribute: {done:?}");
    };
    let server = Running::start(folder.path()).await;
    assert_eq!(server.create("before").await.status, 201);
    immutable("+i");
    // Whether that one reached the file cannot be told; from the next on it is known why none does.
    let first = server.create("during").await;
    let end = Instant::now() + Duration::from_secs(20);
    let told = loop {
        let answer = server.create("during").await;
        if answer.text.contains("read-only") || Instant::now() > end {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let (reads, ready) = (server.names().await, server.get("/readyz").await);
    immutable("-i");
    assert_eq!((first.status.as_u16(), first.code().as_str()), (500, "uncertain"), "{}", first.text);
    refused(&told, "the database file is read-only");
    assert_eq!(reads, ["before"]);
    assert_eq!(ready.status, 503);
    server.create_soon("z-after").await;
    assert_eq!(server.names().await, ["before", "z-after"]);
    server.stop().await;
}

/// Waits until the store of a server that has stopped is closed: its last connection brings the log into the database and
/// removes it.
async fn closed(folder: &Path) {
    let gone = async {
        while folder.join("orch.db-wal").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("it is closed");
}

/// Why the daemon does not start, with all that it comes from.
async fn does_not_start(folder: &Path) -> String {
    let error = match daemon::build(configuration(folder, &[]), None).await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    };
    let sources = std::iter::successors(std::error::Error::source(&error), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

#[tokio::test]
async fn a_server_that_cannot_have_its_store_says_which_and_why_and_changes_nothing() {
    let disk = SmallDisk::new(16 << 10);
    let path = disk.path().join("orch.db");
    let server = Running::start(disk.path()).await;
    assert_eq!(server.create("web").await.status, 201);
    let held = does_not_start(disk.path()).await;
    assert!(held.contains("orch.db is in use by another process"), "{held}");
    assert_eq!(server.names().await, ["web"]);
    server.stop().await;

    closed(disk.path()).await;
    let log = disk.path().join("orch.db-wal");
    let sound = std::fs::read(&path).unwrap();
    disk.mount(&["-o", "remount,ro"]);
    let read_only = does_not_start(disk.path()).await;
    assert!(read_only.contains("orch.db") && read_only.contains("Read-only file system"), "{read_only}");
    disk.mount(&["-o", "remount,rw"]);

    // What was acknowledged last may be in the log alone.
    std::fs::write(&log, "acknowledged").unwrap();
    let mut damaged = sound.clone();
    damaged[..64].fill(0x55);
    std::fs::write(&path, &damaged).unwrap();
    let corrupt = does_not_start(disk.path()).await;
    assert!(corrupt.contains("the store holds what this version cannot read"), "{corrupt}");
    assert_eq!(std::fs::read(&path).unwrap(), damaged, "it is left for a person to look at");
    assert_eq!(std::fs::read(&log).unwrap(), b"acknowledged", "and so is its log");
    std::fs::write(&path, &sound).unwrap();
    std::fs::remove_file(&log).unwrap();
    let server = Running::start(disk.path()).await;
    assert_eq!(server.names().await, ["web"]);
    server.stop().await;
}

/// Containers bear the id of their cluster: those of the one that is gone are left alone until its store is back.
#[tokio::test]
async fn where_the_file_is_missing_another_cluster_begins_and_its_id_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orch.db");
    let server = Running::start(folder.path()).await;
    let first = server.cluster().await;
    assert_eq!(server.create("web").await.status, 201);
    server.stop().await;
    closed(folder.path()).await;
    let away = folder.path().join("away.db");
    std::fs::rename(&path, &away).unwrap();

    let server = Running::start(folder.path()).await;
    assert_ne!(server.cluster().await, first);
    assert_eq!(server.names().await, Vec::<String>::new());
    server.stop().await;
    closed(folder.path()).await;

    std::fs::rename(&away, &path).unwrap();
    let server = Running::start(folder.path()).await;
    assert_eq!((server.cluster().await, server.names().await), (first, vec!["web".to_owned()]));
    server.stop().await;
}
