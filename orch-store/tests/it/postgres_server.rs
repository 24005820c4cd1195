//! A private PostgreSQL server, shared by the tests of this binary. It listens on a socket in its own folder only, and
//! stops and removes the folder when this process ends, however it ends.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use orch_core::secret::Secret;
use orch_store::{PostgresOptions, SqlStore};

/// Runs as a user that PostgreSQL accepts. Says `ready FOLDER` or what is missing, and lives as long as its input.
const SCRIPT: &str = r#"
for bin in /usr/lib/postgresql/*/bin; do PATH="$PATH:$bin"; done
for program in initdb pg_ctl postgres; do
    command -v "$program" >/dev/null || { echo "missing $program: install the Debian package postgresql"; exit 1; }
done
folder=$(mktemp -d) && cd "$folder" || exit 1
initdb -D data -U orch --auth=trust --no-sync -E UTF8 --locale=C >log 2>&1 &&
pg_ctl -D data -w -t 60 -l log \
    -o "-c listen_addresses='' -c unix_socket_directories=$folder -c max_connections=80 -c shared_buffers=32MB -c fsync=off" \
    start >/dev/null 2>&1 || { echo "it does not start: $(tail -n 3 log)"; rm -rf "$folder"; exit 1; }
echo "ready $folder"
exec >/dev/null
cat >/dev/null
pg_ctl -D data -m immediate -w stop >/dev/null 2>&1
rm -rf "$folder"
"#;

struct Server {
    folder: String,
    /// Its input is open while this process lives; the script waits for its end.
    _script: Child,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let root = std::fs::metadata("/proc/self").expect("Linux").uid() == 0;
        let mut command = if root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "sh", "-c", SCRIPT]);
            command
        } else {
            let mut command = Command::new("sh");
            command.args(["-c", SCRIPT]);
            command
        };
        let mut child = command
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("PostgreSQL is needed: install the Debian package postgresql");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says something");
        let folder = line.trim().strip_prefix("ready ");
        let folder = folder.unwrap_or_else(|| panic!("no PostgreSQL for the tests ({})", line.trim()));
        Server { folder: folder.to_owned(), _script: child }
    })
}

pub(crate) fn url(database: &str) -> String {
    format!("postgres://orch@localhost:5432/{database}?host={}", server().folder)
}

/// The name of a schema that nobody else uses.
pub(crate) fn schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn options(schema: &str) -> PostgresOptions {
    PostgresOptions::new(Secret::new(url("postgres"))).schema(schema)
}

/// A store in a schema of its own.
pub(crate) async fn fresh() -> Box<SqlStore> {
    Box::new(SqlStore::postgres(options(&schema())).await.expect("the store opens"))
}
