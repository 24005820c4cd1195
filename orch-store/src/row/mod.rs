//! The tables: the entity of each, and how a value of the domain becomes a row and a row a value again. Rows do not
//! leave this crate.
#![allow(
    unreachable_pub,
    missing_docs,
    reason = "the entity derives write public items; the module is private"
)]

pub(crate) mod audit;
mod document;
pub(crate) mod event;
pub(crate) mod receipt;
pub(crate) mod service_revision;

pub(crate) use document::{
    api_token, credential, deployment, enrollment_token, namespace, node, service, task, user,
};
use orch_core::cluster::Change;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Iterable, ModelTrait, Value};
use serde::de::DeserializeOwned;

use crate::error::Unreadable;

/// A table of the live state, read whole: a key and a document.
pub(crate) trait Document: EntityTrait {
    /// What to call the row when something is wrong with it.
    fn name(row: &Self::Model) -> String;
    /// What the row says. The document is checked against the key.
    fn change(row: &Self::Model) -> Result<Change, Unreadable>;
}

/// Reads a document, or a record of the history.
pub(crate) fn read<T: DeserializeOwned>(doc: &str) -> Result<T, Unreadable> {
    Ok(serde_json::from_str(doc)?)
}

/// The values of a row, in the order of its columns.
pub(crate) fn values<M>(row: M) -> Vec<Value>
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
{
    let mut row = row.into_active_model();
    <M::Entity as EntityTrait>::Column::iter()
        .map(|column| row.take(column).into_value().expect("a model sets every column"))
        .collect()
}

/// A text as a column of filters holds it: PostgreSQL takes no NUL, and one odd name must not make a group unwritable.
/// The document keeps the text as it is.
pub(crate) fn column_text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
