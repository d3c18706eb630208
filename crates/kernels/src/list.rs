//! The tests there are, by asking nextest, which builds them too.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::config::Machine;
use crate::job::Test;

/// The tests of a set that a person asks for: in nextest's filter language, or a part of a name.
pub fn tests(set: &str, asked: Option<&str>, machine: &Machine) -> Result<Vec<Test>> {
    let filter = match asked {
        None => set.to_owned(),
        Some(asked) => format!("({set}) & ({})", filter_of(asked)),
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    for (name, _) in env::vars_os().filter(|(name, _)| tells_of_a_package(name)) {
        command.env_remove(name);
    }
    let output = command
        .args(["nextest", "list", "--workspace", "--message-format", "json"])
        .args(["-E", &filter])
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo nextest")?;
    ensure!(
        output.status.success(),
        "cargo nextest list: {}",
        output.status
    );
    let listed: Listed = serde_json::from_slice(&output.stdout).context("parse the list")?;
    Ok(listed.into_tests(machine))
}

/// What `cargo run` tells this program of its own package. Dependencies whose build asks for these
/// would be built again, and everything behind them, with each run.
fn tells_of_a_package(variable: &OsStr) -> bool {
    let name = variable.as_encoded_bytes();
    name.starts_with(b"CARGO_PKG_") || name.starts_with(b"CARGO_MANIFEST_")
}

fn filter_of(asked: &str) -> String {
    match asked.contains('(') {
        true => asked.to_owned(),
        false => format!("test({asked})"),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Listed {
    rust_suites: BTreeMap<String, Suite>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Suite {
    binary_path: PathBuf,
    cwd: PathBuf,
    testcases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Case {
    filter_match: Match,
}

#[derive(Deserialize)]
struct Match {
    status: String,
}

impl Listed {
    fn into_tests(self, machine: &Machine) -> Vec<Test> {
        let of_suite = |(suite, content): (String, Suite)| {
            let matching = |case: &(String, Case)| case.1.filter_match.status == "matches";
            let cases = content.testcases.into_iter().filter(matching);
            cases
                .map(|(name, _)| Test {
                    limit_secs: machine.limit_of(&name).as_secs(),
                    suite: suite.clone(),
                    name,
                    binary: content.binary_path.clone(),
                    working_dir: content.cwd.clone(),
                })
                .collect::<Vec<Test>>()
        };
        self.rust_suites.into_iter().flat_map(of_suite).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Files;

    const LISTED: &str = r#"{"rust-suites": {"cli::traffic": {
        "binary-path": "/t/traffic-1", "cwd": "/w/crates/cli", "status": "listed",
        "testcases": {
            "guard::one": {"ignored": false, "filter-match": {"status": "matches"}},
            "guard::two": {"ignored": false,
                "filter-match": {"status": "mismatch", "reason": "expression"}}}}}}"#;

    #[test]
    fn what_matches_is_taken_from_the_list() {
        let machine = Machine {
            cpus: 1,
            memory_mib: 1,
            boot_secs: 1,
            test_secs: 9,
            heavy_secs: 1,
            grace_secs: 1,
            patience: 1,
            modules: Vec::new(),
            files: Files::AsTheyAre,
            append: Vec::new(),
            disk: None,
        };
        let listed: Listed = serde_json::from_str(LISTED).unwrap();
        let tests = listed.into_tests(&machine);
        let titles: Vec<String> = tests.iter().map(Test::title).collect();
        assert_eq!(titles, ["cli::traffic guard::one"]);
        assert_eq!(tests[0].limit_secs, 9);
    }

    #[test]
    fn the_build_of_the_tests_is_told_nothing_of_this_package() {
        let told = ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"];
        assert!(told.iter().all(|name| tells_of_a_package(name.as_ref())));
        let kept = ["CARGO_TARGET_DIR", "CARGO_HOME", "PATH"];
        assert!(!kept.iter().any(|name| tells_of_a_package(name.as_ref())));
    }

    #[test]
    fn a_name_is_a_filter_too() {
        assert_eq!(filter_of("guard::one"), "test(guard::one)");
        assert_eq!(filter_of("package(cli)"), "package(cli)");
    }
}
