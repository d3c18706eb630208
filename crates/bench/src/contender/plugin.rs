//! Pontoon's CNI plugin, called as libcni calls it, on the network and the records of `pontoon`.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::cni::{environment, port_mappings};
use super::{Contender, Records};
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
        let config = json!({
            "cniVersion": "1.0.0",
            "name": "bench",
            "type": "pontoon-cni",
            "network": NETWORK,
            "capabilities": {"portMappings": true},
            "runtimeConfig": {"portMappings": port_mappings(ports)},
        });
        let no_args: [&str; 0] = [];
        Call::new(&self.binary, no_args)
            .with_env(&environment(command, target, Path::new("/opt/cni/bin")))
            .with_env(&[(
                "PONTOON_STATE_DIR",
                self.state_dir.to_string_lossy().into_owned(),
            )])
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
