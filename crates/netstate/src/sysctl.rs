//! Kernel parameters under `/proc/sys/net`.

use std::fmt;

use model::{Family, IfName};
use serde::Serialize;

use crate::Netns;

/// One parameter of one namespace, as a path below `/proc/sys` with `/` between its parts: an
/// interface name may hold dots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SysctlKey {
    pub netns: Netns,
    scope: Scope,
    path: String,
}

/// Devices' parameters come before the namespace's: an uplink must accept router
/// advertisements as a router before the node becomes one, or it loses its default route
/// (`rt6_purge_dflt_routers`, net/ipv6/route.c).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    Device(IfName),
    Global,
}

impl SysctlKey {
    /// `net.ipv4.conf.DEVICE.NAME` or the same for IPv6 (Documentation/networking/ip-sysctl.rst).
    pub fn of_device(netns: Netns, family: Family, device: &IfName, name: &'static str) -> Self {
        let tree = family_tree(family);
        Self {
            netns,
            scope: Scope::Device(device.clone()),
            path: format!("net/{tree}/conf/{device}/{name}"),
        }
    }

    /// Whether the node forwards packets of this family at all.
    pub fn forwarding(family: Family) -> Self {
        let path = match family {
            Family::Ipv4 => "net/ipv4/ip_forward",
            Family::Ipv6 => "net/ipv6/conf/all/forwarding",
        };
        Self {
            netns: Netns::Node,
            scope: Scope::Global,
            path: path.to_owned(),
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// The device the parameter goes away with.
    pub fn device(&self) -> Option<&IfName> {
        match &self.scope {
            Scope::Device(device) => Some(device),
            Scope::Global => None,
        }
    }
}

fn family_tree(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "ipv4",
        Family::Ipv6 => "ipv6",
    }
}

impl fmt::Display for SysctlKey {
    /// As sysctl(8) takes it: with dots, or with slashes where a name holds a dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.contains('.') {
            f.write_str(&self.path)
        } else {
            f.write_str(&self.path.replace('/', "."))
        }
    }
}
