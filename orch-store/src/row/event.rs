//! Table `event`: the event as a document, and what is asked for as columns. Ordered by (revision, ordinal).

use orch_core::record::Event;
use sea_orm::entity::prelude::*;

use super::column_text;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event")]
pub struct Model {
    /// The transaction it came with.
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    /// Its place in the transaction, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub ordinal: i64,
    /// Microseconds since the epoch.
    pub at: i64,
    /// The type on the wire.
    pub kind: String,
    /// The word on the wire.
    pub severity: String,
    /// Null: cluster-wide.
    pub namespace: Option<String>,
    /// What kind of thing it is about.
    pub related_type: Option<String>,
    /// Its id.
    pub related_id: Option<String>,
    /// The service that it concerns, about it or not. Events that were written before this column have it from the migration.
    pub service_id: Option<String>,
    /// The event in JSON.
    pub doc: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn of(revision: i64, ordinal: i64, event: &Event) -> serde_json::Result<Self> {
        let (related_type, related_id) = event.related.as_ref().map(|about| about.wire()).unzip();
        Ok(Self {
            revision,
            ordinal,
            at: event.at.as_micros(),
            kind: event.kind.as_str().to_owned(),
            severity: event.severity.as_str().to_owned(),
            namespace: event.namespace.as_ref().map(ToString::to_string),
            related_type: related_type.map(str::to_owned),
            related_id: related_id.as_deref().map(column_text),
            service_id: event.service().map(|id| id.to_string()),
            doc: serde_json::to_string(event)?,
        })
    }
}
