//! A load whose every state is known: what must be in the store at a revision follows from the revision alone. It runs in
//! a process of its own, so that it can be killed and watched.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use orch_core::cluster::{Change, Key, Revision, Transaction};
use orch_core::id::{IdStream, TypedId};
use orch_core::record::{AuditRecord, Event, EventKind};
use orch_core::store::{AuditFilter, EventFilter, History as _, Store as _};
use orch_core::testing::contract::sample::Sample;
use orch_core::time::Timestamp;
use orch_store::{SqlStore, SqliteOptions};

/// Transactions in a group.
pub(crate) const GROUP: u64 = 3;
/// History older than so many revisions is pruned now and then.
const KEEP: u64 = 60;
const FILE: &str = "ORCH_TEST_WORKLOAD_FILE";
const GROUPS: &str = "ORCH_TEST_WORKLOAD_GROUPS";
const NORMAL: &str = "ORCH_TEST_WORKLOAD_NORMAL";

fn id<I: TypedId>(seed: u64) -> I {
    IdStream::seeded(seed).next()
}

/// The transaction of a revision: a few rows that are written again and again, of changing size, and some that go.
fn transaction(revision: u64) -> Transaction {
    let mut sample = Sample::seeded(revision);
    let at = Timestamp::from_micros(i64::try_from(revision).unwrap());
    let mut node = sample.node(id(revision % 11));
    node.revision = Revision(revision);
    node.agent_version = "v".repeat(usize::try_from(revision * 997 % 9_000).unwrap());
    let mut credential = sample.credential(node.id);
    credential.highest_sequence = revision;
    let mut transaction = Transaction::default();
    transaction.put(node);
    transaction.put(credential);
    transaction.put(sample.task(id(1_000 + revision % 7), id(1), None));
    if revision.is_multiple_of(4) {
        transaction.remove(Key::Task(id(1_000 + (revision + 3) % 7)));
    }
    transaction.events.push(sample.event(EventKind::NodeRegistered, None, at));
    transaction.events.push(sample.event(EventKind::TaskAssigned, None, at));
    transaction.audit.push(sample.audit("node.register", "n", at));
    transaction
}

fn options(path: &Path) -> SqliteOptions {
    // So short a log that checkpoints are frequent.
    SqliteOptions::new(path).checkpoint_pages(24)
}

/// What runs in the child process: groups for ever, or so many, each acknowledged on a line once it is durable.
#[tokio::test]
#[ignore = "the child process of the tests that kill it; does nothing when it is not told where"]
async fn child_process() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let groups = std::env::var(GROUPS).map_or(u64::MAX, |groups| groups.parse().unwrap());
    let mut options = options(Path::new(&path));
    if std::env::var_os(NORMAL).is_some() {
        options = options.losing_writes_on_power_cut();
    }
    let store = SqlStore::sqlite(options).await.unwrap();
    let (epoch, image) = store.open(id(1)).await.unwrap();
    let mut revision = image.revision;
    for number in 0..groups {
        let group: Vec<_> = (1..=GROUP).map(|nth| transaction(revision.0 + nth)).collect();
        revision = store.commit(epoch, revision, &group).await.unwrap();
        // One write call, so that it is whole or not there.
        std::io::stdout().write_all(format!("ack {revision}\n").as_bytes()).unwrap();
        if number % 8 == 7 {
            let before = Timestamp::from_micros(i64::try_from(revision.0.saturating_sub(KEEP)).unwrap());
            store.prune(before, before).await.unwrap();
        }
    }
    // No goodbye: what counts is what was acknowledged, not what an orderly end would add.
    std::process::exit(0);
}

/// The command that runs [`child_process`] over a file.
pub(crate) fn child(path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "workload::child_process", "--ignored", "--nocapture"]).env(FILE, path);
    command
}

/// Ends after so many groups.
pub(crate) fn ending_after(command: &mut Command, groups: u64) -> &mut Command {
    command.env(GROUPS, groups.to_string())
}

/// Without durability.
pub(crate) fn losing_writes(command: &mut Command) -> &mut Command {
    command.env(NORMAL, "1")
}

/// A running child, and what it says.
pub(crate) struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    acknowledged: u64,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, acknowledged: 0 }
    }

    /// Waits for one more acknowledgement; false once the child has ended.
    pub(crate) fn next(&mut self) -> bool {
        let mut line = String::new();
        loop {
            line.clear();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return false;
            }
            if let Some(revision) = parse_ack(&line) {
                self.acknowledged = revision;
                return true;
            }
        }
    }

    /// Kills it, and answers the last revision that it acknowledged.
    pub(crate) fn kill(mut self) -> u64 {
        self.child.kill().unwrap();
        while self.next() {}
        self.child.wait().unwrap();
        self.acknowledged
    }
}

pub(crate) fn parse_ack(line: &str) -> Option<u64> {
    // The test harness may have begun the line.
    line.strip_suffix('\n')?.rsplit_once("ack ")?.1.parse().ok()
}

/// What must be there, made up to a revision and no further than asked.
#[derive(Default)]
pub(crate) struct Model {
    revision: u64,
    rows: BTreeMap<Key, Change>,
    events: VecDeque<Event>,
    audit: VecDeque<AuditRecord>,
}

impl Model {
    fn advance_to(&mut self, revision: u64) {
        if revision < self.revision {
            *self = Self::default();
        }
        while self.revision < revision {
            self.revision += 1;
            let transaction = transaction(self.revision);
            for change in transaction.changes {
                match change {
                    Change::Remove(key) => self.rows.remove(&key),
                    row => self.rows.insert(row.key(), row),
                };
            }
            self.events.extend(transaction.events);
            self.audit.extend(transaction.audit);
            // More than the load keeps; what is older can be neither needed nor found.
            let old = self.events.len().saturating_sub(2 * 1_000);
            self.events.drain(..old);
            self.audit.drain(..old / 2);
        }
    }

    /// Opens what is in the file, and says what is wrong with it.
    pub(crate) async fn check(&mut self, path: &Path, acknowledged: u64) -> Result<u64, String> {
        let store = SqlStore::sqlite(options(path)).await.map_err(|error| format!("{error:?}"))?;
        let checked = self.check_store(&store, acknowledged).await;
        store.close().await;
        checked
    }

    async fn check_store(&mut self, store: &SqlStore, acknowledged: u64) -> Result<u64, String> {
        let (_, image) = store.open(id(1)).await.map_err(|error| format!("{error:?}"))?;
        let revision = image.revision.0;
        if revision < acknowledged {
            return Err(format!("revision {acknowledged} was acknowledged, the store is at {revision}"));
        }
        if !revision.is_multiple_of(GROUP) {
            return Err(format!("the store is at {revision}, in the middle of a group"));
        }
        self.advance_to(revision);
        let mut rows = image.rows;
        rows.sort_by_key(Change::key);
        if !rows.iter().eq(self.rows.values()) {
            return Err(format!("at {revision} the rows are not those that were written"));
        }
        let limit = usize::MAX;
        let mut events = store.events(&EventFilter { limit, ..EventFilter::default() }).await.unwrap();
        let mut audit = store.audit(&AuditFilter { limit, ..AuditFilter::default() }).await.unwrap();
        events.reverse();
        audit.reverse();
        let newest = revision.min(KEEP);
        let kept = |count: usize, each: u64| count as u64 >= newest * each;
        let same_end = |count: usize, all: usize| all.checked_sub(count);
        let events_from = same_end(events.len(), self.events.len()).ok_or("more events than were written")?;
        let audit_from = same_end(audit.len(), self.audit.len()).ok_or("more audit than was written")?;
        if !kept(events.len(), 2) || !events.iter().eq(self.events.iter().skip(events_from)) {
            return Err(format!("at {revision} the events are not those that were written"));
        }
        if !kept(audit.len(), 1) || !audit.iter().eq(self.audit.iter().skip(audit_from)) {
            return Err(format!("at {revision} the audit records are not those that were written"));
        }
        Ok(revision)
    }
}
