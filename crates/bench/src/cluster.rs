//! Nodes of a cluster: machines with an agent on each, and the store that they agree in.

use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::contender::Records;
use crate::ground::{Ground, Site};
use crate::machine::{Call, Machine, Server};
use crate::patience::wait_for;
use crate::tools::Found;

/// The network over all nodes.
pub const NETWORK: &str = "web";
/// Its device on each node, for the VNI that it has in a file or gets first in etcd.
pub const VXLAN_DEVICE: &str = "pv-4096";
/// How long a node may need for what is expected within a second or two.
pub const BOUND: Duration = Duration::from_secs(60);
/// Of the nodes in a file, in their order.
pub const FILE_SUBNETS: [&str; 2] = ["10.50.0", "10.50.1"];

/// A machine that is a node, and what its agent is told.
pub struct Member {
    pub site: Site<Records>,
    pub name: String,
    pub underlay: String,
    /// As `--cluster` takes it.
    pub cluster: String,
}

impl Member {
    /// `name` is also its directory in the scratch directory, under `place`.
    pub fn new(
        ground: &Ground<'_>,
        machine: Rc<Machine>,
        (place, name): (&str, &str),
        underlay: &str,
        cluster: &str,
    ) -> Found<Self> {
        Ok(Self {
            site: ground.bare_site(machine, &format!("{place}-{name}"))?,
            name: name.to_owned(),
            underlay: underlay.to_owned(),
            cluster: cluster.to_owned(),
        })
    }

    pub fn start_agent(&self) -> Result<Server> {
        let call = self.site.tool.call(&[
            "agent",
            "--cluster",
            &self.cluster,
            "--node",
            &self.name,
            "--underlay",
            &self.underlay,
        ]);
        let log = self.site.tool.state_dir.with_extension("log");
        self.site.machine.serve(&call.with_log(log))
    }

    /// Attaches a new namespace as soon as the agent has brought the network.
    pub fn attach(&self, agent: &Server, target: &str, options: &[&str]) -> Result<()> {
        let attach = ["attach", NETWORK, target, "--create"];
        let call = self.site.tool.call(&[&attach, options].concat());
        let mut said = None;
        let attached = wait_for("attach", BOUND, || {
            said = self.site.machine.call(&call).err();
            said.is_none()
        });
        attached.with_context(|| {
            let said = said.map(|error| format!("{error:#}")).unwrap_or_default();
            format!("node {}: {said} ({})", self.name, agent.last_words())
        })
    }
}

/// A file that names two nodes and the network; gives it as `--cluster` takes it.
pub fn write_file(path: &Path, underlays: [&str; 2], backend: &str) -> Result<String> {
    let [a, b] = underlays;
    let text = format!(
        "node = [
             {{ name = \"a\", underlay = [\"{a}\"], slot = 0 }},
             {{ name = \"b\", underlay = [\"{b}\"], slot = 1 }},
         ]
         network = [
             {{ name = \"{NETWORK}\", subnets = [\"10.50.0.0/16\"], vni = 4096, backend = \"{backend}\" }},
         ]\n"
    );
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(format!("static:{}", path.display()))
}

/// An etcd of one server, which answers at every address of its machine.
pub struct Etcd {
    _server: Server,
}

impl Etcd {
    /// Its data is in the scratch directory under `place`: on the disk, which it waits for.
    pub fn start(ground: &Ground<'_>, machine: &Machine, place: &str) -> Result<Self> {
        let (data, log) = (
            ground.scratch(place),
            ground.scratch(&format!("{place}.log")),
        );
        let data = data.to_string_lossy().into_owned();
        let (clients, peers) = ("http://0.0.0.0:2379", "http://127.0.0.1:2380");
        let cluster = format!("default={peers}");
        let call = Call::new(
            "etcd",
            [
                ["--data-dir", &data],
                ["--listen-client-urls", clients],
                ["--advertise-client-urls", "http://127.0.0.1:2379"],
                ["--listen-peer-urls", peers],
                ["--initial-advertise-peer-urls", peers],
                ["--initial-cluster", &cluster],
                // Alone it need not wait for others to vote.
                ["--heartbeat-interval", "10"],
                ["--election-timeout", "100"],
            ]
            .concat(),
        );
        let server = machine.serve(&call.with_log(log))?;
        let health = ["--endpoints", "http://127.0.0.1:2379", "endpoint", "health"];
        let health = Call::new("etcdctl", health).with_env(&[("ETCDCTL_API", "3".to_owned())]);
        let healthy = wait_for("etcd answers", BOUND, || machine.call(&health).is_ok());
        healthy.with_context(|| server.last_words())?;
        Ok(Self { _server: server })
    }

    /// It, asked at an address of its machine's, as `--cluster` takes it.
    pub fn place(address: &str) -> String {
        format!("etcd:http://{address}:2379")
    }
}
