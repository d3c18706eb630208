//! Attaches the programs to a port, on both sides, and takes them off.
//!
//! By tcx, whose attachment is an object that we pin. Where the kernel has none (before 6.6), by a
//! filter of `clsact` that stands behind all others: whatever is on the port has its say first.

use std::io;
use std::path::Path;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact,
};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType};
use aya::util::KernelVersion;
use fastpath_wire::{PROGRAM_FROM_NODES, PROGRAM_IN, PROGRAM_OUT, PROGRAM_TO_NODES};
use model::IfName;

use crate::error::{FastPathError, Result};
use crate::place::remove_file;
use crate::port::ifindex;
use crate::tc::Socket;

/// The filter's place: the last one.
const PRIORITY: u16 = u16::MAX;
const HANDLE: TcHandle = TcHandle::new(0, HANDLE_MINOR);
const HANDLE_MINOR: u16 = 0x706e;
/// `TC_H_CLSACT` with `TC_H_MIN_INGRESS` and `TC_H_MIN_EGRESS` (`include/uapi/linux/pkt_sched.h`).
const CLSACT_INGRESS: u32 = 0xffff_fff2;
const CLSACT_EGRESS: u32 = 0xffff_fff3;

/// A side of a device, and what watches it: of an endpoint's port, the way from the container and
/// the way to it; of a device that leads to other nodes, the way from them and the way to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    In,
    Out,
    FromNodes,
    ToNodes,
}

impl Side {
    pub const OF_PORT: [Self; 2] = [Self::In, Self::Out];
    /// What sees what the kernel sends first: until it is there, nothing is carried.
    pub const OF_UPLINK: [Self; 2] = [Self::ToNodes, Self::FromNodes];
    pub const ALL: [Self; 4] = [Self::In, Self::Out, Self::FromNodes, Self::ToNodes];

    pub fn word(self) -> &'static str {
        match self {
            Self::In | Self::FromNodes => "in",
            Self::Out | Self::ToNodes => "out",
        }
    }

    pub fn program(self) -> &'static str {
        match self {
            Self::In => PROGRAM_IN,
            Self::Out => PROGRAM_OUT,
            Self::FromNodes => PROGRAM_FROM_NODES,
            Self::ToNodes => PROGRAM_TO_NODES,
        }
    }

    fn attach_type(self) -> TcAttachType {
        match self {
            Self::In | Self::FromNodes => TcAttachType::Ingress,
            Self::Out | Self::ToNodes => TcAttachType::Egress,
        }
    }

    fn clsact_parent(self) -> u32 {
        match self {
            Self::In | Self::FromNodes => CLSACT_INGRESS,
            Self::Out | Self::ToNodes => CLSACT_EGRESS,
        }
    }
}

/// How programs are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    Tcx,
    Clsact,
}

impl Hook {
    /// The best one that the running kernel has.
    pub fn of_this_kernel() -> Self {
        if KernelVersion::current().is_ok_and(|kernel| kernel >= KernelVersion::new(6, 6, 0)) {
            Self::Tcx
        } else {
            Self::Clsact
        }
    }
}

/// One program, to be on one side of ports.
pub(crate) struct Attacher<'p> {
    pub program: &'p mut SchedClassifier,
    /// Its number in the kernel.
    pub id: u32,
    pub side: Side,
    pub hook: Hook,
}

impl Attacher<'_> {
    /// Puts the program on a port, or in the place of another version of it.
    pub fn ensure(&mut self, port: &IfName, pin: &Path) -> Result<()> {
        let done = match self.hook {
            Hook::Tcx => self.ensure_tcx(port, pin),
            Hook::Clsact => self.ensure_filter(port, pin),
        };
        done.map_err(|source| FastPathError::Attach {
            port: port.clone(),
            source: Box::new(source),
        })
    }

    /// Whether this very program is on the port.
    pub fn is_on(&self, port: &IfName) -> bool {
        match self.hook {
            Hook::Tcx => {
                let on = SchedClassifier::query_tcx(port.as_str(), self.side.attach_type());
                on.is_ok_and(|(_, programs)| programs.iter().any(|p| p.id() == self.id))
            }
            Hook::Clsact => {
                let on = filter_program(port, self.side);
                on.is_ok_and(|program| program == Some(self.id))
            }
        }
    }

    fn ensure_tcx(&mut self, port: &IfName, pin: &Path) -> std::result::Result<(), ProgramError> {
        if self.is_on(port) && pin.exists() {
            return Ok(());
        }
        if let Ok(old) = PinnedLink::from_pin(pin) {
            let old: std::result::Result<SchedClassifierLink, _> = FdLink::from(old).try_into();
            let updated = old.ok().map(|link| self.program.attach_to_link(link));
            if matches!(updated, Some(Ok(_))) && self.is_on(port) {
                return Ok(());
            }
            // Of a device that is gone.
            std::fs::remove_file(pin).map_err(ProgramError::IOError)?;
        }
        let options = TcAttachOptions::TcxOrder(LinkOrder::default());
        let side = self.side.attach_type();
        let id = self
            .program
            .attach_with_options(port.as_str(), side, options)?;
        let link: FdLink = self.program.take_link(id)?.try_into().map_err(|_| {
            let error = io::Error::other("the attachment can't be pinned");
            ProgramError::IOError(error)
        })?;
        link.pin(pin)
            .map(drop)
            .map_err(|error| ProgramError::IOError(io::Error::other(error)))
    }

    /// A filter has no object of its own to pin: a copy of the program's pin tells which ports may
    /// have one, before they do. A filter that is there gets another program in place. So nobody who
    /// is killed here leaves a port without, or one with a filter that nobody knows of.
    fn ensure_filter(
        &mut self,
        port: &IfName,
        pin: &Path,
    ) -> std::result::Result<(), ProgramError> {
        let is_known = pin.exists();
        let there = filter_program(port, self.side).ok().flatten();
        if there == Some(self.id) && is_known {
            return Ok(());
        }
        let pinned = |error| ProgramError::IOError(io::Error::other(error));
        if !is_known {
            self.program.pin(pin).map_err(pinned)?;
        }
        let id = if there.is_some() {
            let filter = filter(port, self.side).map_err(ProgramError::IOError)?;
            self.program.attach_to_link(filter)?
        } else {
            // Where it is there already, the filter's own error tells what is wrong.
            let _ = qdisc_add_clsact(port.as_str());
            let options = NlOptions {
                priority: PRIORITY,
                handle: HANDLE,
                classid: None,
            };
            let options = TcAttachOptions::Netlink(options);
            let side = self.side.attach_type();
            self.program
                .attach_with_options(port.as_str(), side, options)?
        };
        // Dropped, it would be detached.
        std::mem::forget(self.program.take_link(id)?);
        if is_known {
            std::fs::remove_file(pin).map_err(ProgramError::IOError)?;
            self.program.pin(pin).map_err(pinned)?;
        }
        Ok(())
    }
}

/// Takes a program off a port; one that is gone, or whose device is, is no error.
pub(crate) fn detach(port: &IfName, side: Side, hook: Hook, pin: &Path) -> Result<()> {
    if hook == Hook::Clsact {
        // The device may be gone, and the filter with it.
        let _ = remove_filter(port, side);
    }
    remove_file(pin)
}

/// The number of the program that our filter on a side of a port runs.
fn filter_program(port: &IfName, side: Side) -> io::Result<Option<u32>> {
    let Some(index) = ifindex(port)? else {
        return Ok(None);
    };
    let handle = u32::from(HANDLE_MINOR);
    Socket::open()?.filter_program(index, side.clsact_parent(), PRIORITY, handle)
}

fn filter(port: &IfName, side: Side) -> io::Result<SchedClassifierLink> {
    SchedClassifierLink::attached(port.as_str(), side.attach_type(), PRIORITY, HANDLE, None)
}

fn remove_filter(port: &IfName, side: Side) -> std::result::Result<(), ProgramError> {
    use aya::programs::links::Link;
    filter(port, side).map_err(ProgramError::IOError)?.detach()
}
