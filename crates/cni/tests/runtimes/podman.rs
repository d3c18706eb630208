//! Podman on a node: a user's commands, typed.

use testnet::{Netns, Output, Outside};

use serde_json::Value;

use crate::image;
use crate::pen::Pen;
use crate::plugin::{BIN_DIR, Net, Plugin};
use crate::site::Site;

/// `cgroups`: the machine's are not the test's to write. `vfs`: no overlay in memory is needed.
/// The networks' directory is podman's default.
const CONTAINERS_CONF: &str = r#"
[containers]
cgroups = "disabled"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
[network]
network_backend = "cni"
cni_plugin_dirs = ["BIN_DIR"]
default_network = "DEFAULT"
"#;
const STORAGE_CONF: &str = r#"
[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"#;
const POLICY: &str = r#"{ "default": [{ "type": "insecureAcceptAnything" }] }"#;

pub struct Podman<'site> {
    pen: Pen<'site>,
}

impl<'site> Podman<'site> {
    /// With the image loaded. Containers that ask for no network get the first of `nets`.
    pub fn new(site: &'site Site, plugin: Plugin, nets: &[Net]) -> Self {
        let pen = Pen::new(&site.node, Outside::V4.into());
        plugin.install(&pen, nets);
        let default = nets.first().expect("a test has a network").name;
        let conf = CONTAINERS_CONF
            .replace("BIN_DIR", BIN_DIR)
            .replace("DEFAULT", default);
        pen.write("/etc/containers/containers.conf", &conf);
        pen.write("/etc/containers/storage.conf", STORAGE_CONF);
        pen.write("/etc/containers/policy.json", POLICY);
        image::build(&pen);
        let podman = Self { pen };
        podman.expect(&format!("load --quiet --input {}", image::ARCHIVE));
        podman
    }

    pub fn pen(&self) -> &Pen<'site> {
        &self.pen
    }

    /// A command line without its first word. Words are split at spaces.
    pub fn run(&self, line: &str) -> Output {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.pen.run(&[&["podman"], &words[..]].concat())
    }

    pub fn expect(&self, line: &str) -> String {
        self.run(line).expect_success(&format!("podman {line}"))
    }

    /// Starts a container that idles and may ping; `options` are those of `podman run`.
    pub fn start(&self, name: &str, options: &str) -> Netns {
        let (image, idle) = (image::NAME, image::IDLE.join(" "));
        self.expect(&format!(
            "run --detach --pull never --entrypoint= --cap-add NET_RAW --name {name} {options} {image} {idle}"
        ));
        self.netns(name)
    }

    /// Runs a command in it.
    pub fn exec(&self, name: &str, line: &str) -> String {
        self.expect(&format!("exec {name} {line}"))
    }

    pub fn remove(&self, name: &str) {
        self.expect(&format!("rm --force --time 0 {name}"));
    }

    pub fn netns(&self, name: &str) -> Netns {
        self.pen.netns_of(self.pid(name))
    }

    /// Of the container's first process, inside the pen.
    pub fn pid(&self, name: &str) -> u32 {
        let pid = self.inspect(name)["State"]["Pid"].as_u64();
        pid.and_then(|pid| pid.try_into().ok())
            .expect("a container has a pid")
    }

    pub fn kill_init(&self, name: &str) {
        self.pen.kill(self.pid(name));
    }

    /// What podman says of the container's attachment to a network.
    pub fn attachment(&self, name: &str, net: &Net) -> Value {
        self.inspect(name)["NetworkSettings"]["Networks"][net.name].take()
    }

    /// Its IPv4 address in a network, as podman says.
    pub fn address(&self, name: &str, net: &Net) -> String {
        let attachment = self.attachment(name, net);
        let address = attachment["IPAddress"].as_str();
        address
            .unwrap_or_else(|| panic!("{name} has no address in {}: {attachment}", net.name))
            .to_owned()
    }

    fn inspect(&self, name: &str) -> Value {
        let printed = self.expect(&format!("inspect {name}"));
        let mut printed: Value = serde_json::from_str(&printed).expect("inspect prints JSON");
        printed[0].take()
    }
}
