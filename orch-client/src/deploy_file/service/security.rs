//! What a container may do on its node.

use orch_core::api::spec::{HostPathMount, SecurityContext};

use super::{each, within};
use crate::deploy_file::reader::{Field, Reader};

pub(super) fn security(r: &mut Reader, field: &Field<'_>) -> SecurityContext {
    const AT: &str = "security_context";
    r.place(AT, field);
    let f = r.fields(
        field,
        &[
            "user",
            "read_only_root_filesystem",
            "privileged",
            "cap_add",
            "cap_drop",
            "host_network",
            "host_pid",
            "host_path_mounts",
        ],
    );
    let mut flag =
        |name: &str| within(r, &f, &[name], &format!("{AT}.{name}"), Reader::boolean).unwrap_or_default();
    let (read_only_root_filesystem, privileged) = (flag("read_only_root_filesystem"), flag("privileged"));
    let (host_network, host_pid) = (flag("host_network"), flag("host_pid"));
    let mut context = SecurityContext {
        user: within(r, &f, &["user"], "security_context.user", Reader::text),
        read_only_root_filesystem,
        privileged,
        host_network,
        host_pid,
        ..SecurityContext::default()
    };
    each(r, &f, &["cap_add"], "security_context.cap_add", Reader::text, &mut context.cap_add);
    each(r, &f, &["cap_drop"], "security_context.cap_drop", Reader::text, &mut context.cap_drop);
    let at = "security_context.host_path_mounts";
    each(r, &f, &["host_path_mounts"], at, host_path, &mut context.host_path_mounts);
    context
}

fn host_path(r: &mut Reader, field: &Field<'_>) -> Option<HostPathMount> {
    let f = r.fields(field, &["host_path", "container_path", "read_only"]);
    let mut path = |name: &str, shown: &str| match f.get(&[name]) {
        Some(field) => r.text(&field),
        None => {
            r.wrong(field, format!("`{shown}` is missing"));
            None
        }
    };
    let (host_path, container_path) =
        (path("host_path", "hostPath"), path("container_path", "containerPath"));
    let read_only = f.get(&["read_only"]).and_then(|field| r.boolean(&field)).unwrap_or_default();
    Some(HostPathMount { host_path: host_path?, container_path: container_path?, read_only })
}
