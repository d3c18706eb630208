//! `pontoon run`: check, write down, and hand over to the supervisor.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use engine::Engine;
use model::{EndpointName, Names, Network};
use sandbox::cgroup::Cgroups;
use sandbox::container::{Afterwards, Calls, Container, Root, State, Stdio as Streams, Users};
use sandbox::limit::Limits;
use sandbox::runtime::READY;
use sandbox::{Home, Place, ProcessId, SandboxError, bundle, free_range, now_secs};

use super::args::{Run, UserNs, made_up_name};
use super::error::ContainerError;
use super::heal::heal;
use crate::args::Common;
use crate::print::Out;

const SUPERVISOR: &str = "pontoon-sandbox";

/// Runs a container. In the foreground this process becomes its supervisor.
pub fn run(mut args: Run, engine: &Engine, common: &Common, out: Out) -> Result<ExitCode> {
    let nameservers = nameservers(&engine.recorded_network(&args.network)?);
    let cgroups = Cgroups::find();
    if cgroups == Cgroups::None {
        return Err(ContainerError::NoCgroups.into());
    }
    let limits = limits(&mut args, &cgroups)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => made_up_name()?,
    };
    let node = engine.node_id()?.to_string();
    let place = Place::of_node(&node);
    if matches!(place.find(&name), Ok(known) if known.state == State::Abandoned) {
        heal(engine)?;
    }
    let (home, streams) = {
        let _lock = place.lock()?;
        let checked = Checked {
            users: users(&args, &place, &node)?,
            name: name.clone(),
            limits,
            node,
            nameservers,
        };
        let container = container(args, common, checked)?;
        let home = place.make(&name)?;
        let written = home.write_container(&container);
        let written = written.and_then(|()| bundle::write(&home, &container, &cgroups));
        if let Err(error) = written {
            // The first error is the one to report.
            let _ = home.remove();
            return Err(error.into());
        }
        (home, container.stdio)
    };
    let code = match streams {
        Streams::Inherit | Streams::Terminal => become_supervisor(&home, &["supervise"], &[]),
        Streams::Log | Streams::TerminalLog => detach(&home, &name, out),
    };
    if code.is_err() {
        let _ = home.remove();
    }
    code
}

/// The limits that can be enforced; the rate, which is the endpoint's, stays with the wish or goes.
fn limits(args: &mut Run, cgroups: &Cgroups) -> Result<Limits> {
    let wish = &mut args.limits;
    let mut limits = Limits {
        net_class: wish.net_class,
        net_prio: wish.net_prio,
        ..wish.amounts.limits()
    };
    let root = args.rootfs.as_deref().unwrap_or(Path::new("/"));
    let mut refused: Vec<anyhow::Error> = Vec::new();
    for unenforceable in limits.unenforceable(cgroups, root) {
        limits.without(unenforceable.option);
        refused.push(SandboxError::from(unenforceable).into());
    }
    if let Some(Err(source)) = wish.amounts.net_rate.map(|_| engine::try_rates()) {
        wish.amounts.net_rate = None;
        refused.push(ContainerError::NetRate { source }.into());
    }
    if !wish.best_effort {
        return match refused.into_iter().next() {
            Some(error) => {
                Err(error.context("nothing was started; --best-effort leaves such limits out"))
            }
            None => Ok(limits),
        };
    }
    for error in refused {
        let _ = writeln!(io::stderr().lock(), "pontoon: left out: {error}");
    }
    Ok(limits)
}

/// On a network with names its gateways are asked.
fn nameservers(network: &Network) -> Vec<IpAddr> {
    let gateways = network.subnets.iter().map(|subnet| subnet.gateway);
    match network.names {
        Names::On => gateways.collect(),
        Names::Off => Vec::new(),
    }
}

fn users(args: &Run, place: &Place, node: &str) -> Result<Users> {
    match args.user_ns {
        UserNs::Host => Ok(Users::Host),
        UserNs::Auto => {
            let all = place.all()?;
            let taken: Vec<Users> = all.into_iter().map(|known| known.container.users).collect();
            Ok(free_range(node, &taken)?)
        }
    }
}

/// What was found out about a wish.
struct Checked {
    name: EndpointName,
    users: Users,
    limits: Limits,
    node: String,
    nameservers: Vec<IpAddr>,
}

fn container(args: Run, common: &Common, checked: Checked) -> Result<Container> {
    let Checked {
        name,
        users,
        limits,
        node,
        nameservers,
    } = checked;
    let calls = calls(&args, common, &name)?;
    let root = match &args.rootfs {
        None => Root::Machine,
        Some(dir) => Root::Dir(
            dir.canonicalize()
                .map_err(|source| SandboxError::OpenRoot {
                    path: dir.clone(),
                    source,
                })?,
        ),
    };
    Ok(Container {
        hostname: args.hostname.unwrap_or_else(|| name.clone()),
        cgroup: format!("/pontoon/{node}/{name}"),
        network: args.network,
        command: args.command,
        env: args.env,
        root,
        mounts: args.mount,
        users,
        stdio: match (args.detach, args.tty) {
            (false, false) => Streams::Inherit,
            (false, true) => Streams::Terminal,
            (true, false) => Streams::Log,
            (true, true) => Streams::TerminalLog,
        },
        limits,
        nameservers,
        state_dir: common.state_dir.clone(),
        calls,
        creator: ProcessId::own().ok_or(SandboxError::OwnProcess)?,
        created_secs: now_secs(),
        afterwards: if args.rm {
            Afterwards::Remove
        } else {
            Afterwards::Keep
        },
        name,
    })
}

/// This `pontoon`, with what it was told of the node.
fn calls(args: &Run, common: &Common, name: &EndpointName) -> Result<Calls> {
    let own = std::env::current_exe().context("can't find out where this pontoon is")?;
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| SandboxError::NotText(path.into()))
    };
    let base = vec![
        text(&own)?,
        "--state-dir".to_owned(),
        text(&common.state_dir)?,
        "--lock-wait".to_owned(),
        common.lock_wait.to_string(),
    ];
    let mut created = base.clone();
    created.extend(["container-created".to_owned(), name.to_string()]);
    for ip in &args.ip {
        created.extend(["--ip".to_owned(), ip.to_string()]);
    }
    for publish in &args.publish {
        created.extend(["-p".to_owned(), publish.to_string()]);
    }
    for alias in &args.alias {
        created.extend(["--alias".to_owned(), alias.to_string()]);
    }
    if let Some(rate) = args.limits.amounts.net_rate {
        created.extend(["--rate".to_owned(), rate.to_string()]);
    }
    let mut ended = base;
    ended.extend(["container-ended".to_owned(), name.to_string()]);
    Ok(Calls { created, ended })
}

fn supervisor() -> Result<PathBuf> {
    let own = std::env::current_exe().context("can't find out where this pontoon is")?;
    Ok(own.with_file_name(SUPERVISOR))
}

/// Exit code, signals and terminal are the supervisor's from here on.
pub fn become_supervisor(home: &Home, verb: &[&str], words: &[String]) -> Result<ExitCode> {
    let path = supervisor()?;
    let mut command = Command::new(&path);
    let source = command.args(verb).arg(home.dir()).args(words).exec();
    Err(ContainerError::Supervisor { path, source }.into())
}

/// Starts a supervisor and waits until the command runs, or can't.
fn detach(home: &Home, name: &EndpointName, out: Out) -> Result<ExitCode> {
    let path = supervisor()?;
    let mut command = Command::new(&path);
    command
        .arg("supervise")
        .arg(home.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|source| ContainerError::Supervisor { path, source })?;
    let mut said = String::new();
    if let Some(stdout) = &mut child.stdout {
        stdout
            .read_to_string(&mut said)
            .context("can't hear the container's supervisor")?;
    }
    if said == READY {
        out.show(name, |name| format!("{name}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    // Why is on standard error already, where the supervisor wrote it.
    let status = child
        .wait()
        .context("can't wait for the container's supervisor")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    let _ = home.remove();
    Ok(ExitCode::from(code.unwrap_or(1)))
}
