//! Table `audit`: the record as a document, and what is asked for as columns. Ordered by (revision, ordinal).

use orch_core::record::{ActorType, AuditRecord, Outcome};
use sea_orm::entity::prelude::*;

use super::column_text;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub struct Model {
    /// The transaction it came with.
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    /// Its place in the transaction, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub ordinal: i64,
    /// Microseconds since the epoch.
    pub at: i64,
    /// Null: cluster-wide.
    pub namespace: Option<String>,
    /// The word on the wire.
    pub actor_type: String,
    /// Who.
    pub actor_id: String,
    /// What was done.
    pub action: String,
    /// To what kind of thing.
    pub target_type: String,
    /// To which.
    pub target_id: String,
    /// The word on the wire.
    pub outcome: String,
    /// The record in JSON.
    pub doc: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn of(revision: i64, ordinal: i64, record: &AuditRecord) -> serde_json::Result<Self> {
        Ok(Self {
            revision,
            ordinal,
            at: record.at.as_micros(),
            namespace: record.namespace.as_ref().map(ToString::to_string),
            actor_type: actor_type(record.actor_type).to_owned(),
            actor_id: column_text(&record.actor_id),
            action: column_text(&record.action),
            target_type: column_text(&record.target_type),
            target_id: column_text(&record.target_id),
            outcome: outcome(record.outcome).to_owned(),
            doc: serde_json::to_string(record)?,
        })
    }
}

pub(crate) const fn actor_type(actor: ActorType) -> &'static str {
    match actor {
        ActorType::User => "user",
        ActorType::Agent => "agent",
        ActorType::System => "system",
    }
}

pub(crate) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
    }
}
