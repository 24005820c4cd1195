//! Taking the right to write, and reading the whole state, in one transaction: nothing is written in between.

use futures_util::TryStreamExt as _;
use orch_core::cluster::{Change, Revision};
use orch_core::id::ClusterId;
use orch_core::store::{Epoch, Image, StoreError};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Value};

use crate::engine::Engine;
use crate::error::{SqlFailure, Unreadable, corrupt};
use crate::row::{
    Document, api_token, credential, deployment, enrollment_token, namespace, node, receipt, service,
    service_revision, task, user,
};
use crate::statement::raw;

const TAKE_OVER: &str = "INSERT INTO lease (id, cluster, epoch, seq) VALUES (1, ?, 1, 0)
    ON CONFLICT (id) DO UPDATE SET epoch = lease.epoch + 1 RETURNING cluster, epoch, seq";

/// Raises the epoch and loads the image.
pub(crate) async fn open(
    engine: &dyn Engine,
    transaction: DatabaseTransaction,
    fresh: ClusterId,
) -> Result<(Epoch, Image), StoreError> {
    let failed = |error: DbErr| engine.read_failure(SqlFailure::from(error));
    let lease = raw(engine.backend(), TAKE_OVER, [Value::from(fresh.to_string())]);
    let lease = transaction.query_one_raw(lease).await.map_err(failed)?;
    let lease = lease.ok_or_else(|| corrupt("the lease", Unreadable::Misplaced))?;
    let cluster: String = lease.try_get("", "cluster").map_err(failed)?;
    let cluster = cluster.parse().map_err(|error| corrupt("the cluster's id", error))?;
    let epoch = number(lease.try_get("", "epoch").map_err(failed)?, "the lease's epoch")?;
    let seq = number(lease.try_get("", "seq").map_err(failed)?, "the lease's sequence")?;

    let mut rows = Vec::new();
    read_table::<namespace::Entity>(engine, &transaction, &mut rows).await?;
    read_table::<node::Entity>(engine, &transaction, &mut rows).await?;
    read_table::<credential::Entity>(engine, &transaction, &mut rows).await?;
    read_table::<enrollment_token::Entity>(engine, &transaction, &mut rows).await?;
    read_table::<service::Entity>(engine, &transaction, &mut rows).await?;
    read_table::<service_revision::Entity>(engine, &transaction, &mut rows).await?;
    read_table::<task::Entity>(engine, &transaction, &mut rows).await?;
    read_table::<deployment::Entity>(engine, &transaction, &mut rows).await?;
    read_table::<receipt::Entity>(engine, &transaction, &mut rows).await?;
    read_table::<user::Entity>(engine, &transaction, &mut rows).await?;
    read_table::<api_token::Entity>(engine, &transaction, &mut rows).await?;
    transaction.commit().await.map_err(failed)?;
    Ok((Epoch(epoch), Image { cluster, revision: Revision(seq), rows }))
}

async fn read_table<E: Document>(
    engine: &dyn Engine,
    transaction: &DatabaseTransaction,
    into: &mut Vec<Change>,
) -> Result<(), StoreError> {
    let failed = |error: DbErr| engine.read_failure(error.into());
    // Row by row: the documents of a large cluster, all at once, would take several times the memory of what they say.
    let mut rows = E::find().stream(transaction).await.map_err(failed)?;
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let change = E::change(&row).map_err(|unreadable| {
            let table = E::default();
            corrupt(format!("{} {}", table.table_name(), E::name(&row)), unreadable)
        })?;
        into.push(change);
    }
    Ok(())
}

fn number(value: i64, what: &str) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|error| corrupt(what, error))
}
