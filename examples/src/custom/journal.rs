//! [`JournalStore`]: the whole state in one file that is only ever appended to, a JSON line a group.
//!
//! It keeps the promises of `Store` that matter most: a group is on disk before anybody hears of it, and it is there whole or
//! not at all. The file grows for ever: for small clusters, and to be read.

use std::io::{BufRead as _, BufReader, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use orch_core::cluster::{Change, Key, NamespaceRecord, Revision, Transaction};
use orch_core::deployment::Deployment;
use orch_core::id::{ApiTokenId, ClusterId, DeploymentId, EnrollmentTokenId, NodeId, ServiceId, TaskId};
use orch_core::identity::{EnrollmentToken, NodeCredential};
use orch_core::name::{Namespace, Subject};
use orch_core::node::Node;
use orch_core::record::{AuditRecord, Event, Receipt, ReceiptKey};
use orch_core::service::{Service, ServiceRevision, Version};
use orch_core::store::{
    AuditFilter, CommitError, Epoch, EventFilter, EventSeq, History, Image, MemoryStore, Store, StoreError,
};
use orch_core::task::Task;
use orch_core::time::Timestamp;
use orch_core::user::{ApiToken, User};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;

/// A store in one file. What is asked of it is answered from memory.
pub struct JournalStore {
    journal: Mutex<Journal>,
    memory: MemoryStore,
}

struct Journal {
    file: tokio::fs::File,
    /// What counts. Behind it may be what a crash, or a dropped call, left of a line; the next one is written over it.
    length: u64,
    epoch: Epoch,
    revision: Revision,
}

#[derive(Serialize, Deserialize)]
enum Line {
    Opened(ClusterId),
    Group(Vec<Entry>),
    Pruned { events_before: Timestamp, audit_before: Timestamp },
}

#[derive(Serialize, Deserialize)]
struct Entry {
    rows: Vec<Row>,
    events: Vec<Event>,
    audit: Vec<AuditRecord>,
}

/// [`Change`] and [`Key`] as they stand in the file: a form of our own, so that orch may rename its types.
#[derive(Serialize, Deserialize)]
enum Row {
    Namespace(Arc<NamespaceRecord>),
    Node(Arc<Node>),
    Credential(Arc<NodeCredential>),
    EnrollmentToken(Arc<EnrollmentToken>),
    Service(Arc<Service>),
    ServiceRevision(Arc<ServiceRevision>),
    Task(Arc<Task>),
    Deployment(Arc<Deployment>),
    Receipt(Arc<Receipt>),
    User(Arc<User>),
    ApiToken(Arc<ApiToken>),
    NoNamespace(Namespace),
    NoNode(NodeId),
    NoCredential(NodeId),
    NoEnrollmentToken(EnrollmentTokenId),
    NoService(ServiceId),
    NoServiceRevision(ServiceId, Version),
    NoTask(TaskId),
    NoDeployment(DeploymentId),
    NoReceipt(ReceiptKey),
    NoUser(Subject),
    NoApiToken(ApiTokenId),
}

impl JournalStore {
    /// Opens the file, or makes it, and reads it. Nobody else can meanwhile: the file is locked as long as this lives.
    ///
    /// # Errors
    /// The file cannot be had, is another process's, or says what is not understood.
    pub async fn open_file(path: &Path) -> Result<Self, StoreError> {
        let unavailable = |error: std::io::Error| StoreError::Unavailable(error.into());
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(unavailable)?;
        file.try_lock().map_err(|error| StoreError::Unavailable(error.into()))?;
        let memory = MemoryStore::new();
        let mut journal =
            Journal { file: file.into(), length: 0, epoch: Epoch::default(), revision: Revision::default() };
        for (length, line) in read(path)? {
            replay(&memory, &mut journal, line).await?;
            journal.length += length;
        }
        Ok(Self { journal: Mutex::new(journal), memory })
    }
}

/// The lines of the file with their lengths. A last one without an end was never acknowledged.
fn read(path: &Path) -> Result<Vec<(u64, Line)>, StoreError> {
    let unavailable = |error: std::io::Error| StoreError::Unavailable(error.into());
    let mut reader = BufReader::new(std::fs::File::open(path).map_err(unavailable)?);
    let (mut lines, mut text) = (Vec::new(), Vec::new());
    loop {
        text.clear();
        let length = reader.read_until(b'\n', &mut text).map_err(unavailable)?;
        if text.last() != Some(&b'\n') {
            return Ok(lines);
        }
        let what = || format!("line {} of {}", lines.len() + 1, path.display());
        let line = serde_json::from_slice(&text)
            .map_err(|error| StoreError::Corrupt { what: what(), source: error.into() })?;
        lines.push((length as u64, line));
    }
}

async fn replay(memory: &MemoryStore, journal: &mut Journal, line: Line) -> Result<(), StoreError> {
    match line {
        Line::Opened(cluster) => journal.epoch = memory.open(cluster).await?.0,
        Line::Group(entries) => {
            let group: Vec<Transaction> = entries.into_iter().map(Transaction::from).collect();
            let done = memory.commit(journal.epoch, journal.revision, &group).await;
            let what = "a group before the first opening".to_owned();
            journal.revision = done.map_err(|error| StoreError::Corrupt { what, source: error.into() })?;
        }
        Line::Pruned { events_before, audit_before } => {
            memory.prune(events_before, audit_before).await?;
        }
    }
    Ok(())
}

impl Journal {
    /// Writes a line where the last one ended, and answers once it is on disk.
    async fn append(&mut self, line: &Line) -> std::io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.set_len(self.length).await?;
        self.file.seek(SeekFrom::Start(self.length)).await?;
        self.file.write_all(&text).await?;
        self.file.flush().await?;
        self.file.sync_data().await?;
        self.length += text.len() as u64;
        Ok(())
    }
}

#[async_trait]
impl Store for JournalStore {
    async fn open(&self, fresh: ClusterId) -> Result<(Epoch, Image), StoreError> {
        let mut journal = self.journal.lock().await;
        let line = Line::Opened(fresh);
        journal.append(&line).await.map_err(|error| StoreError::Unavailable(error.into()))?;
        let (epoch, image) = self.memory.open(fresh).await?;
        journal.epoch = epoch;
        Ok((epoch, image))
    }

    async fn commit(
        &self,
        epoch: Epoch,
        base: Revision,
        group: &[Transaction],
    ) -> Result<Revision, CommitError> {
        let mut journal = self.journal.lock().await;
        if epoch == journal.epoch && base == journal.revision && !group.is_empty() {
            let line = Line::Group(group.iter().map(Entry::from).collect());
            // A line that is whole on disk counts after a crash, even where the disk then said no.
            journal.append(&line).await.map_err(|error| CommitError::Unknown(error.into()))?;
        }
        // What was not written is refused in there, with the reason.
        journal.revision = self.memory.commit(epoch, base, group).await?;
        Ok(journal.revision)
    }

    async fn prune(&self, events_before: Timestamp, audit_before: Timestamp) -> Result<u64, StoreError> {
        let mut journal = self.journal.lock().await;
        let line = Line::Pruned { events_before, audit_before };
        journal.append(&line).await.map_err(|error| StoreError::Unavailable(error.into()))?;
        self.memory.prune(events_before, audit_before).await
    }
}

#[async_trait]
impl History for JournalStore {
    async fn events_after(
        &self,
        after: EventSeq,
        filter: &EventFilter,
    ) -> Result<Vec<(EventSeq, Event)>, StoreError> {
        self.memory.events_after(after, filter).await
    }

    async fn oldest_event(&self) -> Result<Option<EventSeq>, StoreError> {
        self.memory.oldest_event().await
    }

    async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        self.memory.events(filter).await
    }

    async fn audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        self.memory.audit(filter).await
    }
}

impl From<&Transaction> for Entry {
    fn from(transaction: &Transaction) -> Self {
        let Transaction { changes, events, audit } = transaction;
        Self { rows: changes.iter().map(Row::from).collect(), events: events.clone(), audit: audit.clone() }
    }
}

impl From<Entry> for Transaction {
    fn from(Entry { rows, events, audit }: Entry) -> Self {
        Self { changes: rows.into_iter().map(Change::from).collect(), events, audit }
    }
}

impl From<&Change> for Row {
    fn from(change: &Change) -> Self {
        match change {
            Change::Namespace(row) => Self::Namespace(row.clone()),
            Change::Node(row) => Self::Node(row.clone()),
            Change::Credential(row) => Self::Credential(row.clone()),
            Change::EnrollmentToken(row) => Self::EnrollmentToken(row.clone()),
            Change::Service(row) => Self::Service(row.clone()),
            Change::ServiceRevision(row) => Self::ServiceRevision(row.clone()),
            Change::Task(row) => Self::Task(row.clone()),
            Change::Deployment(row) => Self::Deployment(row.clone()),
            Change::Receipt(row) => Self::Receipt(row.clone()),
            Change::User(row) => Self::User(row.clone()),
            Change::ApiToken(row) => Self::ApiToken(row.clone()),
            Change::Remove(key) => match key.clone() {
                Key::Namespace(name) => Self::NoNamespace(name),
                Key::Node(id) => Self::NoNode(id),
                Key::Credential(node) => Self::NoCredential(node),
                Key::EnrollmentToken(id) => Self::NoEnrollmentToken(id),
                Key::Service(id) => Self::NoService(id),
                Key::ServiceRevision(service, version) => Self::NoServiceRevision(service, version),
                Key::Task(id) => Self::NoTask(id),
                Key::Deployment(id) => Self::NoDeployment(id),
                Key::Receipt(key) => Self::NoReceipt(key),
                Key::User(name) => Self::NoUser(name),
                Key::ApiToken(id) => Self::NoApiToken(id),
            },
        }
    }
}

impl From<Row> for Change {
    fn from(row: Row) -> Self {
        match row {
            Row::Namespace(row) => Self::Namespace(row),
            Row::Node(row) => Self::Node(row),
            Row::Credential(row) => Self::Credential(row),
            Row::EnrollmentToken(row) => Self::EnrollmentToken(row),
            Row::Service(row) => Self::Service(row),
            Row::ServiceRevision(row) => Self::ServiceRevision(row),
            Row::Task(row) => Self::Task(row),
            Row::Deployment(row) => Self::Deployment(row),
            Row::Receipt(row) => Self::Receipt(row),
            Row::User(row) => Self::User(row),
            Row::ApiToken(row) => Self::ApiToken(row),
            Row::NoNamespace(name) => Self::Remove(Key::Namespace(name)),
            Row::NoNode(id) => Self::Remove(Key::Node(id)),
            Row::NoCredential(node) => Self::Remove(Key::Credential(node)),
            Row::NoEnrollmentToken(id) => Self::Remove(Key::EnrollmentToken(id)),
            Row::NoService(id) => Self::Remove(Key::Service(id)),
            Row::NoServiceRevision(service, version) => Self::Remove(Key::ServiceRevision(service, version)),
            Row::NoTask(id) => Self::Remove(Key::Task(id)),
            Row::NoDeployment(id) => Self::Remove(Key::Deployment(id)),
            Row::NoReceipt(key) => Self::Remove(Key::Receipt(key)),
            Row::NoUser(name) => Self::Remove(Key::User(name)),
            Row::NoApiToken(id) => Self::Remove(Key::ApiToken(id)),
        }
    }
}
