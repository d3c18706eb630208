//! The table kernel × test, for people and as JSON, and the line that counts.

use serde_json::{Value, json};

use crate::course::{Verdict, Verdicts};
use crate::job::{Outcome, Test};

/// The tests and what became of them on each kernel.
#[derive(Debug)]
pub struct Table {
    pub tests: Vec<Test>,
    /// By the kernels' names, in the order they were run.
    pub kernels: Vec<(String, Verdicts)>,
}

impl Table {
    pub fn has_failures(&self) -> bool {
        self.verdicts().any(|verdict| verdict.outcome.is_failure())
    }

    pub fn print(&self) -> String {
        let titles: Vec<String> = self.tests.iter().map(Test::title).collect();
        let width = titles.iter().map(String::len).max().unwrap_or(0);
        let names = self.kernels.iter().map(|(name, _)| format!("{name:>16}"));
        let mut text = format!("{:width$}{}\n", "", names.collect::<String>());
        for (number, title) in titles.iter().enumerate() {
            let cells = self.row(number).map(|verdict| cell(verdict));
            text += &format!("{title:width$}{}\n", cells.collect::<String>());
        }
        text += "\n";
        text += &self.notes(&titles);
        for (name, verdicts) in &self.kernels {
            let release = verdicts.release.as_deref().unwrap_or("did not boot");
            text += &format!("{name}: Linux {release}\n");
        }
        text + &self.closing_line()
    }

    /// Why tests were skipped, once for each reason and test.
    fn notes(&self, titles: &[String]) -> String {
        let mut text = String::new();
        for (number, title) in titles.iter().enumerate() {
            for (name, verdicts) in &self.kernels {
                let outcome = verdicts.by_test.get(&number).map(|v| &v.outcome);
                if let Some(detail) = outcome.and_then(Outcome::detail) {
                    text += &format!("{name}: {title}: {detail}\n");
                }
            }
        }
        text
    }

    pub fn json(&self) -> Value {
        let kernels = self.kernels.iter().map(|(name, verdicts)| {
            let tests = self.tests.iter().enumerate().map(|(number, test)| {
                let verdict = verdicts.by_test.get(&number);
                json!({
                    "suite": test.suite,
                    "name": test.name,
                    "outcome": verdict.map(|v| v.outcome.word()),
                    "detail": verdict.and_then(|v| v.outcome.detail()),
                    "secs": verdict.map(|v| v.took.as_secs_f64()),
                })
            });
            json!({
                "kernel": name,
                "release": verdicts.release,
                "tests": tests.collect::<Vec<Value>>(),
            })
        });
        json!({ "kernels": kernels.collect::<Vec<Value>>() })
    }

    fn row(&self, number: usize) -> impl Iterator<Item = Option<&Verdict>> {
        let kernels = self.kernels.iter();
        kernels.map(move |(_, verdicts)| verdicts.by_test.get(&number))
    }

    fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        let kernels = self.kernels.iter();
        kernels.flat_map(|(_, verdicts)| verdicts.by_test.values())
    }

    fn closing_line(&self) -> String {
        let [mut passed, mut failed, mut skipped, mut not_run] = [0; 4];
        for verdict in self.verdicts() {
            match verdict.outcome {
                Outcome::Passed => passed += 1,
                Outcome::Skipped { .. } => skipped += 1,
                Outcome::Failed { .. } | Outcome::TimedOut | Outcome::Hung => failed += 1,
                Outcome::NotRun => not_run += 1,
            }
        }
        let not_run = match not_run {
            0 => String::new(),
            count => format!(", {count} not run"),
        };
        format!("{passed} passed, {failed} failed, {skipped} skipped{not_run}\n")
    }
}

fn cell(verdict: Option<&Verdict>) -> String {
    let text = match verdict {
        Some(verdict) if verdict.outcome == Outcome::Passed => {
            format!("passed {:.0} s", verdict.took.as_secs_f64())
        }
        Some(verdict) => verdict.outcome.word().to_owned(),
        None => "not run".to_owned(),
    };
    format!("{text:>16}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn table(outcomes: &[Outcome]) -> Table {
        let verdict = |outcome: &Outcome| Verdict {
            outcome: outcome.clone(),
            took: Duration::from_secs(3),
        };
        let tests = (0..outcomes.len()).map(|number| Test {
            suite: "engine::overlay".to_owned(),
            name: format!("test_{number}"),
            binary: "/t".into(),
            working_dir: "/".into(),
            limit_secs: 1,
        });
        let verdicts = Verdicts {
            release: Some("6.1.0-amd64".to_owned()),
            by_test: outcomes.iter().map(verdict).enumerate().collect(),
        };
        Table {
            tests: tests.collect(),
            kernels: vec![("6.1".to_owned(), verdicts)],
        }
    }

    #[test]
    fn all_outcomes_are_shown_with_their_reasons_and_counted() {
        let skipped = Outcome::Skipped {
            reason: "no ipip devices".to_owned(),
        };
        let table = table(&[Outcome::Passed, skipped, Outcome::Hung, Outcome::NotRun]);
        assert!(table.has_failures());
        let text = table.print();
        for part in [
            "engine::overlay test_0      passed 3 s",
            "engine::overlay test_1         skipped",
            "engine::overlay test_2            hung",
            "6.1: engine::overlay test_1: no ipip devices",
            "6.1: Linux 6.1.0-amd64",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(
            text.ends_with("\n1 passed, 1 failed, 1 skipped, 1 not run\n"),
            "{text}"
        );
    }

    #[test]
    fn what_was_skipped_is_no_failure() {
        let reason = "no netkit".to_owned();
        assert!(!table(&[Outcome::Passed, Outcome::Skipped { reason }]).has_failures());
    }

    #[test]
    fn the_document_has_every_test_of_every_kernel() {
        let document = table(&[Outcome::TimedOut]).json();
        let test = &document["kernels"][0]["tests"][0];
        assert_eq!(test["outcome"], "timed out");
        assert_eq!(test["name"], "test_0");
    }
}
