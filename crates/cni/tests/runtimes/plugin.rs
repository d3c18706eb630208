//! The plugins a test can run on, and the configuration lists of their networks.

use std::fs;

use serde_json::{Value, json};

use crate::pen::Pen;

/// What all tests but the control run on.
pub const UNDER_TEST: Plugin = Plugin::Pontoon(env!("CARGO_BIN_EXE_pontoon-cni"));

/// Where `ctr` looks, which can't be told otherwise; the other runtimes are told to look there.
pub const BIN_DIR: &str = "/opt/cni/bin";
pub const CONF_DIR: &str = "/etc/cni/net.d";
/// Where Debian puts the reference plugins.
const REFERENCE_DIR: &str = "/usr/lib/cni";
/// What lists call our plugin, and so its file is called.
const PONTOON_TYPE: &str = "pontoon-cni";
/// The newest version that the runtimes of Debian 12 know.
const CNI_VERSION: &str = "1.0.0";

#[derive(Debug, Clone, Copy)]
pub enum Plugin {
    /// `bridge`, `host-local` and `portmap`.
    Reference,
    /// Ours, by the path of its binary.
    Pontoon(&'static str),
}

/// A network as a test wants it.
#[derive(Debug, Clone, Copy)]
pub struct Net {
    pub name: &'static str,
    pub bridge: &'static str,
    pub subnets: &'static [&'static str],
}

impl Plugin {
    /// Puts the binaries and the lists of `nets` in their places, the first net first by name.
    pub fn install(self, pen: &Pen<'_>, nets: &[Net]) {
        // containerd gives a container its `lo` with it.
        install_binary(pen, "loopback", &format!("{REFERENCE_DIR}/loopback"));
        match self {
            Self::Reference => {
                for name in ["bridge", "host-local", "portmap"] {
                    install_binary(pen, name, &format!("{REFERENCE_DIR}/{name}"));
                }
            }
            Self::Pontoon(binary) => install_binary(pen, PONTOON_TYPE, binary),
        }
        for (number, net) in nets.iter().enumerate() {
            let file = format!("{CONF_DIR}/{number}-{}.conflist", net.name);
            pen.write(&file, &self.conflist(net).to_string());
        }
    }

    /// False for the reference `bridge`: a DEL without a namespace, as `ctr` sends it when the
    /// container is dead, leaves its masquerading rules.
    pub fn cleans_without_namespace(self) -> bool {
        match self {
            Self::Reference => false,
            Self::Pontoon(_) => true,
        }
    }

    fn conflist(self, net: &Net) -> Value {
        let plugins = match self {
            Self::Reference => json!([
                bridge(net),
                { "type": "portmap", "capabilities": { "portMappings": true } },
            ]),
            Self::Pontoon(_) => json!([{
                "type": PONTOON_TYPE,
                "network": net.name,
                "bridge": net.bridge,
                "subnets": net.subnets,
                "capabilities": { "portMappings": true, "ips": true, "mac": true, "dns": true },
            }]),
        };
        json!({ "cniVersion": CNI_VERSION, "name": net.name, "plugins": plugins })
    }
}

/// A copy: the pen hides some of the machine's directories, a build directory may be in one.
fn install_binary(pen: &Pen<'_>, name: &str, binary: &str) {
    let place = pen.path(BIN_DIR).join(name);
    fs::copy(binary, &place)
        .unwrap_or_else(|error| panic!("cannot copy {binary} to {}: {error}", place.display()));
}

fn bridge(net: &Net) -> Value {
    let ranges: Vec<Value> = net
        .subnets
        .iter()
        .map(|subnet| json!([{ "subnet": subnet }]))
        .collect();
    let routes: Vec<Value> = net
        .subnets
        .iter()
        .map(|subnet| match subnet.contains(':') {
            true => json!({ "dst": "::/0" }),
            false => json!({ "dst": "0.0.0.0/0" }),
        })
        .collect();
    json!({
        "type": "bridge",
        "bridge": net.bridge,
        "isGateway": true,
        "ipMasq": true,
        "hairpinMode": true,
        "ipam": { "type": "host-local", "ranges": ranges, "routes": routes },
        "capabilities": { "ips": true, "mac": true },
    })
}
