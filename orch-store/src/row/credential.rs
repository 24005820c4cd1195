//! Table `credential`: one row per node, overwritten at every heartbeat. Holds keyed hashes, never a token.

use orch_core::cluster::Change;
use orch_core::identity::NodeCredential;
use sea_orm::entity::prelude::*;

use super::{Document, read};
use crate::error::Unreadable;

/// A row: the key, and the credential as a document.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credential")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub node: String,
    /// The credential in JSON.
    pub doc: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn of(row: &NodeCredential) -> serde_json::Result<Self> {
        Ok(Self { node: row.node.to_string(), doc: serde_json::to_string(row)? })
    }
}

impl Document for Entity {
    fn name(row: &Model) -> String {
        row.node.clone()
    }

    fn change(row: &Model) -> Result<Change, Unreadable> {
        let value: NodeCredential = read(&row.doc)?;
        if value.node.to_string() == row.node { Ok(value.into()) } else { Err(Unreadable::Misplaced) }
    }
}
