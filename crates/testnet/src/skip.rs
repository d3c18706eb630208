//! Tests that can't run on this kernel: counted, with the reason, never silent.
//!
//! The test returns after it has said so. `make test` and `make test-kernels` collect what was
//! said and print it; without them it is on the test's standard error.

use std::env;
use std::fs::OpenOptions;
use std::io::{Write, stderr};
use std::process::Command;
use std::thread;

use crate::run::{Output, output};

/// The file that collects skipped tests, a line for each: its name, a tab, the reason.
const SKIPS_VARIABLE: &str = "PONTOON_TEST_SKIPS";

/// Counts the calling test as skipped. The test returns then.
///
/// # Panics
/// When it can't be counted.
pub fn skip(reason: &str) {
    let thread = thread::current();
    let line = format!("{}\t{reason}\n", thread.name().unwrap_or("a test"));
    match env::var_os(SKIPS_VARIABLE) {
        Some(path) => OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            // One write of one line: several processes may append at once.
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .unwrap_or_else(|error| panic!("can't count a skip in {}: {error}", path.display())),
        None => writeln!(stderr(), "skipped: {line}").expect("standard error can be written"),
    }
}

/// Whether the kernel has no devices of this kind; `device` is what follows `type` in ip-link(8),
/// with all that the kind asks for. Counts the calling test as skipped where it has none.
///
/// # Panics
/// When it can't be found out.
#[must_use = "a skipped test returns"]
pub fn skip_without_device(device: &str) -> bool {
    if has_device(device) {
        return false;
    }
    let kind = device.split_whitespace().next().unwrap_or(device);
    skip(&format!("this kernel has no {kind} devices"));
    true
}

/// Whether the kernel has devices of this kind; see [`skip_without_device`].
///
/// # Panics
/// When it can't be found out.
#[must_use]
pub fn has_device(device: &str) -> bool {
    let tried = try_device(device);
    let unknown = ["Unknown device type", "not supported"];
    assert!(
        tried.success() || unknown.iter().any(|words| tried.stderr.contains(words)),
        "ip link add type {device}: {tried}"
    );
    tried.success()
}

/// In a namespace that is gone with the command.
fn try_device(device: &str) -> Output {
    let mut command = Command::new("unshare");
    command.args(["--net", "ip", "link", "add", "tried", "type"]);
    output(command.args(device.split_whitespace()))
}
