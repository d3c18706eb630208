//! What a person who waits sees, on standard error: each test as it ends, and the log of a failure.

use std::fs;
use std::io::{Write, stderr};
use std::path::Path;

use crate::course::Verdict;
use crate::job::{Desk, Test};

/// How much of a log is shown: its end tells why.
const SHOWN_LINES: usize = 120;

/// A line for a test, and its log where it failed.
pub fn ended(kernel: &str, test: &Test, verdict: &Verdict, desk: &Desk, number: usize) {
    let outcome = &verdict.outcome;
    let detail = outcome
        .detail()
        .map_or(String::new(), |d| format!(" ({d})"));
    let mut text = format!(
        "{kernel}  {:9} {:6.1} s  {}{detail}",
        outcome.word(),
        verdict.took.as_secs_f64(),
        test.title()
    );
    if outcome.is_failure() {
        let log = desk.log(number);
        text += &format!("\n--- the end of {}\n{}\n---", log.display(), end_of(&log));
    }
    say(&text);
}

/// The end of a file that people read.
pub fn end_of(file: &Path) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// At once: another kernel may have something to say too.
pub fn say(text: &str) {
    // Who does not listen misses nothing: the table comes at the end.
    let _ = writeln!(stderr(), "{text}");
}
