//! Pontoon's CNI plugin, called as libcni calls it, on the network and the records of `pontoon`.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Contender, Records, remaps};
use crate::ground::NETWORK;
use crate::machine::{Call, Machine, Target};

/// The plugin and its records.
#[derive(Debug, Clone)]
pub struct Plugin {
    pub binary: PathBuf,
    pub state_dir: PathBuf,
}

impl Plugin {
    /// The plugin beside a `pontoon`, with its records.
    pub fn of(records: &Records) -> Self {
        Self {
            binary: records.binary.with_file_name("pontoon-cni"),
            state_dir: records.state_dir.clone(),
        }
    }

    pub fn call(&self, command: &str, target: &Target, ports: u16) -> Call {
        let mappings: Vec<Value> = remaps(ports)
            .map(|(host, port)| json!({"hostPort": host, "containerPort": port, "protocol": "tcp"}))
            .collect();
        let config = json!({
            "cniVersion": "1.0.0",
            "name": "bench",
            "type": "pontoon-cni",
            "network": NETWORK,
            "capabilities": {"portMappings": true},
            "runtimeConfig": {"portMappings": mappings},
        });
        let no_args: [&str; 0] = [];
        Call::new(&self.binary, no_args)
            .with_env(&[
                ("CNI_COMMAND", command.to_owned()),
                ("CNI_CONTAINERID", target.name.clone()),
                ("CNI_NETNS", target.path()),
                ("CNI_IFNAME", "eth0".to_owned()),
                ("CNI_PATH", "/opt/cni/bin".to_owned()),
                (
                    "PONTOON_STATE_DIR",
                    self.state_dir.to_string_lossy().into_owned(),
                ),
            ])
            .with_stdin(config.to_string())
    }
}

pub struct PluginCalls {
    pub machine: Rc<Machine>,
    pub plugin: Plugin,
    pub ports: u16,
}

impl Contender for PluginCalls {
    fn attach(&mut self, target: &Target) -> Result<Duration> {
        let call = self.plugin.call("ADD", target, self.ports);
        Ok(self.machine.call(&call)?.took)
    }

    fn detach(&mut self, target: &Target) -> Result<Option<Duration>> {
        let call = self.plugin.call("DEL", target, self.ports);
        Ok(Some(self.machine.call(&call)?.took))
    }
}
