//! Events and audit records by filter, newest first.

use orch_core::cluster::Revision;
use orch_core::record::{AuditRecord, Event};
use orch_core::store::{AuditFilter, EventFilter, EventSeq, StoreError};
use orch_core::time::Timestamp;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, Value,
};
use serde::de::DeserializeOwned;

use crate::engine::Engine;
use crate::error::corrupt;
use crate::row::{audit, column_text, event, read};
use crate::statement::raw;

pub(crate) async fn events(
    engine: &dyn Engine,
    readers: &DatabaseConnection,
    filter: &EventFilter,
) -> Result<Vec<Event>, StoreError> {
    use event::Column;
    let rows = event::Entity::find()
        .filter(wanted(filter))
        .order_by_desc(Column::Revision)
        .order_by_desc(Column::Ordinal)
        .limit(bounded(filter.limit))
        .all(readers)
        .await
        .map_err(|error| engine.read_failure(error.into()))?;
    rows.into_iter().map(|row| record("event", row.revision, row.ordinal, &row.doc)).collect()
}

pub(crate) async fn events_after(
    engine: &dyn Engine,
    readers: &DatabaseConnection,
    after: EventSeq,
    filter: &EventFilter,
) -> Result<Vec<(EventSeq, Event)>, StoreError> {
    use event::Column;
    let revision = i64::try_from(after.revision.0).unwrap_or(i64::MAX);
    let later = Condition::any().add(Column::Revision.gt(revision)).add(
        Condition::all().add(Column::Revision.eq(revision)).add(Column::Ordinal.gt(i64::from(after.ordinal))),
    );
    let rows = event::Entity::find()
        // Stated apart, for planners that see no range in a disjunction.
        .filter(Column::Revision.gte(revision))
        .filter(later)
        .filter(wanted(filter))
        .order_by_asc(Column::Revision)
        .order_by_asc(Column::Ordinal)
        .limit(bounded(filter.limit))
        .all(readers)
        .await
        .map_err(|error| engine.read_failure(error.into()))?;
    let read = |row: event::Model| {
        let event = record("event", row.revision, row.ordinal, &row.doc)?;
        Ok((seq(row.revision, row.ordinal)?, event))
    };
    rows.into_iter().map(read).collect()
}

pub(crate) async fn oldest_event(
    engine: &dyn Engine,
    readers: &DatabaseConnection,
) -> Result<Option<EventSeq>, StoreError> {
    use event::Column;
    let row = event::Entity::find()
        .order_by_asc(Column::Revision)
        .order_by_asc(Column::Ordinal)
        .one(readers)
        .await
        .map_err(|error| engine.read_failure(error.into()))?;
    row.map(|row| seq(row.revision, row.ordinal)).transpose()
}

fn seq(revision: i64, ordinal: i64) -> Result<EventSeq, StoreError> {
    let out_of_range =
        || corrupt(format!("event {revision}.{ordinal}"), std::io::Error::other("its place is out of range"));
    let place = u64::try_from(revision).ok().zip(u32::try_from(ordinal).ok());
    let (revision, ordinal) = place.ok_or_else(out_of_range)?;
    Ok(EventSeq { revision: Revision(revision), ordinal })
}

fn wanted(filter: &EventFilter) -> Condition {
    use event::Column;
    let about = |kind: &str, id: Option<String>| {
        id.map(|id| Condition::all().add(Column::RelatedId.eq(id)).add(Column::RelatedType.eq(kind)))
    };
    Condition::all()
        .add_option(
            filter.namespace.as_ref().map(|name| here_or_everywhere(&Column::Namespace, name.as_str())),
        )
        .add_option(filter.service.map(|id| Column::ServiceId.eq(id.to_string())))
        .add_option(about("task", filter.task.map(|id| id.to_string())))
        .add_option(about("node", filter.node.map(|id| id.to_string())))
        .add_option(filter.kind.map(|kind| Column::Kind.eq(kind.as_str())))
        .add_option(filter.severity.map(|severity| Column::Severity.eq(severity.as_str())))
        .add_option(filter.since.map(|since| Column::At.gte(since.as_micros())))
}

pub(crate) async fn audit(
    engine: &dyn Engine,
    readers: &DatabaseConnection,
    filter: &AuditFilter,
) -> Result<Vec<AuditRecord>, StoreError> {
    use audit::Column;
    let is =
        |column: Column, wanted: &Option<String>| wanted.as_deref().map(|text| column.eq(column_text(text)));
    let wanted = Condition::all()
        .add_option(
            filter.namespace.as_ref().map(|name| here_or_everywhere(&Column::Namespace, name.as_str())),
        )
        .add_option(filter.actor_type.map(|actor| Column::ActorType.eq(audit::actor_type(actor))))
        .add_option(is(Column::ActorId, &filter.actor_id))
        .add_option(is(Column::Action, &filter.action))
        .add_option(is(Column::TargetType, &filter.target_type))
        .add_option(is(Column::TargetId, &filter.target_id))
        .add_option(filter.outcome.map(|outcome| Column::Outcome.eq(audit::outcome(outcome))))
        .add_option(filter.since.map(|since| Column::At.gte(since.as_micros())));
    let rows = audit::Entity::find()
        .filter(wanted)
        .order_by_desc(Column::Revision)
        .order_by_desc(Column::Ordinal)
        .limit(bounded(filter.limit))
        .all(readers)
        .await
        .map_err(|error| engine.read_failure(error.into()))?;
    rows.into_iter().map(|row| record("audit", row.revision, row.ordinal, &row.doc)).collect()
}

fn here_or_everywhere(column: &impl ColumnTrait, namespace: &str) -> Condition {
    Condition::any().add(column.eq(namespace)).add(column.is_null())
}

/// Both engines count in 63 bits.
fn bounded(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs())
}

fn record<T: DeserializeOwned>(table: &str, revision: i64, ordinal: i64, doc: &str) -> Result<T, StoreError> {
    read(doc).map_err(|unreadable| corrupt(format!("{table} {revision}.{ordinal}"), unreadable))
}

/// The tables that grow with time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept {
    Events,
    Audit,
}

/// How many rows go in one transaction: few enough that a group waits a moment only.
pub(crate) const PRUNE_CHUNK: i64 = 1_000;

/// Removes at most a chunk of what is older; answers how many rows went.
pub(crate) async fn prune_chunk(
    writer: &DatabaseConnection,
    table: Kept,
    before: Timestamp,
) -> Result<u64, DbErr> {
    let text = match table {
        Kept::Events => {
            "DELETE FROM event WHERE (revision, ordinal) IN
             (SELECT revision, ordinal FROM event WHERE at < ? ORDER BY at LIMIT ?)"
        }
        Kept::Audit => {
            "DELETE FROM audit WHERE (revision, ordinal) IN
             (SELECT revision, ordinal FROM audit WHERE at < ? ORDER BY at LIMIT ?)"
        }
    };
    let values = [Value::from(before.as_micros()), Value::from(PRUNE_CHUNK)];
    Ok(writer.execute_raw(raw(writer.get_database_backend(), text, values)).await?.rows_affected())
}
