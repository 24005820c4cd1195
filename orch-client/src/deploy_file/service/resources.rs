//! What is reserved, and what may be used at most.

use orch_core::api::Resources;
use orch_core::api::spec::ResourceRequirements;

use super::within;
use crate::deploy_file::reader::{Field, Reader};

pub(super) fn resources(r: &mut Reader, field: &Field<'_>) -> ResourceRequirements {
    const AT: &str = "resource_requirements";
    r.place(AT, field);
    let f =
        r.fields(field, &["cpu", "memory", "requests", "limits", "requests_defaulted", "limits_defaulted"]);
    let mut both = Resources::default();
    for side in ["requests", "limits"] {
        let cpu = format!("{AT}.{side}.cpu");
        let memory = format!("{AT}.{side}.memory");
        if let Some(field) = f.get(&["cpu"]) {
            r.place(cpu, &field);
        }
        if let Some(field) = f.get(&["memory"]) {
            r.place(memory, &field);
        }
    }
    if let Some(field) = f.get(&["cpu"]) {
        both.cpu = r.cpu(&field).unwrap_or_default();
    }
    if let Some(field) = f.get(&["memory"]) {
        both.memory = r.memory(&field).unwrap_or_default();
    }
    // What the server says of its own filling in, where its answer is taken as a file.
    let mut said = |name: &str| f.get(&[name]).and_then(|field| r.boolean(&field)).unwrap_or_default();
    let (requests_defaulted, limits_defaulted) = (said("requests_defaulted"), said("limits_defaulted"));
    let mut all = ResourceRequirements { requests: both, limits: both, requests_defaulted, limits_defaulted };
    for (side, target) in [("requests", &mut all.requests), ("limits", &mut all.limits)] {
        let Some(field) = f.get_some(&[side]) else { continue };
        let at = format!("{AT}.{side}");
        r.place(at.as_str(), &field);
        let inner = r.fields(&field, &["cpu", "memory"]);
        if let Some(cpu) = within(r, &inner, &["cpu"], &format!("{at}.cpu"), Reader::cpu) {
            target.cpu = cpu;
        }
        if let Some(memory) = within(r, &inner, &["memory"], &format!("{at}.memory"), Reader::memory) {
            target.memory = memory;
        }
    }
    all
}
