//! The reference CNI plugins, called as libcni calls them: the configuration on standard input,
//! the rest in the environment, each plugin given the result of the one before.
//! Source: the CNI specification 1.0.0, sections 2 and 4.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Contender, remaps};
use crate::machine::{Call, Machine, Target};

/// The chain bridge (which calls host-local), portmap.
pub struct Cni {
    machine: Rc<Machine>,
    chain: Chain,
    ports: u16,
    /// What bridge answered to the last attach.
    result: Value,
}

/// Where the plugins and their records are.
#[derive(Debug, Clone)]
pub struct Chain {
    pub plugins: PathBuf,
    pub data_dir: PathBuf,
}

impl Cni {
    pub fn new(machine: Rc<Machine>, chain: Chain, ports: u16) -> Self {
        Self {
            machine,
            chain,
            ports,
            result: Value::Null,
        }
    }

    fn portmap(&self, command: &str, target: &Target) -> Result<Duration> {
        let config = portmap_config(self.ports, &self.result);
        let call = self.chain.call("portmap", command, target);
        Ok(self.machine.call(&call.with_stdin(config))?.took)
    }
}

impl Chain {
    /// The ADD or DEL of the first plugin.
    pub fn bridge_call(&self, command: &str, target: &Target, result: &Value) -> Call {
        self.call("bridge", command, target)
            .with_stdin(bridge_config(&self.data_dir, result))
    }

    fn call(&self, plugin: &str, command: &str, target: &Target) -> Call {
        let no_args: [&str; 0] = [];
        Call::new(self.plugins.join(plugin), no_args).with_env(&environment(
            command,
            target,
            &self.plugins,
        ))
    }
}

fn bridge_config(data_dir: &Path, result: &Value) -> String {
    let config = json!({
        "cniVersion": "1.0.0",
        "name": "bench",
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": true,
        "ipMasq": true,
        "ipam": {
            "type": "host-local",
            "dataDir": data_dir,
            "ranges": [[{"subnet": "10.88.0.0/16"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    });
    with_result(config, result)
}

fn portmap_config(ports: u16, result: &Value) -> String {
    let config = json!({
        "cniVersion": "1.0.0",
        "name": "bench",
        "type": "portmap",
        "capabilities": {"portMappings": true},
        "runtimeConfig": {"portMappings": port_mappings(ports)},
    });
    with_result(config, result)
}

/// So many ports, as a runtime asks for them.
pub fn port_mappings(ports: u16) -> Value {
    remaps(ports)
        .map(|(host, port)| json!({"hostPort": host, "containerPort": port, "protocol": "tcp"}))
        .collect()
}

/// What a runtime puts into a plugin's environment.
pub fn environment(command: &str, target: &Target, plugins: &Path) -> [(&'static str, String); 5] {
    [
        ("CNI_COMMAND", command.to_owned()),
        ("CNI_CONTAINERID", target.name.clone()),
        ("CNI_NETNS", target.path()),
        ("CNI_IFNAME", "eth0".to_owned()),
        ("CNI_PATH", plugins.to_string_lossy().into_owned()),
    ]
}

fn with_result(mut config: Value, result: &Value) -> String {
    if !result.is_null() {
        config["prevResult"] = result.clone();
    }
    config.to_string()
}

impl Contender for Cni {
    fn attach(&mut self, target: &Target) -> Result<Duration> {
        let call = self.chain.bridge_call("ADD", target, &Value::Null);
        let bridge = self.machine.call(&call)?;
        self.result = serde_json::from_str(&bridge.stdout).context("read the bridge's result")?;
        // Without ports a runtime may leave portmap out.
        let portmap = match self.ports {
            0 => Duration::ZERO,
            _ => self.portmap("ADD", target)?,
        };
        Ok(bridge.took + portmap)
    }

    fn detach(&mut self, target: &Target) -> Result<Option<Duration>> {
        let portmap = match self.ports {
            0 => Duration::ZERO,
            _ => self.portmap("DEL", target)?,
        };
        let call = self.chain.bridge_call("DEL", target, &self.result);
        Ok(Some(portmap + self.machine.call(&call)?.took))
    }
}
