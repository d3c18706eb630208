//! The rules of this repository that no other tool knows, checked by `make lint`.
//!
//! `rooms` compares the crates' manifests with the architecture's drawing, `source` looks at Rust
//! files, `paths` at every file. What rustfmt, clippy and cargo-deny can check is not here.

mod code;
mod finding;
mod paths;
mod rooms;
mod source;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use finding::Finding;

fn main() -> Result<ExitCode> {
    let root = PathBuf::from(stdout_of("git", &["rev-parse", "--show-toplevel"])?.trim_end());
    std::env::set_current_dir(&root).with_context(|| format!("enter {}", root.display()))?;
    let metadata = stdout_of("cargo", &["metadata", "--no-deps", "--format-version", "1"])?;
    let mut findings = rooms::check(&rooms::parse_manifests(&metadata, &root)?);
    for file in files_of_the_repository()? {
        findings.extend(check_file(&file)?);
    }
    findings.sort();
    let mut out = io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    if findings.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "tidy: {} to mend", findings.len())?;
    Ok(ExitCode::FAILURE)
}

fn check_file(file: &str) -> Result<Vec<Finding>> {
    if Path::new(file).is_symlink() {
        return Ok(Vec::new());
    }
    let bytes = fs::read(file).with_context(|| format!("read {file}"))?;
    // Bytes that are not text hold no words to check.
    let Ok(text) = String::from_utf8(bytes) else {
        return Ok(Vec::new());
    };
    let mut findings = paths::check(file, &text);
    if file.ends_with(".rs") {
        findings.extend(source::check(file, &text));
    }
    Ok(findings)
}

/// Tracked files and those that a commit could take up, as far as they still exist.
fn files_of_the_repository() -> Result<Vec<String>> {
    let listed = stdout_of(
        "git",
        &[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    )?;
    let mut files: Vec<String> = listed
        .split('\0')
        .filter(|file| fs::symlink_metadata(file).is_ok_and(|meta| !meta.is_dir()))
        .map(str::to_owned)
        .collect();
    files.sort();
    files.dedup();
    Ok(files)
}

fn stdout_of(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("start {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    String::from_utf8(output.stdout).with_context(|| format!("read what {program} printed"))
}
