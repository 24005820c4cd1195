//! Table `receipt`.

use orch_core::cluster::Change;
use orch_core::record::{Receipt, ReceiptKey};
use sea_orm::entity::prelude::*;

use super::{Document, read};
use crate::error::Unreadable;

/// A row: the key, and the receipt as a document.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "receipt")]
pub struct Model {
    /// Who asked.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    /// For which action.
    #[sea_orm(primary_key, auto_increment = false)]
    pub action: String,
    /// In which namespace; empty where it is cluster-wide, since a key has no nulls.
    #[sea_orm(primary_key, auto_increment = false)]
    pub namespace: String,
    /// The caller's key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub idempotency_key: String,
    /// The receipt in JSON.
    pub doc: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn of(row: &Receipt) -> serde_json::Result<Self> {
        let [subject, action, namespace, idempotency_key] = key(&row.key);
        Ok(Self { subject, action, namespace, idempotency_key, doc: serde_json::to_string(row)? })
    }
}

/// The columns of a key, in their order.
pub(crate) fn key(key: &ReceiptKey) -> [String; 4] {
    [
        key.subject.to_string(),
        key.action.clone(),
        key.namespace.as_ref().map(ToString::to_string).unwrap_or_default(),
        key.key.to_string(),
    ]
}

impl Document for Entity {
    fn name(row: &Model) -> String {
        format!("of {} for {}", row.subject, row.action)
    }

    fn change(row: &Model) -> Result<Change, Unreadable> {
        let value: Receipt = read(&row.doc)?;
        if key(&value.key) == [&*row.subject, &*row.action, &*row.namespace, &*row.idempotency_key] {
            Ok(value.into())
        } else {
            Err(Unreadable::Misplaced)
        }
    }
}
