//! Where tasks may run, and how they are laid out there.

use orch_core::api::spec::{Constraint, Operator, ServiceSpec, Strategy};

use super::optional;
use crate::deploy_file::reader::{Field, Fields, Reader};

const AT: &str = "placement_constraints";

/// `placement`: labels that must be equal, rules, and the strategy.
pub(super) fn placement(r: &mut Reader, field: &Field<'_>, spec: &mut ServiceSpec) {
    let f = r.fields(field, &["labels", "constraints", "strategy"]);
    let into = &mut spec.placement_constraints;
    if let Some(labels) = f.get_some(&["labels"]) {
        for (key, value) in r.map(&labels) {
            r.place(format!("{AT}[{}]", into.len()), &value);
            if let Some(text) = r.text(&value) {
                let (key, operator) = (key.text.clone(), Operator::Equals);
                into.push(Constraint { key, operator, value: text, values: Vec::new() });
            }
        }
    }
    if let Some(list) = f.get_some(&["constraints"]) {
        for item in r.list(&list) {
            let at = format!("{AT}[{}]", into.len());
            r.place(at.as_str(), &item);
            into.extend(constraint(r, &item, &at));
        }
    }
    if let Some(strategy) = strategy(r, &f, "strategy") {
        spec.placement_strategy = strategy;
    }
}

/// `placement_constraints`, as the API has them.
pub(super) fn constraints(r: &mut Reader, field: &Field<'_>, into: &mut Vec<Constraint>) {
    r.place(AT, field);
    for item in r.list(field) {
        let at = format!("{AT}[{}]", into.len());
        r.place(at.as_str(), &item);
        into.extend(constraint(r, &item, &at));
    }
}

pub(super) fn strategy(r: &mut Reader, f: &Fields<'_>, name: &str) -> Option<Strategy> {
    let words = [("spread", Strategy::Spread), ("binpack", Strategy::Binpack)];
    optional(r, f, name, |r, field| r.word(field, &words))
}

fn constraint(r: &mut Reader, field: &Field<'_>, at: &str) -> Option<Constraint> {
    const WORDS: [(&str, Operator); 9] = [
        ("equals", Operator::Equals),
        ("not_equals", Operator::NotEquals),
        ("not-equals", Operator::NotEquals),
        ("in", Operator::In),
        ("not_in", Operator::NotIn),
        ("not-in", Operator::NotIn),
        ("exists", Operator::Exists),
        ("not_exists", Operator::NotExists),
        ("not-exists", Operator::NotExists),
    ];
    let f = r.fields(field, &["key", "operator", "value", "values"]);
    let operator = f.get(&["operator"]).map_or(Some(Operator::Equals), |field| r.word(&field, &WORDS))?;
    let compares_one = matches!(operator, Operator::Equals | Operator::NotEquals);
    let mut part = |name: &str, is_needed: bool| match f.get(&[name]) {
        Some(field) => {
            r.place(format!("{at}.{name}"), &field);
            r.text(&field)
        }
        None if is_needed => {
            r.wrong(field, format!("`{name}` is missing"));
            None
        }
        None => Some(String::new()),
    };
    let (key, value) = (part("key", true), part("value", compares_one));
    let mut values = Vec::new();
    if let Some(list) = f.get_some(&["values"]) {
        r.place(format!("{at}.values"), &list);
        for item in r.list(&list) {
            values.extend(r.text(&item));
        }
    }
    Some(Constraint { key: key?, operator, value: value?, values })
}
