//! Another command in a container that runs.

use libcontainer::container::builder::ContainerBuilder;
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, waitpid};
use serde_json::Value;

use super::create::{Inside, builder, console_path, groups, listen};
use super::error::RuntimeError;
use super::maker::{Made, Maker};
use super::pump::Pump;
use super::starter::{Role, Starter};
use super::{filter, join, signals, terminal};
use crate::bundle::CONFIG;
use crate::cgroup::Cgroups;
use crate::container::{State, Users};
use crate::error::SandboxError;
use crate::place::{Home, Known};

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    pub command: Vec<String>,
    /// `KEY=VALUE`, beside what the container has.
    pub env: Vec<String>,
    pub terminal: Terminal,
}

/// Whether the command gets a terminal of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    Own,
    None,
}

/// Runs a command in a container and answers its exit code.
///
/// # Errors
/// A container that does not run; a command that can't be run.
pub fn exec(home: &Home, exec: &Exec) -> Result<u8, RuntimeError> {
    let known = home.look()?.ok_or(SandboxError::OwnProcess)?;
    if known.state != State::Running {
        return Err(SandboxError::NotRunning(known.container.name).into());
    }
    let signals = signals::open().map_err(RuntimeError::Wait)?;
    let (starter, verdict) = Starter::new(role(&known)?, filter::programs())?;
    let container = known.container;
    let process = write_process(home, exec)?;
    let mut builder: ContainerBuilder = builder(home, &container, starter)?;
    let mut console = None;
    if exec.terminal == Terminal::Own {
        console = Some(listen(home)?);
        builder = builder.with_console_socket(Some(console_path(home)));
    }
    let build = || {
        let tenant = builder.as_tenant().with_process(Some(&process));
        let built = tenant.with_detach(true).as_sibling(true).build()?;
        Ok(built.as_raw().cast_unsigned())
    };
    let entry = Cgroups::find().group(&container.cgroup).entry();
    let maker = Maker::begin(&entry, &groups(home, &container), build);
    let built = maker.and_then(Maker::finish);
    let _ = std::fs::remove_file(&process);
    let command = exec.command.first().cloned().unwrap_or_default();
    verdict
        .wait()
        .map_err(|source| RuntimeError::Command { command, source })?;
    let name = container.name;
    let pid = match built? {
        Made::Process(pid) => pid,
        Made::Refused(said) => return Err(RuntimeError::Exec { name, said }),
        Made::Died => return Err(RuntimeError::EndedEarly { name }),
    };
    let inside = match console {
        Some(console) => Inside::Terminal(terminal::receive(&console)?),
        None => Inside::Inherited,
    };
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(SandboxError::OwnProcess)?;
    let held = pidfd_open(pid, PidfdFlags::empty())?;
    Pump::new(&held, &signals, inside, None).run()?;
    let ended = waitpid(Some(pid), WaitOptions::empty())?;
    Ok(ended.map_or(255, |(_, status)| signals::code(status)))
}

/// One of the container's users, whoever these are on the machine.
fn role(known: &Known) -> Result<Role, RuntimeError> {
    let init = known
        .status
        .as_ref()
        .and_then(|status| status.init.as_ref());
    let missing = || SandboxError::NotRunning(known.container.name.clone());
    let init = init.ok_or_else(missing)?;
    let users = match known.container.users {
        Users::Host => return Ok(Role::Joined(None)),
        Users::Range { .. } => join::Users::of(init.pid).map_err(RuntimeError::Wait)?,
    };
    // Opened by a number that is the container's if it still lives.
    if !init.is_alive() {
        return Err(missing().into());
    }
    Ok(Role::Joined(Some(users)))
}

/// The container's own process with another command: same users, capabilities and surroundings.
fn write_process(home: &Home, exec: &Exec) -> Result<std::path::PathBuf, RuntimeError> {
    let path = home.file(CONFIG);
    let text = std::fs::read(&path).map_err(|source| SandboxError::Read {
        path: path.clone(),
        source,
    })?;
    let config: Value =
        serde_json::from_slice(&text).map_err(|source| SandboxError::Parse { path, source })?;
    let mut process = config["process"].clone();
    process["args"] = Value::from(exec.command.clone());
    process["terminal"] = Value::from(exec.terminal == Terminal::Own);
    let key = |entry: &str| entry.split('=').next().map(str::to_owned);
    let known = process["env"].as_array().into_iter().flatten();
    let mut env: Vec<String> = known
        .filter_map(|entry| entry.as_str().map(str::to_owned))
        .collect();
    for entry in &exec.env {
        env.retain(|other| key(other) != key(entry));
        env.push(entry.clone());
    }
    process["env"] = Value::from(env);
    let name = format!("exec-{}.json", std::process::id());
    home.write_json(&name, &process)?;
    Ok(home.file(&name))
}
