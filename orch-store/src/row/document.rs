//! The tables that hold one document a row, under one key: a module each.

use sea_orm::entity::prelude::*;

use super::{Document, read};
use crate::error::Unreadable;

/// Writes `table`: rows of `$key` and the `$value` as JSON, whose field `$key` must say the same.
macro_rules! documents {
    ($( $(#[doc = $doc:literal])* $module:ident: $value:ty, by $key:ident ($table:literal); )*) => { $(
        $(#[doc = $doc])*
        pub(crate) mod $module {
            use super::*;

            /// A row.
            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model {
                /// Its key, as text.
                #[sea_orm(primary_key, auto_increment = false)]
                pub $key: String,
                /// What it says, in JSON.
                pub doc: String,
            }

            #[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}

            impl Model {
                pub(crate) fn of(row: &$value) -> serde_json::Result<Self> {
                    Ok(Self { $key: row.$key.to_string(), doc: serde_json::to_string(row)? })
                }
            }

            impl Document for Entity {
                fn name(row: &Model) -> String {
                    row.$key.clone()
                }

                fn change(row: &Model) -> Result<orch_core::cluster::Change, Unreadable> {
                    let value: $value = read(&row.doc)?;
                    if value.$key.to_string() == row.$key { Ok(value.into()) } else { Err(Unreadable::Misplaced) }
                }
            }
        }
    )* };
}

documents! {
    /// Namespaces, by name.
    namespace: orch_core::cluster::NamespaceRecord, by name ("namespace");
    /// Nodes.
    node: orch_core::node::Node, by id ("node");
    /// Credentials, one row per node, overwritten at every heartbeat. Keyed hashes, never a token.
    credential: orch_core::identity::NodeCredential, by node ("credential");
    /// Enrolment tokens, ended ones for a while. Keyed hashes, never a token.
    enrollment_token: orch_core::identity::EnrollmentToken, by id ("enrollment_token");
    /// Services.
    service: orch_core::service::Service, by id ("service");
    /// Tasks.
    task: orch_core::task::Task, by id ("task");
    /// Deployments.
    deployment: orch_core::deployment::Deployment, by id ("deployment");
    /// Users, by name. The table has not their name, which is a word of SQL.
    user: orch_core::user::User, by name ("account");
    /// API tokens. Keyed hashes, never a token.
    api_token: orch_core::user::ApiToken, by id ("api_token");
}
