//! What attaching cannot be faster than, and what a person types: a process that does nothing, a
//! bare veth pair, and a script of `ip` commands (address and route, but no records, no firewall).

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use super::Contender;
use crate::machine::{Call, Machine, Target, shell};

pub struct Nothing {
    pub machine: Rc<Machine>,
}

pub struct VethPair {
    pub machine: Rc<Machine>,
}

/// Wants a bridge br0 that has 10.91.0.1/16.
pub struct Commands {
    pub machine: Rc<Machine>,
}

fn ifname(target: &Target) -> String {
    format!("v{}", target.index)
}

impl Contender for Nothing {
    fn attach(&mut self, _: &Target) -> Result<Duration> {
        let no_args: [&str; 0] = [];
        Ok(self.machine.call(&Call::new("true", no_args))?.took)
    }

    fn detach(&mut self, _: &Target) -> Result<Option<Duration>> {
        Ok(None)
    }
}

impl Contender for VethPair {
    fn attach(&mut self, target: &Target) -> Result<Duration> {
        let (ours, name) = (&*ifname(target), &*target.name);
        let line = [
            "link", "add", ours, "type", "veth", "peer", "name", "eth0", "netns", name,
        ];
        Ok(self.machine.call(&Call::new("ip", line))?.took)
    }

    fn detach(&mut self, target: &Target) -> Result<Option<Duration>> {
        let call = Call::new("ip", ["link", "del", &ifname(target)]);
        Ok(Some(self.machine.call(&call)?.took))
    }
}

impl Contender for Commands {
    fn attach(&mut self, target: &Target) -> Result<Duration> {
        let (ours, name, host) = (ifname(target), &target.name, target.host());
        let script = format!(
            "ip link add {ours} type veth peer name eth0 netns {name}
             ip link set {ours} master br0 up
             ip -n {name} link set lo up
             ip -n {name} addr add 10.91.{host}/16 dev eth0
             ip -n {name} link set eth0 up
             ip -n {name} route add default via 10.91.0.1"
        );
        Ok(self.machine.call(&shell(&script))?.took)
    }

    fn detach(&mut self, target: &Target) -> Result<Option<Duration>> {
        let script = format!("ip link del {}", ifname(target));
        Ok(Some(self.machine.call(&shell(&script))?.took))
    }
}
