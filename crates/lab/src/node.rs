//! A node: where its parts are, and how one gets onto it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use model::{Family, NodeName};
use serde::de::DeserializeOwned;

use crate::Tools;
use crate::access::Access;
use crate::error::LabError;
use crate::spec::{LabName, Spec};
use crate::switch::Plug;
use crate::{mounts, place, run};

/// The first of the nodes' underlay addresses less one (documentation prefixes, RFC 5737 and 3849).
const IPV4_BASE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 0);
const IPV6_BASE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);

/// A node of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: NodeName,
    pub lab: LabName,
    /// Counted from 1.
    pub number: u8,
    /// Its name under the machine's `/run/netns`.
    pub netns: String,
    /// Its addresses in the underlay, at most one a family, IPv4 first.
    pub underlay: Vec<IpAddr>,
    pub(crate) access: Access,
}

/// The nodes that a lab has, or is to have.
pub fn all(spec: &Spec) -> Vec<Node> {
    let numbers = 1..=spec.nodes.number();
    numbers.filter_map(|number| of(spec, number)).collect()
}

fn of(spec: &Spec, number: u8) -> Option<Node> {
    let node = numbered(&spec.name, number)?;
    Some(Node {
        underlay: addresses(spec, number),
        access: Access::of(spec, node.name.as_str()),
        ..node
    })
}

/// A node that a lab of this name may have, as far as its name tells.
pub(crate) fn numbered(lab: &LabName, number: u8) -> Option<Node> {
    Some(Node {
        name: place::node_word(number).parse().ok()?,
        lab: lab.clone(),
        number,
        netns: place::node_netns(lab, number),
        underlay: Vec::new(),
        access: Access::default(),
    })
}

/// What has this number has these addresses in the underlay.
pub(crate) fn addresses(spec: &Spec, number: u8) -> Vec<IpAddr> {
    let families = spec.underlay.families().iter();
    families.map(|family| address(*family, number)).collect()
}

fn address(family: Family, number: u8) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4((u32::from(IPV4_BASE) + u32::from(number)).into()),
        Family::Ipv6 => IpAddr::V6((u128::from(IPV6_BASE) + u128::from(number)).into()),
    }
}

impl Node {
    pub(crate) fn dir(&self) -> PathBuf {
        place::lab_dir(&self.lab).join(self.name.as_str())
    }

    pub(crate) fn plug(&self) -> Plug<'_> {
        Plug {
            name: self.name.as_str(),
            netns: &self.netns,
            underlay: self.underlay.clone(),
            number: self.number,
        }
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir().join("run")
    }

    /// Where its records are, for it and for the machine alike.
    pub fn state_dir(&self) -> PathBuf {
        self.dir().join("state")
    }

    /// What its agent says.
    pub fn log(&self) -> PathBuf {
        self.dir().join("agent.log")
    }

    /// Its network namespace's name.
    pub fn netns_file(&self) -> PathBuf {
        place::netns_path(&self.netns)
    }

    /// The file that its UTS namespace is mounted on.
    pub(crate) fn uts_file(&self) -> PathBuf {
        self.dir().join("uts")
    }

    /// The number of the process that keeps its mount namespace.
    pub(crate) fn keeper_file(&self) -> PathBuf {
        self.dir().join("keeper")
    }

    /// That process, where it is alive: the number may be a stranger's by now.
    pub(crate) fn keeper(&self) -> Option<u32> {
        let pid = fs::read_to_string(self.keeper_file()).ok()?.parse().ok()?;
        let is_there = |word: &str, file: &Path| {
            let own = mounts::identity(Path::new(&format!("/proc/{pid}/ns/{word}")));
            own.is_some() && own == mounts::identity(file)
        };
        let here = is_there("net", &self.netns_file()) && is_there("uts", &self.uts_file());
        here.then_some(pid)
    }

    /// Its mount namespace, held, where its keeper is alive. Looks again once it is held: another
    /// process may have got the keeper's number meanwhile.
    pub(crate) fn hold_mounts(&self) -> Option<File> {
        let keeper = self.keeper()?;
        let mounts = File::open(format!("/proc/{keeper}/ns/mnt")).ok()?;
        (self.keeper() == Some(keeper)).then_some(mounts)
    }

    /// A program on the node, with what `pontoon` there wants to know in its environment. It is in
    /// the caller's directory where that is the same on the node, else in `/`.
    ///
    /// # Errors
    /// `NodeDead`.
    pub fn command(&self, program: impl AsRef<OsStr>, tools: &Tools) -> Result<Command, LabError> {
        let mut command = Command::new("nsenter");
        command.args(self.enter_args()?);
        if let Ok(dir) = env::current_dir()
            && !dir.starts_with("/run")
            && !dir.starts_with("/sys")
        {
            command.args(["env", "-C"]).arg(dir).arg("--");
        }
        command.arg(program);
        command.envs(self.environment(tools));
        Ok(command)
    }

    /// What `pontoon` answers there, in JSON and from the node's own records: no store is asked.
    ///
    /// # Errors
    /// `NodeDead`; `Command`, `Answer`.
    pub fn ask<T: DeserializeOwned>(&self, words: &[&str], tools: &Tools) -> Result<T, LabError> {
        let what = format!("pontoon {} on node {}", words.join(" "), self.name);
        let mut command = self.command(&tools.pontoon, tools)?;
        command.args(words).env_remove("PONTOON_CLUSTER");
        let text = run::output(&mut command, &what)?;
        serde_json::from_str(&text).map_err(|source| LabError::Answer { what, source })
    }

    /// The same in a session of its own, for what outlives its starter.
    ///
    /// # Errors
    /// `NodeDead`.
    pub fn daemon(&self, program: impl AsRef<OsStr>, tools: &Tools) -> Result<Command, LabError> {
        let mut command = Command::new("setsid");
        command.arg("nsenter").args(self.enter_args()?).arg(program);
        command.current_dir("/");
        command.envs(self.environment(tools));
        Ok(command)
    }

    /// What tells `pontoon` on the node where it is, and finds it by its name.
    fn environment(&self, tools: &Tools) -> Vec<(&'static str, OsString)> {
        let mut all = self.access.environment();
        all.extend([
            ("PONTOON_STATE_DIR", self.state_dir().into()),
            ("PONTOON_NODE", self.name.as_str().into()),
            ("PATH", search_path(&tools.pontoon)),
        ]);
        all
    }

    fn enter_args(&self) -> Result<[String; 6], LabError> {
        let Some(keeper) = self.keeper() else {
            return Err(LabError::NodeDead(self.name.clone()));
        };
        let target = keeper.to_string();
        let args = ["--target", &target, "--net", "--uts", "--mount", "--"];
        Ok(args.map(str::to_owned))
    }
}

/// The search path with the directory of the lab's `pontoon` first.
pub(crate) fn search_path(pontoon: &Path) -> OsString {
    let first = pontoon.parent().map(Path::to_owned);
    let path = env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    let all = first.into_iter().chain(env::split_paths(&path));
    // Fails where the directory has a colon in its name: it is named by its path then.
    env::join_paths(all).unwrap_or(path)
}
