//! Table `namespace`.

use orch_core::cluster::Change;
use orch_core::cluster::NamespaceRecord;
use sea_orm::entity::prelude::*;

use super::{Document, read};
use crate::error::Unreadable;

/// A row: the key, and the namespace as a document.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "namespace")]
pub struct Model {
    /// Its name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// The namespace in JSON.
    pub doc: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn of(row: &NamespaceRecord) -> serde_json::Result<Self> {
        Ok(Self { name: row.name.to_string(), doc: serde_json::to_string(row)? })
    }
}

impl Document for Entity {
    fn name(row: &Model) -> String {
        row.name.clone()
    }

    fn change(row: &Model) -> Result<Change, Unreadable> {
        let value: NamespaceRecord = read(&row.doc)?;
        if value.name.to_string() == row.name { Ok(value.into()) } else { Err(Unreadable::Misplaced) }
    }
}
