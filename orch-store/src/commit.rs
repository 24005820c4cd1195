//! A group becomes one database transaction, with the fence and the gapless sequence in it.

use orch_core::cluster::{Change, Key, Revision, Transaction, fold};
use orch_core::store::{CommitError, Epoch};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, Statement, Value};

use crate::engine::Engine;
use crate::error::{SqlFailure, not_written};
use crate::row::{
    api_token, audit, credential, deployment, enrollment_token, event, namespace, node, receipt, service,
    service_revision, task, user, values,
};
use crate::statement::{chunks, delete, insert, raw, upsert};

/// Both at once: no row is updated unless epoch and sequence are what the writer believes.
const FENCE: &str = "UPDATE lease SET seq = seq + ? WHERE id = 1 AND epoch = ? AND seq = ?";
const LEASE: &str = "SELECT epoch, seq FROM lease WHERE id = 1";

/// What is to be written, in values of the engine: made before the writing connection is taken.
#[derive(Debug)]
pub(crate) struct Work {
    base: i64,
    transactions: i64,
    namespaces: Table,
    nodes: Table,
    credentials: Table,
    enrollment_tokens: Table,
    services: Table,
    service_revisions: Table,
    tasks: Table,
    deployments: Table,
    receipts: Table,
    users: Table,
    api_tokens: Table,
    events: Vec<Vec<Value>>,
    audit: Vec<Vec<Value>>,
}

/// Rows to write and keys to remove; no row is in both, since the group is folded.
#[derive(Debug, Default)]
struct Table {
    put: Vec<Vec<Value>>,
    remove: Vec<Vec<Value>>,
}

impl Work {
    /// Folds a group.
    pub(crate) fn of(base: Revision, group: &[Transaction]) -> Result<Self, CommitError> {
        let revisions = i64::try_from(base.0).ok().and_then(|base| {
            let transactions = i64::try_from(group.len()).ok()?;
            base.checked_add(transactions).map(|_| (base, transactions))
        });
        let (base, transactions) =
            revisions.ok_or_else(|| CommitError::NotWritten("the revision is out of range".into()))?;
        let mut work = Self {
            base,
            transactions,
            namespaces: Table::default(),
            nodes: Table::default(),
            credentials: Table::default(),
            enrollment_tokens: Table::default(),
            services: Table::default(),
            service_revisions: Table::default(),
            tasks: Table::default(),
            deployments: Table::default(),
            receipts: Table::default(),
            users: Table::default(),
            api_tokens: Table::default(),
            events: Vec::new(),
            audit: Vec::new(),
        };
        work.add(group).map_err(|error| CommitError::NotWritten(Box::new(error)))?;
        Ok(work)
    }

    fn add(&mut self, group: &[Transaction]) -> serde_json::Result<()> {
        for (_, change) in fold(group) {
            match change {
                Change::Namespace(row) => self.namespaces.put.push(values(namespace::Model::of(row)?)),
                Change::Node(row) => self.nodes.put.push(values(node::Model::of(row)?)),
                Change::Credential(row) => self.credentials.put.push(values(credential::Model::of(row)?)),
                Change::EnrollmentToken(row) => {
                    self.enrollment_tokens.put.push(values(enrollment_token::Model::of(row)?));
                }
                Change::Service(row) => self.services.put.push(values(service::Model::of(row)?)),
                Change::ServiceRevision(row) => {
                    self.service_revisions.put.push(values(service_revision::Model::of(row)?));
                }
                Change::Task(row) => self.tasks.put.push(values(task::Model::of(row)?)),
                Change::Deployment(row) => self.deployments.put.push(values(deployment::Model::of(row)?)),
                Change::Receipt(row) => self.receipts.put.push(values(receipt::Model::of(row)?)),
                Change::User(row) => self.users.put.push(values(user::Model::of(row)?)),
                Change::ApiToken(row) => self.api_tokens.put.push(values(api_token::Model::of(row)?)),
                Change::Remove(key) => self.remove(key),
            }
        }
        for (revision, transaction) in (self.base + 1..).zip(group) {
            for (ordinal, event) in (0..).zip(&transaction.events) {
                self.events.push(values(event::Model::of(revision, ordinal, event)?));
            }
            for (ordinal, record) in (0..).zip(&transaction.audit) {
                self.audit.push(values(audit::Model::of(revision, ordinal, record)?));
            }
        }
        Ok(())
    }

    fn remove(&mut self, key: &Key) {
        let one = |id: String| vec![Value::from(id)];
        match key {
            Key::Namespace(name) => self.namespaces.remove.push(one(name.to_string())),
            Key::Node(id) => self.nodes.remove.push(one(id.to_string())),
            Key::Credential(id) => self.credentials.remove.push(one(id.to_string())),
            Key::EnrollmentToken(id) => self.enrollment_tokens.remove.push(one(id.to_string())),
            Key::Service(id) => self.services.remove.push(one(id.to_string())),
            Key::ServiceRevision(id, version) => {
                self.service_revisions.remove.push(vec![id.to_string().into(), i64::from(version.0).into()]);
            }
            Key::Task(id) => self.tasks.remove.push(one(id.to_string())),
            Key::Deployment(id) => self.deployments.remove.push(one(id.to_string())),
            Key::Receipt(key) => self.receipts.remove.push(receipt::key(key).map(Value::from).to_vec()),
            Key::User(name) => self.users.remove.push(one(name.to_string())),
            Key::ApiToken(id) => self.api_tokens.remove.push(one(id.to_string())),
        }
    }

    /// How many rows change.
    pub(crate) fn rows(&self) -> usize {
        let tables = [
            &self.namespaces,
            &self.nodes,
            &self.credentials,
            &self.enrollment_tokens,
            &self.services,
            &self.service_revisions,
            &self.tasks,
            &self.deployments,
            &self.receipts,
            &self.users,
            &self.api_tokens,
        ];
        let state: usize = tables.iter().map(|table| table.put.len() + table.remove.len()).sum();
        state + self.events.len() + self.audit.len()
    }

    async fn write(self, to: &DatabaseTransaction) -> Result<(), DbErr> {
        self.namespaces.write::<namespace::Entity>(to).await?;
        self.nodes.write::<node::Entity>(to).await?;
        self.credentials.write::<credential::Entity>(to).await?;
        self.enrollment_tokens.write::<enrollment_token::Entity>(to).await?;
        self.services.write::<service::Entity>(to).await?;
        self.service_revisions.write::<service_revision::Entity>(to).await?;
        self.tasks.write::<task::Entity>(to).await?;
        self.deployments.write::<deployment::Entity>(to).await?;
        self.receipts.write::<receipt::Entity>(to).await?;
        self.users.write::<user::Entity>(to).await?;
        self.api_tokens.write::<api_token::Entity>(to).await?;
        in_chunks(to, self.events, insert::<event::Entity>).await?;
        in_chunks(to, self.audit, insert::<audit::Entity>).await
    }
}

impl Table {
    async fn write<E: EntityTrait>(self, to: &DatabaseTransaction) -> Result<(), DbErr> {
        in_chunks(to, self.put, upsert::<E>).await?;
        in_chunks(to, self.remove, delete::<E>).await
    }
}

async fn in_chunks(
    to: &DatabaseTransaction,
    rows: Vec<Vec<Value>>,
    statement: fn(sea_orm::DbBackend, Vec<Vec<Value>>) -> Statement,
) -> Result<(), DbErr> {
    let backend = to.get_database_backend();
    let sizes = chunks(rows.len());
    let mut rows = rows.into_iter();
    for size in sizes {
        to.execute_raw(statement(backend, rows.by_ref().take(size).collect())).await?;
    }
    Ok(())
}

/// Writes the work, whole or not at all; returns once it is durable.
pub(crate) async fn run(
    engine: &dyn Engine,
    transaction: DatabaseTransaction,
    epoch: Epoch,
    work: Work,
) -> Result<Revision, CommitError> {
    let (base, after) = (work.base, work.base + work.transactions);
    let held = i64::try_from(epoch.0).unwrap_or(i64::MAX);
    let fence: [Value; 3] = [work.transactions.into(), held.into(), base.into()];
    let passed = transaction.execute_raw(raw(engine.backend(), FENCE, fence)).await.map_err(not_written)?;
    if passed.rows_affected() == 0 {
        let refusal = refusal(engine, &transaction, held, base).await;
        transaction.rollback().await.map_err(not_written)?;
        return Err(refusal);
    }
    work.write(&transaction).await.map_err(not_written)?;
    match transaction.commit().await.map_err(SqlFailure::from) {
        Ok(()) => Ok(Revision(after.unsigned_abs())),
        Err(failure) if engine.commit_left_nothing(&failure) => Err(not_written(failure)),
        Err(failure) => Err(CommitError::Unknown(Box::new(failure))),
    }
}

/// Why the fence did not let the group pass.
async fn refusal(
    engine: &dyn Engine,
    transaction: &DatabaseTransaction,
    held: i64,
    base: i64,
) -> CommitError {
    let lease = async {
        let lease = transaction.query_one_raw(raw(engine.backend(), LEASE, [])).await?;
        lease
            .map(|lease| Ok::<(i64, i64), DbErr>((lease.try_get("", "epoch")?, lease.try_get("", "seq")?)))
            .transpose()
    };
    match lease.await {
        Ok(Some((epoch, _))) if epoch != held => CommitError::Fenced { newest: Epoch(epoch.unsigned_abs()) },
        Ok(Some((_, seq))) => CommitError::NotWritten(format!("the store is at {seq}, not {base}").into()),
        Ok(None) => CommitError::NotWritten("the store was never opened".into()),
        Err(error) => not_written(error),
    }
}
