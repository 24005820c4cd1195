//! Variables, and secrets by reference.

use orch_core::api::spec::{SecretRef, ServiceSpec};
use orch_core::name::EnvName;

use crate::deploy_file::node::Value;
use crate::deploy_file::reader::{Field, Reader};

pub(super) fn environment(r: &mut Reader, field: &Field<'_>, spec: &mut ServiceSpec) {
    r.place("env", field);
    for (key, value) in r.map(field) {
        let name = key.text.as_str();
        r.place(format!("env.{name}"), &value);
        if let Err(problem) = name.parse::<EnvName>() {
            r.wrong_key(key, &value, problem.to_string());
            continue;
        }
        if !matches!(value.node.value, Value::Map(_)) {
            if let Some(text) = r.text(&value) {
                spec.env.insert(name.to_owned(), text);
            }
            continue;
        }
        let f = r.fields(&value, &["value", "secret_ref"]);
        match (f.get(&["value"]), f.get(&["secret_ref"])) {
            (Some(literal), None) => {
                if let Some(text) = r.text(&literal) {
                    spec.env.insert(name.to_owned(), text);
                }
            }
            (None, Some(reference)) => {
                let secret = if matches!(reference.node.value, Value::Map(_)) {
                    let f = r.fields(&reference, &["name", "key"]);
                    let (secret, key) = (f.get(&["name"]), f.get(&["key"]));
                    if secret.is_none() {
                        r.wrong(&reference, "`name` is missing");
                    }
                    secret.and_then(|s| r.text(&s)).map(|s| (s, key.and_then(|k| r.text(&k))))
                } else {
                    r.text(&reference).map(|secret| (secret, None))
                };
                if let Some((secret, key)) = secret {
                    r.place(format!("secret_refs[{}]", spec.secret_refs.len()), &reference);
                    spec.secret_refs.push(SecretRef {
                        name: secret,
                        key,
                        env: Some(name.to_owned()),
                        file: None,
                    });
                }
            }
            (Some(_), Some(_)) => r.wrong(&value, "`value` and `secretRef` both; keep one of them"),
            (None, None) => r.wrong(&value, "expected a string, {value: …} or {secretRef: …}"),
        }
    }
}

pub(super) fn secret_ref(r: &mut Reader, field: &Field<'_>) -> Option<SecretRef> {
    let f = r.fields(field, &["name", "key", "env", "file"]);
    let mut text = |name: &str| f.get(&[name]).map(|field| r.text(&field).unwrap_or_default());
    let (name, key, env, file) = (text("name"), text("key"), text("env"), text("file"));
    if name.is_none() {
        r.wrong(field, "`name` is missing");
    }
    Some(SecretRef { name: name?, key, env, file })
}
