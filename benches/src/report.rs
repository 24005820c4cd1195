//! What a benchmark says: named figures with units, and the goal where there is one.

use comfy_table::Table;
use orch_core::env::{Env as _, SystemEnv};
use orch_core::time::Timestamp;
use serde_json::{Map, Value, json};

/// The figures of one benchmark.
pub(crate) struct Report {
    name: &'static str,
    figures: Vec<Figure>,
    texts: Vec<(&'static str, String)>,
}

struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    goal: Option<Goal>,
}

/// What a figure is held against.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At least.
    AtLeast(f64),
    /// At most.
    AtMost(f64),
}

impl Report {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, figures: Vec::new(), texts: Vec::new() }
    }

    pub(crate) fn figure(&mut self, name: &'static str, value: f64, unit: &'static str) -> &mut Self {
        self.figures.push(Figure { name, value, unit, goal: None });
        self
    }

    /// What is no number.
    pub(crate) fn text(&mut self, name: &'static str, text: String) -> &mut Self {
        self.texts.push((name, text));
        self
    }

    pub(crate) fn held(
        &mut self,
        name: &'static str,
        value: f64,
        unit: &'static str,
        goal: Goal,
    ) -> &mut Self {
        self.figures.push(Figure { name, value, unit, goal: Some(goal) });
        self
    }

    #[expect(clippy::print_stdout, reason = "the program's answer")]
    pub(crate) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            let mut line = Map::from_iter([("bench".to_owned(), json!(self.name))]);
            line.extend(self.figures.iter().map(|figure| (figure.name.to_owned(), json!(figure.value))));
            line.extend(self.texts.iter().map(|(name, text)| ((*name).to_owned(), json!(text))));
            println!("{}", serde_json::to_string(&Value::Object(line))?);
            return Ok(());
        }
        let mut table = Table::new();
        table.set_header(vec![self.name, "value", "unit", "goal"]);
        for figure in &self.figures {
            let goal = match figure.goal {
                None => String::new(),
                Some(Goal::AtLeast(goal)) => {
                    format!("≥ {goal}{}", if figure.value < goal { "  MISSED" } else { "" })
                }
                Some(Goal::AtMost(goal)) => {
                    format!("≤ {goal}{}", if figure.value > goal { "  MISSED" } else { "" })
                }
            };
            table.add_row(vec![figure.name.to_owned(), round(figure.value), figure.unit.to_owned(), goal]);
        }
        for (name, text) in &self.texts {
            table.add_row(vec![(*name).to_owned(), text.clone(), String::new(), String::new()]);
        }
        println!("{table}\n");
        Ok(())
    }
}

fn round(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// The middle of the values; zero of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The wall clock, which the engine on this machine has too.
pub(crate) fn now() -> Timestamp {
    SystemEnv::new().now()
}
