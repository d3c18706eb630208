//! Why a port must not have the fast path: something on it that the shortcut would go around
//! (rule R4).
//!
//! The rules of bridge and IP need no look: a proof goes through them. Traffic control does: a
//! queue behind the kernel's way out, or a filter behind our program on the way in, sees nothing
//! of what is redirected.

use std::io;

use crate::attach::Hook;
use crate::tc::Socket;

const TC_H_ROOT: u32 = 0xffff_ffff;
const TC_H_INGRESS: u32 = 0xffff_fff1;

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hindrance {
    /// The port is not there.
    NoDevice,
    /// A queueing discipline of this kind is on it: `tbf` limits, `ingress` and `clsact` hold
    /// filters.
    Qdisc(String),
}

/// What a device is to the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// An endpoint's port, both of whose sides are gone around.
    Port,
    /// Leads to other nodes: what is carried out goes through its queue as everything does.
    Uplink,
}

impl Role {
    fn parents(self) -> &'static [u32] {
        match self {
            Self::Port => &[TC_H_ROOT, TC_H_INGRESS],
            Self::Uplink => &[TC_H_INGRESS],
        }
    }
}

/// What is on the device that our programs must not go around.
pub(crate) fn look(ifindex: u32, hook: Hook, role: Role) -> io::Result<Option<Hindrance>> {
    let socket = Socket::open()?;
    for parent in role.parents() {
        let Some(kind) = socket.qdisc_kind(ifindex, *parent)? else {
            continue;
        };
        // Where we need it ourselves its filters are looked through before ours.
        let is_ours = hook == Hook::Clsact && kind == "clsact";
        if kind != "noqueue" && !is_ours {
            return Ok(Some(Hindrance::Qdisc(kind)));
        }
    }
    Ok(None)
}
