//! The underlay: a switch that joins the machines, each by one cable. The port is called as the
//! machine, whose own end is its `eth0`.

use std::net::IpAddr;

use model::Family;

use crate::Tools;
use crate::error::LabError;
use crate::spec::Spec;
use crate::{place, run};

const BRIDGE: &str = "switch";
const UPLINK: &str = "eth0";

/// A machine with a cable to the switch.
pub struct Plug<'a> {
    /// That of the port.
    pub name: &'a str,
    pub netns: &'a str,
    pub underlay: Vec<IpAddr>,
    pub number: u8,
}

/// A port of the switch, as set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    Up,
    Down,
}

/// Makes the switch and plugs all machines in.
pub fn make(spec: &Spec, plugs: &[Plug<'_>], tools: &Tools) -> Result<(), LabError> {
    let mtu = spec.underlay_mtu;
    let mut lines = format!("link add {BRIDGE} mtu {mtu} type bridge mcast_snooping 0\n");
    lines += &plain(BRIDGE);
    for Plug { name, netns, .. } in plugs {
        lines += &format!(
            "link add {name} mtu {mtu} master {BRIDGE} type veth \
             peer name {UPLINK} mtu {mtu} netns {netns}\n"
        );
        lines += &plain(name);
    }
    run::ip(&place::switch_netns(&spec.name), &lines, tools)?;
    plugs.iter().try_for_each(|plug| {
        let addresses = plug.underlay.iter().map(address_line);
        let lines: String = addresses.collect();
        // The kernel would not use a link-local address of its own making for the first second.
        let lines = format!(
            "link set {UPLINK} addrgenmode none\n\
             link set {UPLINK} up\n\
             addr add fe80::{:x}/64 dev {UPLINK} nodad\n{lines}",
            plug.number
        );
        run::ip(plug.netns, &lines, tools)
    })
}

/// The lab gives each address once: nobody need ask for it.
fn address_line(address: &IpAddr) -> String {
    match Family::of(*address) {
        Family::Ipv4 => format!("addr add {address}/24 dev {UPLINK}\n"),
        Family::Ipv6 => format!("addr add {address}/64 dev {UPLINK} nodad\n"),
    }
}

/// Sets a device up that carries and says nothing itself.
fn plain(device: &str) -> String {
    format!("link set {device} addrgenmode none\nlink set {device} up\n")
}

pub fn set_port(spec: &Spec, name: &str, port: Port, tools: &Tools) -> Result<(), LabError> {
    let word = match port {
        Port::Up => "up",
        Port::Down => "down",
    };
    let line = format!("link set {name} {word}\n");
    run::ip(&place::switch_netns(&spec.name), &line, tools)
}
