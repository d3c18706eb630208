//! netavark, called as Podman calls it: the namespace's path as argument, the rest as JSON on
//! standard input. Addresses are Podman's to choose, so they are given.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Contender, remaps};
use crate::machine::{Call, Machine, Target};

pub struct Netavark {
    machine: Rc<Machine>,
    setup: Setup,
    ports: u16,
}

/// The binary, and where it may write.
#[derive(Debug, Clone)]
pub struct Setup {
    pub binary: PathBuf,
    pub config_dir: PathBuf,
}

impl Netavark {
    pub fn new(machine: Rc<Machine>, setup: Setup, ports: u16) -> Self {
        Self {
            machine,
            setup,
            ports,
        }
    }

    fn call(&self, command: &str, target: &Target) -> Call {
        self.setup.call(command, target, self.ports)
    }
}

impl Setup {
    /// `command` is setup or teardown.
    pub fn call(&self, command: &str, target: &Target, ports: u16) -> Call {
        let config_dir = self.config_dir.to_string_lossy().into_owned();
        let args = ["--config", &config_dir, command, &target.path()].map(str::to_owned);
        Call::new(&self.binary, args).with_stdin(config(ports, target))
    }
}

/// An id as Podman makes them: 64 hexadecimal digits.
fn id(number: u16) -> String {
    format!("{number:064x}")
}

fn config(ports: u16, target: &Target) -> String {
    let mappings: Vec<Value> = remaps(ports)
        .map(|(host, port)| {
            json!({
                "host_ip": "",
                "host_port": host,
                "container_port": port,
                "protocol": "tcp",
                "range": 1,
            })
        })
        .collect();
    let address = format!("10.89.{}", target.host());
    let config = json!({
        "container_id": id(target.index),
        "container_name": target.name,
        "port_mappings": mappings,
        "networks": {"bench": {"static_ips": [address], "interface_name": "eth0"}},
        "network_info": {"bench": {
            "name": "bench",
            "id": id(u16::MAX),
            "driver": "bridge",
            "network_interface": "podman1",
            "subnets": [{"subnet": "10.89.0.0/16", "gateway": "10.89.0.1"}],
            "ipv6_enabled": false,
            "internal": false,
            "dns_enabled": false,
            "ipam_options": {"driver": "host-local"},
        }},
    });
    config.to_string()
}

impl Contender for Netavark {
    fn attach(&mut self, target: &Target) -> Result<Duration> {
        Ok(self.machine.call(&self.call("setup", target))?.took)
    }

    fn detach(&mut self, target: &Target) -> Result<Option<Duration>> {
        Ok(Some(
            self.machine.call(&self.call("teardown", target))?.took,
        ))
    }
}
