//! What became of tests on a kernel, kept beside the desks from run to run: a long set can be run
//! in portions, and seen as one table. A line for each test that ended; the last one counts.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::course::{Verdict, Verdicts};
use crate::job::{Outcome, Test};

/// The results of one kernel.
#[derive(Debug, Clone)]
pub struct Kept {
    file: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Release(String),
    Test { title: String, verdict: Verdict },
}

impl Kept {
    /// Of this kernel, in the directory of the desks.
    pub fn of(dir: &Path, kernel: &str) -> Self {
        let file = dir.join(format!("{kernel}.kept"));
        Self { file }
    }

    pub fn keep_release(&self, release: &str) -> Result<()> {
        self.append(&Line::Release(release.to_owned()))
    }

    pub fn keep(&self, test: &Test, verdict: &Verdict) -> Result<()> {
        let (title, verdict) = (test.title(), verdict.clone());
        self.append(&Line::Test { title, verdict })
    }

    /// What is kept of these tests; one of which nothing is kept was not run.
    pub fn verdicts(&self, tests: &[Test]) -> Result<Verdicts> {
        let mut verdicts = Verdicts::default();
        let mut by_title = BTreeMap::new();
        for line in self.lines()? {
            match line {
                Line::Release(release) => verdicts.release = Some(release),
                Line::Test { title, verdict } => {
                    by_title.insert(title, verdict);
                }
            }
        }
        let all = tests.iter().enumerate();
        let mut of = |test: &Test| by_title.remove(&test.title()).unwrap_or(Verdict::NOT_RUN);
        verdicts.by_test = all.map(|(number, test)| (number, of(test))).collect();
        Ok(verdicts)
    }

    /// Those of the tests that have neither passed nor said that they can't run here.
    pub fn left_of(&self, tests: &[Test]) -> Result<Vec<Test>> {
        let verdicts = self.verdicts(tests)?;
        let left = |number: &usize| {
            let verdict = verdicts.by_test.get(number);
            verdict.is_none_or(|verdict| verdict.outcome.is_failure())
        };
        let all = tests.iter().enumerate();
        Ok(all
            .filter(|(n, _)| left(n))
            .map(|(_, t)| t.clone())
            .collect())
    }

    fn append(&self, line: &Line) -> Result<()> {
        let text = format!("{}\n", serde_json::to_string(line)?);
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.file);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("keep a result in {}", self.file.display()))
    }

    /// A line that a killed run left by halves is none.
    fn lines(&self) -> Result<Vec<Line>> {
        let text = match fs::read_to_string(&self.file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.with_context(|| format!("read {}", self.file.display()))?,
        };
        let lines = text.lines().map(serde_json::from_str);
        Ok(lines.filter_map(Result::ok).collect())
    }
}

impl Verdict {
    pub const NOT_RUN: Self = Self {
        outcome: Outcome::NotRun,
        took: std::time::Duration::ZERO,
    };
}
