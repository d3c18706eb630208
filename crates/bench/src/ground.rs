//! What a section stands on: the tools, the scratch directory, and machines with somebody
//! already living on them. A resident endpoint keeps the bridge, so that making and removing
//! bridges is never part of a sample.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Error, Result};

use crate::cable::Cable;
use crate::contender::{Chain, Cni, Contender, Netavark, Records, Setup};
use crate::machine::Machine;
use crate::scratch::Scratch;
use crate::tools::{self, Docker, Found, Programs};

/// The network on every site of Pontoon's.
pub const NETWORK: &str = "bench";
const SUBNET: &str = "10.90.0.0/16";

pub struct Ground<'a> {
    programs: &'a Programs,
    /// Where Docker is unpacked.
    docker: Option<PathBuf>,
    scratch: &'a Scratch,
    /// Kept to the section's end: the kernel takes namespaces apart in the background, which is
    /// not to happen while something is measured.
    machines: RefCell<Vec<Rc<Machine>>>,
}

/// Two machines and the underlay between them.
pub struct Pair {
    pub left: Rc<Machine>,
    pub right: Rc<Machine>,
    pub cable: Cable,
}

/// A machine and the tool used on it.
#[derive(Clone)]
pub struct Site<T> {
    pub machine: Rc<Machine>,
    pub tool: T,
}

impl<'a> Ground<'a> {
    pub fn new(programs: &'a Programs, docker: Option<PathBuf>, scratch: &'a Scratch) -> Self {
        Self {
            programs,
            docker,
            scratch,
            machines: RefCell::default(),
        }
    }

    pub fn machine(&self) -> Rc<Machine> {
        let machine = Rc::new(Machine::new());
        self.machines.borrow_mut().push(Rc::clone(&machine));
        machine
    }

    /// Pontoon with one network, and its records in the scratch directory under `name`.
    pub fn site(&self, name: &str) -> Found<Site<Records>> {
        self.site_with_records(self.scratch(name))
    }

    pub fn site_with_records(&self, state_dir: PathBuf) -> Found<Site<Records>> {
        let binary = self.programs.pontoon.clone()?;
        let site = Site {
            machine: self.machine(),
            tool: Records { binary, state_dir },
        };
        let created = site.pontoon(&["network", "create", NETWORK, "--subnet", SUBNET]);
        created.map(|_| site).map_err(reason)
    }

    /// Pontoon on a machine, with records that know no network yet.
    pub fn bare_site(&self, machine: Rc<Machine>, name: &str) -> Found<Site<Records>> {
        let tool = Records {
            binary: self.programs.pontoon.clone()?,
            state_dir: self.scratch(name),
        };
        Ok(Site { machine, tool })
    }

    /// Two machines on one cable.
    pub fn pair(&self) -> Result<Pair> {
        let (left, right) = (self.machine(), self.machine());
        let cable = Cable::lay(&left, &right, 0)?;
        Ok(Pair { left, right, cable })
    }

    pub fn docker(&self) -> Found<Docker> {
        tools::docker(self.docker.as_deref())
    }

    /// The name of this run of the bench's.
    pub fn name(&self) -> &str {
        self.scratch.name()
    }

    /// A path in the scratch directory.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// The CNI plugins and a resident; their records in the scratch directory under `name`.
    pub fn cni_site(&self, name: &str) -> Found<Site<Chain>> {
        let tool = Chain {
            plugins: self.programs.cni_plugins.clone()?,
            data_dir: self.scratch(name),
        };
        let machine = self.machine();
        let resident = Cni::new(Rc::clone(&machine), tool.clone(), 0);
        inhabit(&machine, resident).map_err(reason)?;
        Ok(Site { machine, tool })
    }

    /// netavark and a resident; its files in the scratch directory under `name`.
    pub fn netavark_site(&self, name: &str) -> Found<Site<Setup>> {
        let tool = Setup {
            binary: self.programs.netavark.clone()?,
            config_dir: self.scratch(name),
        };
        let machine = self.machine();
        let resident = Netavark::new(Rc::clone(&machine), tool.clone(), 0);
        inhabit(&machine, resident).map_err(reason)?;
        Ok(Site { machine, tool })
    }
}

fn inhabit(machine: &Machine, mut contender: impl Contender) -> Result<()> {
    contender.attach(&machine.add_target()?)?;
    Ok(())
}

impl Site<Records> {
    /// Runs `pontoon`; gives what it printed.
    pub fn pontoon(&self, args: &[&str]) -> Result<String> {
        let call = self.tool.call(args);
        Ok(self.machine.call(&call).context("set up pontoon")?.stdout)
    }

    /// Turns the fast path on for the endpoints that are there. What it pins is in a file system
    /// that it mounts on this machine alone.
    pub fn turn_on_fast_path(&self) -> Result<()> {
        self.pontoon(&["fastpath", "on"]).map(drop)
    }
}

/// An error as the reason why something is not measured.
#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn reason(error: Error) -> String {
    format!("{error:#}")
}
