//! Table `service_revision`.

use orch_core::cluster::Change;
use orch_core::service::ServiceRevision;
use sea_orm::entity::prelude::*;

use super::{Document, read};
use crate::error::Unreadable;

/// A row: the key, and the revision as a document.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "service_revision")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub service: String,
    /// Which version.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    /// The revision in JSON.
    pub doc: String,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    pub(crate) fn of(row: &ServiceRevision) -> serde_json::Result<Self> {
        Ok(Self {
            service: row.service.to_string(),
            version: row.version.0.into(),
            doc: serde_json::to_string(row)?,
        })
    }
}

impl Document for Entity {
    fn name(row: &Model) -> String {
        format!("{} version {}", row.service, row.version)
    }

    fn change(row: &Model) -> Result<Change, Unreadable> {
        let value: ServiceRevision = read(&row.doc)?;
        if value.service.to_string() == row.service && i64::from(value.version.0) == row.version {
            Ok(value.into())
        } else {
            Err(Unreadable::Misplaced)
        }
    }
}
