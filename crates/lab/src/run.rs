//! Commands run to their end.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::Tools;
use crate::error::LabError;

/// Runs a command and gives what it printed.
pub fn output(command: &mut Command, what: &str) -> Result<String, LabError> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| start_failed(command, source))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(failed(what, &out.stderr))
}

/// Runs lines of `ip` in a namespace.
pub fn ip(netns: &str, lines: &str, tools: &Tools) -> Result<(), LabError> {
    let on_a_line = |line: &str| format!("ip -n {netns} {line}\n");
    (tools.announce)(&lines.lines().map(on_a_line).collect::<String>());
    let mut command = Command::new("ip");
    command.args(["-n", netns, "-batch", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| start_failed(&command, source))?;
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(lines.as_bytes()),
        None => Ok(()),
    };
    let out = child
        .wait_with_output()
        .map_err(|source| start_failed(&command, source))?;
    if out.status.success() && written.is_ok() {
        return Ok(());
    }
    Err(failed(&format!("ip -n {netns} -batch"), &out.stderr))
}

pub fn start_failed(command: &Command, source: std::io::Error) -> LabError {
    LabError::Start {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    }
}

pub fn failed(what: &str, stderr: &[u8]) -> LabError {
    let said = String::from_utf8_lossy(stderr);
    let said = said.trim();
    LabError::Command {
        what: what.to_owned(),
        said: if said.is_empty() {
            "it said nothing".to_owned()
        } else {
            said.to_owned()
        },
    }
}
