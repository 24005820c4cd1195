//! What is mounted into containers.

use orch_core::api::spec::{Mount, MountKind};

use super::within;
use crate::deploy_file::reader::{Field, Reader};

pub(super) fn mount(r: &mut Reader, field: &Field<'_>, at: &str) -> Option<Mount> {
    let f = r.fields(field, &["type", "source", "target", "read_only", "size", "mode"]);
    let kinds = [("volume", MountKind::Volume), ("tmpfs", MountKind::Tmpfs), ("bind", MountKind::Bind)];
    let at = |name: &str| format!("{at}.{name}");
    let kind = match within(r, &f, &["type"], &at("type"), |r, field| r.word(field, &kinds)) {
        Some(kind) => kind,
        None if f.get(&["type"]).is_some() => return None,
        None => MountKind::default(),
    };
    if f.get(&["target"]).is_none() {
        r.wrong(field, "`target` is missing: the path in the container");
        return None;
    }
    Some(Mount {
        kind,
        source: within(r, &f, &["source"], &at("source"), Reader::text).unwrap_or_default(),
        target: within(r, &f, &["target"], &at("target"), Reader::text)?,
        read_only: within(r, &f, &["read_only"], &at("read_only"), Reader::boolean).unwrap_or_default(),
        size: within(r, &f, &["size"], &at("size"), Reader::memory).unwrap_or_default(),
        mode: within(r, &f, &["mode"], &at("mode"), Reader::text).unwrap_or_default(),
    })
}
