//! Namespaces.

use axum::extract::State;
use orch_core::api::endpoint::{self as ep, Nothing};
use orch_core::api::namespace::{Namespace, NamespaceAnswer, NamespacesAnswer};
use orch_core::command::{self, FieldPath, Rejection};
use orch_core::control_plane::query::ReadNamespaces;
use orch_core::name;
use orch_core::time::Timestamp;

use super::super::App;
use super::super::body::Answer;
use super::super::call::Call;
use super::super::error::ApiError;
use super::Reply;

fn parse(text: &str) -> Result<name::Namespace, ApiError> {
    text.trim().to_ascii_lowercase().parse().map_err(|error: name::InvalidName| {
        Rejection::invalid(FieldPath::new("name"), error.to_string(), "a namespace's name").into()
    })
}

pub(crate) async fn create(
    State(app): State<App>,
    call: Call<ep::CreateNamespace, command::CreateNamespace>,
) -> Reply<ep::CreateNamespace> {
    let command = command::CreateNamespace { name: parse(&call.body.name)? };
    let namespace = app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(NamespaceAnswer { namespace: namespace.as_ref().into() }))
}

pub(crate) async fn list(
    State(app): State<App>,
    call: Call<ep::ListNamespaces, ReadNamespaces>,
) -> Reply<ep::ListNamespaces> {
    let view = app.control.read(&call.permit);
    let mut namespaces: Vec<Namespace> = view.cluster().namespaces().map(|row| row.as_ref().into()).collect();
    if !namespaces.iter().any(|namespace| namespace.name == "default") {
        // It is there from the start, and has no row.
        namespaces.push(Namespace { name: "default".to_owned(), created_at: Timestamp::ZERO.into() });
        namespaces.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(Answer(NamespacesAnswer { namespaces }))
}

pub(crate) async fn delete(
    State(app): State<App>,
    call: Call<ep::DeleteNamespace, command::DeleteNamespace>,
) -> Reply<ep::DeleteNamespace> {
    let command = command::DeleteNamespace { name: parse(call.param("name"))? };
    app.control.execute_with(call.permit, command, call.options).await?;
    Ok(Answer(Nothing {}))
}
