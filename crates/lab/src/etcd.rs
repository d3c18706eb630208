//! The cluster's store as a machine of the lab: an etcd in a network namespace of its own, with a
//! cable to the switch. Its data are in the lab's directory. It is found by its namespace alone.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use crate::access::Access;
use crate::error::LabError;
use crate::node::{self, Node};
use crate::ready::{PAUSE, READY_BOUND};
use crate::spec::{LabName, Spec, StoreKind};
use crate::switch::Plug;
use crate::{Tools, cluster, place, process, run, tls};

pub const PROGRAM: &str = "etcd";
pub const CLIENT_PORT: u16 = 2379;
/// Where other members of the same etcd would talk to it; there is none.
const PEER_PORT: u16 = 2380;
/// The last part of its underlay addresses, behind those of all nodes.
pub const NUMBER: u8 = 254;

/// The machine with the lab's etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreMachine {
    pub(crate) lab: LabName,
    pub(crate) netns: String,
    pub(crate) access: Access,
}

/// That of a lab, where it has one.
pub fn of(spec: &Spec) -> Option<StoreMachine> {
    spec.store.has_server().then(|| StoreMachine {
        lab: spec.name.clone(),
        netns: place::store_netns(&spec.name),
        access: Access::of(spec, place::STORE),
    })
}

impl StoreMachine {
    /// What it says.
    pub fn log(&self) -> PathBuf {
        place::store_dir(&self.lab).join("etcd.log")
    }

    pub(crate) fn netns_file(&self) -> PathBuf {
        place::netns_path(&self.netns)
    }

    pub(crate) fn plug(&self, spec: &Spec) -> Plug<'_> {
        Plug {
            name: place::STORE,
            netns: &self.netns,
            underlay: node::addresses(spec, NUMBER),
            number: NUMBER,
        }
    }

    /// A program in its network, with what `etcdctl` and `pontoon` want to know in its environment.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>, tools: &Tools) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(self.net_arg()).arg("--").arg(program);
        command.envs(self.access.environment());
        command.env("PATH", node::search_path(&tools.pontoon));
        command
    }

    fn net_arg(&self) -> String {
        format!("--net={}", self.netns_file().display())
    }

    /// The etcd that runs there, whoever started it.
    pub fn pid(&self) -> Option<u32> {
        let is_etcd = |words: &[String]| {
            let program = words.first().map(Path::new).and_then(Path::file_name);
            program.is_some_and(|program| program == PROGRAM)
        };
        let mut processes = process::in_netns(&self.netns_file()).into_iter();
        let found = processes.find(|(_, words)| is_etcd(words));
        found.map(|(pid, _)| pid)
    }
}

/// Starts etcd for the first time, with certificates where they are asked for.
pub fn make(
    spec: &Spec,
    machine: &StoreMachine,
    nodes: &[Node],
    tools: &Tools,
) -> Result<Child, LabError> {
    let dir = place::store_dir(&spec.name);
    fs::create_dir_all(&dir).map_err(|source| LabError::MakeDir { path: dir, source })?;
    if spec.store == StoreKind::EtcdTls {
        tls::make(&spec.name, &node::addresses(spec, NUMBER), nodes, tools)?;
    }
    start(spec, machine, tools)
}

/// Starts etcd in a session of its own, on the data that it had.
pub fn start(spec: &Spec, machine: &StoreMachine, tools: &Tools) -> Result<Child, LabError> {
    let mut command = Command::new("setsid");
    command
        .args(["nsenter", &machine.net_arg(), "--", PROGRAM])
        .args(arguments(spec, machine))
        .current_dir("/");
    (tools.announce)(&run::as_typed(&command, ""));
    let (stdout, stderr) = run::log(&machine.log())?;
    command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .map_err(|source| run::start_failed(&command, source))
}

fn arguments(spec: &Spec, machine: &StoreMachine) -> Vec<String> {
    let data = place::store_dir(&spec.name).join("data");
    let clients = machine.access.url.clone().unwrap_or_default();
    let peer = format!(
        "http://{}",
        SocketAddr::from((Ipv4Addr::LOCALHOST, PEER_PORT))
    );
    let mut options = vec![
        ("--name", place::STORE.to_owned()),
        ("--data-dir", data.display().to_string()),
        ("--listen-client-urls", clients.clone()),
        ("--advertise-client-urls", clients),
        ("--listen-peer-urls", peer.clone()),
        ("--initial-advertise-peer-urls", peer.clone()),
        ("--initial-cluster", format!("{}={peer}", place::STORE)),
        // Alone, it is elected as soon as it says so.
        ("--heartbeat-interval", "10".to_owned()),
        ("--election-timeout", "100".to_owned()),
    ];
    if spec.store == StoreKind::EtcdTls {
        let file = |path: PathBuf| path.display().to_string();
        let lab = &spec.name;
        options.extend([
            ("--cert-file", file(tls::certificate(lab, place::STORE))),
            ("--key-file", file(tls::key(lab, place::STORE))),
            (
                "--trusted-ca-file",
                file(tls::certificate(lab, tls::AUTHORITY)),
            ),
        ]);
    }
    let mut words: Vec<String> = options
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect();
    if spec.store == StoreKind::EtcdTls {
        words.push("--client-cert-auth".to_owned());
    }
    words
}

/// Starts etcd anew and waits until it takes connections: whoever asks then is answered.
pub fn restart(spec: &Spec, machine: &StoreMachine, tools: &Tools) -> Result<(), LabError> {
    let mut etcd = start(spec, machine, tools)?;
    wait_until(machine, &mut etcd, || machine.pid().is_some_and(listens))
}

/// Whether a process listens on the clients' port, as far as its network namespace tells (proc(5)).
fn listens(pid: u32) -> bool {
    const LISTEN: &str = "0A";
    let port = format!(":{CLIENT_PORT:04X}");
    let is_it = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() > 3 && words[1].ends_with(&port) && words[3] == LISTEN
    };
    ["tcp", "tcp6"].iter().any(|file| {
        let sockets = fs::read_to_string(format!("/proc/{pid}/net/{file}"));
        sockets.unwrap_or_default().lines().any(is_it)
    })
}

fn wait_until(
    machine: &StoreMachine,
    etcd: &mut Child,
    is_so: impl Fn() -> bool,
) -> Result<(), LabError> {
    let deadline = Instant::now() + READY_BOUND;
    while !is_so() {
        let log = || run::last_words(&machine.log());
        if let Ok(Some(status)) = etcd.try_wait() {
            return Err(LabError::StoreEnded {
                status: status.to_string(),
                log: log(),
            });
        }
        if Instant::now() > deadline {
            return Err(LabError::StoreNotReady {
                waited: READY_BOUND,
                log: log(),
            });
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Waits until it answers a node, and creates the lab's networks there.
pub fn fill(
    spec: &Spec,
    machine: &StoreMachine,
    etcd: &mut Child,
    node: &Node,
    tools: &Tools,
) -> Result<(), LabError> {
    wait_until(machine, etcd, || answers(node, tools))?;
    for line in cluster::creations(spec) {
        let mut command = node.command(&tools.pontoon, tools)?;
        let what = format!("pontoon {}", line.join(" "));
        (tools.announce)(&what);
        run::output(command.args(line), &what)?;
    }
    Ok(())
}

/// Of a node that is in no cluster yet, the list of nodes comes from the store or not at all.
fn answers(node: &Node, tools: &Tools) -> bool {
    let asked = || {
        let mut command = node.command(&tools.pontoon, tools)?;
        run::output(command.args(["node", "ls"]), "pontoon node ls")
    };
    asked().is_ok()
}
