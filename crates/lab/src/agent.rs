//! A node's agent: starting it, finding it, and what it said.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use crate::Tools;
use crate::error::LabError;
use crate::node::Node;
use crate::{place, process, run};

/// How much of a log an error shows, in lines.
const SHOWN_LINES: usize = 10;

/// Starts the node's agent, in a session of its own: it outlives this process and its terminal.
pub fn start(node: &Node, tools: &Tools) -> Result<Child, LabError> {
    let mut command = node.daemon(&tools.pontoon, tools)?;
    command
        .arg("agent")
        .args(["--cluster", &place::cluster_address(&node.lab)])
        .args(["--node", node.name.as_str()]);
    let (stdout, stderr) = log(node).map_err(|source| LabError::WriteFile {
        path: node.log(),
        source,
    })?;
    command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(|source| run::start_failed(&command, source))
}

/// The log, which is written at its end only: an agent that is started again goes on there.
fn log(node: &Node) -> std::io::Result<(OwnedFd, OwnedFd)> {
    let log = File::options().create(true).append(true).open(node.log())?;
    Ok((log.try_clone()?.into(), log.into()))
}

/// The agent that runs on the node, whoever started it.
pub fn pid_of(node: &Node) -> Option<u32> {
    let is_agent = |words: &[String]| {
        let has = |wanted: &str| words.iter().any(|word| word == wanted);
        has("agent") && has("--node") && has(node.name.as_str())
    };
    let mut processes = process::in_netns(&node.netns_file()).into_iter();
    let found = processes.find(|(_, words)| is_agent(words));
    found.map(|(pid, _)| pid)
}

/// The last lines of what the agent said.
pub fn last_words(node: &Node) -> String {
    let text = fs::read_to_string(node.log()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.len().saturating_sub(SHOWN_LINES);
    if lines.is_empty() {
        return "(nothing)".to_owned();
    }
    lines[shown..].join("\n")
}
