//! A node's agent: starting it, finding it, and what it said.

use std::process::{Child, Stdio};

use crate::Tools;
use crate::error::LabError;
use crate::node::Node;
use crate::{process, run};

/// Starts the node's agent, in a session of its own: it outlives this process and its terminal.
pub fn start(node: &Node, tools: &Tools) -> Result<Child, LabError> {
    let mut command = node.daemon(&tools.pontoon, tools)?;
    command
        .arg("agent")
        .args(["--cluster", &node.access.address])
        .args(["--node", node.name.as_str()]);
    for address in &node.underlay {
        command.args(["--underlay", &address.to_string()]);
    }
    let (stdout, stderr) = run::log(&node.log())?;
    command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(|source| run::start_failed(&command, source))
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
