//! Group commit on SQLite: 256 concurrent writers, against one commit each and against the rows by raw SQL.
//!
//! With `f` an empty durable commit and `w` the marginal cost of one command's rows, one commit each makes `1/(f+w)`
//! commands a second, and groups of 256 at best `1/(f/256+w)`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use clap::Args;
use orch_auth::{
    enrollment::EnrollmentChain, jwt::NoUserAuth, key::ServerKey, roles::HierarchicalRoles,
    token::TokenCredentials,
};
use orch_core::cluster::{Revision, Transaction};
use orch_core::command::CreateNamespace;
use orch_core::control_plane::ControlPlane;
use orch_core::env::SystemEnv;
use orch_core::id::{ClusterId, IdStream};
use orch_core::identity::{Scope, UserProof};
use orch_core::name::Namespace;
use orch_core::record::{AuditRecord, Event};
use orch_core::schedule::FilterAndScore;
use orch_core::secret::Secret;
use orch_core::store::{CommitError, Epoch, Image, Store, StoreError};
use orch_core::testing::decide::World;
use orch_core::time::Timestamp;
use orch_store::StoreUrl;

use crate::report::{Goal, Report, median};

#[derive(Args)]
pub(crate) struct Options {
    /// Concurrent writers.
    #[arg(long, default_value_t = 256)]
    writers: u32,
    /// Commands of each writer a round.
    #[arg(long, default_value_t = 40)]
    commands: u32,
    /// Rounds; medians count.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { writers: 256, commands: 40, rounds: 5 }
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(options))
}

async fn measure(options: &Options) -> anyhow::Result<Report> {
    let (mut f, mut w, mut raw, mut grouped, mut carried, mut padded) =
        (vec![], vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..options.rounds.max(1) {
        let (empty, marginal) = one_by_one(options).await?;
        f.push(empty);
        w.push(marginal);
        raw.push(raw_rows(options).await?);
        let (rate, per_commit) = concurrent(options, Duration::ZERO).await?;
        grouped.push(rate);
        carried.push(per_commit);
        padded.push(concurrent(options, Duration::from_millis(4)).await?.0);
    }
    let (f, w, raw) = (median(f), median(w), median(raw));
    let writers = f64::from(options.writers);
    let one_each = 1.0 / (f + w);
    let ceiling = (f + w) / (f / writers + w);
    let ratio = median(grouped.clone()) / one_each;
    let one_each_padded = 1.0 / (0.004 + f + w);
    let mut report = Report::new("commit");
    report
        .figure("f_empty_commit", f * 1e6, "µs")
        .figure("w_marginal_command", w * 1e6, "µs")
        .figure("raw_sql_same_rows", raw * 1e6, "µs")
        .held("w_over_raw", w / raw, "×", Goal::AtMost(3.0))
        .figure("commands_per_second", median(grouped), "1/s")
        .held("commands_per_commit", median(carried), "", Goal::AtLeast(100.0))
        .figure("over_one_commit_each", ratio, "×")
        .figure("ceiling", ceiling, "×")
        .held("of_ceiling", ratio / ceiling, "", Goal::AtLeast(0.7))
        .held("padded_4ms_over_one_each", median(padded) / one_each_padded, "×", Goal::AtLeast(50.0));
    Ok(report)
}

/// A fresh store in a folder of its own, which goes with the guard.
async fn fresh() -> anyhow::Result<(tempfile::TempDir, Arc<dyn Store>)> {
    let folder = tempfile::tempdir()?;
    let store = orch_store::open(&StoreUrl::Sqlite(folder.path().join("bench.db"))).await?;
    Ok((folder, store))
}

/// What one command of each of so many writers writes: its row, its event, its audit record. The names are those of the
/// concurrent run: what a row costs depends on where in the tree it lands.
fn transactions(writers: u32, at: u32) -> anyhow::Result<Vec<Transaction>> {
    let mut world = World::new();
    (0..writers)
        .map(|writer| {
            let before = (world.events.len(), world.audit.len());
            let row = world.execute(CreateNamespace { name: name(writer, at)? })?;
            let mut transaction = Transaction::default();
            transaction.put((*row).clone());
            transaction.events.extend_from_slice(&world.events[before.0..]);
            transaction.audit.extend_from_slice(&world.audit[before.1..]);
            let mut ids = IdStream::seeded(u64::from(at) << 32 | u64::from(writer));
            transaction.events.iter_mut().for_each(|event| event.id = ids.next());
            transaction.audit.iter_mut().for_each(|record| record.id = ids.next());
            Ok(transaction)
        })
        .collect()
}

fn name(writer: u32, at: u32) -> anyhow::Result<Namespace> {
    Ok(format!("w{writer}-{at}").parse()?)
}

/// `f` and `w`: commits of one command, and what each further command of a group adds.
async fn one_by_one(options: &Options) -> anyhow::Result<(f64, f64)> {
    const COMMITS: u32 = 200;
    let (_folder, store) = fresh().await?;
    let (epoch, image) = store.open(IdStream::seeded(1).next()).await?;
    let mut base = image.revision;
    let mut single = Vec::new();
    let mut whole = Vec::new();
    for at in 0..options.commands {
        let transactions = transactions(options.writers, at)?;
        let started = Instant::now();
        base = store.commit(epoch, base, &transactions).await?;
        whole.push(started.elapsed().as_secs_f64());
    }
    for at in 0..COMMITS {
        let transaction = transactions(1, options.commands + at)?;
        let started = Instant::now();
        base = store.commit(epoch, base, &transaction).await?;
        single.push(started.elapsed().as_secs_f64());
    }
    let (single, whole) = (median(single), median(whole));
    let w = ((whole - single) / f64::from(options.writers - 1)).max(1e-9);
    Ok(((single - w).max(1e-9), w))
}

/// The same rows by raw SQL, in one transaction of multi-row statements: seconds a command.
async fn raw_rows(options: &Options) -> anyhow::Result<f64> {
    use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
    use sea_orm::{
        ConnectOptions, ConnectionTrait as _, Database, DbBackend, Statement, TransactionTrait as _, Value,
    };
    let folder = tempfile::tempdir()?;
    let mut connect =
        ConnectOptions::new(format!("sqlite://{}?mode=rwc", folder.path().join("raw.db").display()));
    connect.max_connections(1).sqlx_logging(false).map_sqlx_sqlite_opts(|sqlite| {
        sqlite.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
    });
    let database = Database::connect(connect).await?;
    database
        .execute_unprepared(
            "CREATE TABLE rows (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
             CREATE TABLE events (revision INTEGER, ordinal INTEGER, kind TEXT, at INTEGER, doc TEXT, PRIMARY KEY (revision, ordinal));
             CREATE INDEX events_at ON events (at);
             CREATE TABLE audit (revision INTEGER, ordinal INTEGER, action TEXT, at INTEGER, doc TEXT, PRIMARY KEY (revision, ordinal));
             CREATE INDEX audit_at ON audit (at);",
        )
        .await?;
    let mut whole = Vec::new();
    for round in 0..options.commands {
        let transactions = transactions(options.writers, round)?;
        let mut values: [Vec<Value>; 3] = Default::default();
        for (at, transaction) in transactions.iter().enumerate() {
            let revision = i64::from(round * options.writers) + i64::try_from(at)?;
            for change in &transaction.changes {
                let orch_core::cluster::Change::Namespace(row) = change else {
                    anyhow::bail!("an unexpected row")
                };
                values[0].extend([row.name.to_string().into(), serde_json::to_string(row)?.into()]);
            }
            for (ordinal, Event { kind, at, .. }) in (0i64..).zip(&transaction.events) {
                let doc = serde_json::to_string(&transaction.events[usize::try_from(ordinal)?])?;
                values[1].extend([
                    revision.into(),
                    ordinal.into(),
                    kind.as_str().into(),
                    at.as_micros().into(),
                    doc.into(),
                ]);
            }
            for (ordinal, AuditRecord { action, at, .. }) in (0i64..).zip(&transaction.audit) {
                let doc = serde_json::to_string(&transaction.audit[usize::try_from(ordinal)?])?;
                values[2].extend([
                    revision.into(),
                    ordinal.into(),
                    action.clone().into(),
                    at.as_micros().into(),
                    doc.into(),
                ]);
            }
        }
        let started = Instant::now();
        let open = database.begin().await?;
        for (table, width, values) in
            [("rows", 2, &values[0]), ("events", 5, &values[1]), ("audit", 5, &values[2])]
        {
            for chunk in values.chunks(width * 128) {
                let row = format!("({})", vec!["?"; width].join(","));
                let rows = vec![row; chunk.len() / width].join(",");
                let text = format!("INSERT INTO {table} VALUES {rows}");
                open.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, text, chunk.to_vec()))
                    .await?;
            }
        }
        open.commit().await?;
        whole.push(started.elapsed().as_secs_f64());
    }
    Ok(median(whole) / f64::from(options.writers))
}

/// Commands a second by concurrent writers, and how many a commit carried. `pad` lengthens every commit.
async fn concurrent(options: &Options, pad: Duration) -> anyhow::Result<(f64, f64)> {
    let (_folder, store) = fresh().await?;
    let store = Arc::new(Padded { store, pad, commits: AtomicU64::new(0), transactions: AtomicU64::new(0) });
    let control = control_plane(store.clone()).await?;
    let anybody = control.authenticate(&UserProof::at(Timestamp::ZERO)).await?;
    let before = (store.commits.load(Ordering::Relaxed), store.transactions.load(Ordering::Relaxed));
    let started = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..options.writers {
        let (control, principal, commands) = (control.clone(), anybody.clone(), options.commands);
        writers.spawn(async move {
            for at in 0..commands {
                let permit = control.authorize::<CreateNamespace>(principal.clone(), Scope::Cluster)?;
                control.execute(permit, CreateNamespace { name: name(writer, at)? }).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = writers.join_next().await {
        done??;
    }
    let elapsed = started.elapsed().as_secs_f64();
    let commits = store.commits.load(Ordering::Relaxed) - before.0;
    let transactions = store.transactions.load(Ordering::Relaxed) - before.1;
    control.shutdown().await;
    #[expect(clippy::cast_precision_loss, reason = "counts for people")]
    let per_commit = transactions as f64 / commits.max(1) as f64;
    Ok((f64::from(options.writers * options.commands) / elapsed, per_commit))
}

async fn control_plane(store: Arc<dyn Store>) -> anyhow::Result<ControlPlane> {
    let key = ServerKey::derive(&Secret::new("a key for a benchmark".to_owned()))?;
    Ok(ControlPlane::builder(SystemEnv::shared(), store)
        .users(Arc::new(NoUserAuth))
        .authorizer(Arc::new(HierarchicalRoles))
        .credentials(Arc::new(TokenCredentials::new(key.clone())))
        .enrollment(Arc::new(EnrollmentChain::new(key)))
        .scheduler(Arc::new(FilterAndScore))
        .start()
        .await?)
}

/// A store whose commits take longer, and are counted.
struct Padded {
    store: Arc<dyn Store>,
    pad: Duration,
    commits: AtomicU64,
    transactions: AtomicU64,
}

#[async_trait]
impl Store for Padded {
    async fn open(&self, fresh: ClusterId) -> Result<(Epoch, Image), StoreError> {
        self.store.open(fresh).await
    }

    async fn commit(
        &self,
        epoch: Epoch,
        base: Revision,
        group: &[Transaction],
    ) -> Result<Revision, CommitError> {
        if !self.pad.is_zero() {
            tokio::time::sleep(self.pad).await;
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.transactions.fetch_add(group.len() as u64, Ordering::Relaxed);
        self.store.commit(epoch, base, group).await
    }

    async fn prune(&self, events_before: Timestamp, audit_before: Timestamp) -> Result<u64, StoreError> {
        self.store.prune(events_before, audit_before).await
    }
}

orch_core::testing::wrapped_store::history_of!(Padded, store);
