//! Commands run to their end.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Tools;
use crate::error::LabError;

/// How much of a log an error shows, in lines.
const SHOWN_LINES: usize = 10;

/// A daemon's log, twice. It is written at its end only: one that is started again goes on there.
pub fn log(path: &Path) -> Result<(OwnedFd, OwnedFd), LabError> {
    let open = || -> std::io::Result<(OwnedFd, OwnedFd)> {
        let log = File::options().create(true).append(true).open(path)?;
        Ok((log.try_clone()?.into(), log.into()))
    };
    open().map_err(|source| LabError::WriteFile {
        path: path.to_owned(),
        source,
    })
}

/// The last lines of a log.
pub fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.len().saturating_sub(SHOWN_LINES);
    if lines.is_empty() {
        return "(nothing)".to_owned();
    }
    lines[shown..].join("\n")
}

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

/// A call as a person would have typed it, with the script that it runs, if any.
pub fn as_typed(command: &Command, script: &str) -> String {
    let env = command.get_envs().filter_map(|(name, value)| {
        let (name, value) = (name.to_string_lossy(), value?.to_string_lossy());
        Some(format!("{name}={value} "))
    });
    let words = command.get_args().map(|arg| arg.to_string_lossy());
    let words: Vec<_> = words.collect();
    let env: String = env.collect();
    let program = command.get_program().to_string_lossy();
    let line = format!("{env}{program} {}", words.join(" "));
    match script {
        "" => line,
        script => format!("{line} sh -euc '{script}'"),
    }
}

/// Whether a program is in the search path.
pub fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join(program).is_file())
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
