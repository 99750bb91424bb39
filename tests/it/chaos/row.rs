//! What a scenario leaves for `tools/chaos-swap`: one JSON line.

use std::{fs, io::Write};

use serde_json::{Map, Value, json};

use super::load::Tally;
use crate::support::repository::source_tree;

/// Whether everything is to be done at full size.
pub fn is_full() -> bool {
    std::env::var("CHAOS").is_ok_and(|size| size == "full")
}

/// The one size or the other.
pub fn sized<T>(small: T, full: T) -> T {
    if is_full() { full } else { small }
}

/// What was done and what came of it.
pub struct Row {
    scenario: &'static str,
    done: String,
    figures: Map<String, Value>,
    limits: Map<String, Value>,
}

impl Row {
    pub fn new(scenario: &'static str, done: impl Into<String>) -> Self {
        Self { scenario, done: done.into(), figures: Map::new(), limits: Map::new() }
    }

    /// Something to know.
    pub fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.to_owned(), value.into());
    }

    /// Something that the tool does not accept beyond `most`.
    pub fn limited(&mut self, name: &str, value: f64, most: f64) {
        self.figure(name, (value * 100.0).round() / 100.0);
        self.limits.insert(name.to_owned(), most.into());
    }

    /// Writes the row, then fails if a request did.
    pub fn finish(self, tally: &Tally) {
        self.write(tally.requests(), tally.failures.len());
        let shown = &tally.failures[..tally.failures.len().min(10)];
        assert!(tally.failures.is_empty(), "{} of {}: {shown:#?}", tally.failures.len(), tally.requests());
        assert!(tally.requests() > 0, "there was load");
    }

    /// Says that this could not be tried here, which the tool does not accept.
    pub fn leave_out(mut self, why: &str) {
        self.figures.insert("left_out".to_owned(), why.into());
        self.write(0, 0);
    }

    fn write(&self, requests: usize, failures: usize) {
        let size = sized("small", "full");
        let row = json!({
            "scenario": self.scenario, "size": size, "done": self.done, "requests": requests, "failures": failures,
            "figures": self.figures, "limits": self.limits,
        });
        let folder = source_tree().join("target");
        fs::create_dir_all(&folder).unwrap();
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(folder.join("chaos.jsonl")).unwrap();
        // One write, so that tests that run at once do not write into each other's lines.
        file.write_all(format!("{row}\n").as_bytes()).unwrap();
    }
}
