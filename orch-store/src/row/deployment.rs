//! Table `deployment`.

use orch_core::cluster::Change;
use orch_core::deployment::Deployment;
use sea_orm::entity::prelude::*;

use super::{Document, read};
use crate::error::Unreadable;

/// A row: the key, and the deployment as a document.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deployment")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The deployment in JSON.
    pub doc: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn of(row: &Deployment) -> serde_json::Result<Self> {
        Ok(Self { id: row.id.to_string(), doc: serde_json::to_string(row)? })
    }
}

impl Document for Entity {
    fn name(row: &Model) -> String {
        row.id.clone()
    }

    fn change(row: &Model) -> Result<Change, Unreadable> {
        let value: Deployment = read(&row.doc)?;
        if value.id.to_string() == row.id { Ok(value.into()) } else { Err(Unreadable::Misplaced) }
    }
}
