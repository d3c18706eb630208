//! A node for the plugin, and what of it the tests compare.

use std::ops::Deref;
use std::time::Duration;

use engine::{EndpointStatus, Engine, Mode, Settings, TakeOver};
use serde_json::Value;
use testnet::Node;

pub const V4: &str = "10.5.0.0/24";
pub const V6: &str = "fd00:5::/64";
/// Port 8080 of the node, as the outside world reaches it.
pub const NODE_V4: &str = "203.0.113.1:8080";

pub struct CniNode(Node);

impl Deref for CniNode {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.0
    }
}

impl CniNode {
    /// A node with namespaces of these names.
    pub fn with(names: &[&str]) -> Self {
        let node = Self(Node::new());
        for name in names {
            node.sh(&format!("ip netns add {name}"));
        }
        node
    }

    pub fn engine(&self) -> Engine {
        Engine::new(Settings {
            state_dir: self.state_dir().to_owned(),
            now_secs: 1_800_000_000,
            random: 7,
            lock_wait: Duration::from_secs(10),
            announce: |_| {},
        })
    }

    pub fn endpoints(&self) -> Vec<EndpointStatus> {
        self.engine().endpoints().unwrap()
    }

    /// `container/interface` of each endpoint, sorted.
    pub fn attached(&self) -> Vec<String> {
        let endpoints = self.endpoints().into_iter();
        let mut names: Vec<String> = endpoints
            .map(|e| {
                let endpoint = e.endpoint;
                let id = endpoint.cni.map(|cni| cni.container.to_string());
                format!(
                    "{}/{}",
                    id.unwrap_or_else(|| "by hand".to_owned()),
                    endpoint.ifname
                )
            })
            .collect();
        names.sort();
        names
    }

    /// Asserts that the kernel is what the records say.
    pub fn assert_settled(&self) {
        let change = self.engine().reconcile(TakeOver::No, Mode::DryRun).unwrap();
        assert_eq!(change.plan.lines(), [""; 0]);
        assert_eq!(change.outcome.released, []);
    }

    /// Devices, addresses, routes, namespaces and rules, without what the kernel counts.
    pub fn state(&self) -> String {
        self.sh(
            "show() { ip $1 -o link; ip $1 -o addr; ip $1 route; ip $1 -6 route; }; \
             { show; for n in $(ls /run/netns); do echo in $n; show \"-n $n\"; done; } | \
             grep -v fe80 | grep -vE '^(multicast|anycast)' | \
             sed -E 's/NO-CARRIER,//; s/,LOWER_UP//; s/,M-DOWN//; s/ state [A-Z]+//; s/ linkdown//; \
                     s/ qlen [0-9]+//; s/valid_lft.*//'; nft -s list ruleset",
        )
    }

    /// One ping from a namespace.
    pub fn pings(&self, from: &str, address: &str) -> bool {
        let line = format!("ip netns exec {from} ping -n -c 1 -W 2 {address}");
        self.try_sh(&line).success()
    }
}

/// The texts at these places of each entry of a list.
pub fn texts(list: &Value, key: &str) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.map(|one| one[key].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// An error's code and message.
pub fn refusal(error: &Value) -> (u64, String) {
    let msg = error["msg"].as_str().unwrap();
    let details = error["details"].as_str().unwrap_or_default();
    (error["code"].as_u64().unwrap(), format!("{msg}; {details}"))
}
