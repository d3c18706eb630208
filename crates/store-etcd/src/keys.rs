//! What is kept where, below the prefix:
//!
//! ```text
//! v1/cluster/networks/NETWORK         the network
//! v1/cluster/nodes/NODE               the node, with the subnets it holds and the endpoints it tells of
//! v1/cluster/subnets/NETWORK/PREFIX   who holds it: there is one, or none
//! v1/alive/NODE                       when it was last heard of; goes by itself
//! ```
//!
//! A change below `cluster/` wakes everybody. What else is below the prefix is somebody else's.

use std::sync::Arc;

use model::{NetworkName, NodeName, Prefix};

/// Where a cluster's keys are.
#[derive(Debug, Clone)]
pub struct Keys {
    root: Arc<str>,
}

/// A key that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Network(NetworkName),
    Node(NodeName),
    Subnet(NetworkName, Prefix),
    Alive(NodeName),
}

impl Keys {
    pub fn new(prefix: &str) -> Self {
        let prefix = prefix.trim_end_matches('/');
        Self {
            root: format!("{prefix}/v1/").into(),
        }
    }

    pub fn all(&self) -> (Vec<u8>, Vec<u8>) {
        range(self.root.to_string())
    }

    /// One that is never written, in the range that a node may read.
    pub fn nobodys(&self) -> Vec<u8> {
        self.root.to_string().into_bytes()
    }

    /// What wakes who waits.
    pub fn cluster(&self) -> (Vec<u8>, Vec<u8>) {
        range(format!("{}cluster/", self.root))
    }

    pub fn networks(&self) -> (Vec<u8>, Vec<u8>) {
        range(format!("{}cluster/networks/", self.root))
    }

    pub fn subnets_of(&self, network: &NetworkName) -> (Vec<u8>, Vec<u8>) {
        range(format!("{}cluster/subnets/{network}/", self.root))
    }

    pub fn print(&self, key: &Key) -> String {
        let root = &self.root;
        match key {
            Key::Network(network) => format!("{root}cluster/networks/{network}"),
            Key::Node(node) => format!("{root}cluster/nodes/{node}"),
            Key::Subnet(network, prefix) => format!("{root}cluster/subnets/{network}/{prefix}"),
            Key::Alive(node) => format!("{root}alive/{node}"),
        }
    }

    pub fn bytes(&self, key: &Key) -> Vec<u8> {
        self.print(key).into_bytes()
    }

    /// `None` for what is not ours.
    pub fn parse(&self, key: &[u8]) -> Option<Key> {
        let key = std::str::from_utf8(key).ok()?.strip_prefix(&*self.root)?;
        if let Some(node) = key.strip_prefix("alive/") {
            return node.parse().ok().map(Key::Alive);
        }
        let (kind, rest) = key.strip_prefix("cluster/")?.split_once('/')?;
        match kind {
            "networks" => rest.parse().ok().map(Key::Network),
            "nodes" => rest.parse().ok().map(Key::Node),
            "subnets" => {
                let (network, prefix) = rest.split_once('/')?;
                Some(Key::Subnet(network.parse().ok()?, prefix.parse().ok()?))
            }
            _ => None,
        }
    }
}

/// All keys that begin so: `start` ends in a `/`, and `0` is the next byte.
fn range(start: String) -> (Vec<u8>, Vec<u8>) {
    let start = start.into_bytes();
    let mut end = start.clone();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_printed() {
        for keys in [Keys::new("/pontoon/"), Keys::new("a"), Keys::new("")] {
            for key in [
                Key::Network("blue".parse().unwrap()),
                Key::Node("node-1.example".parse().unwrap()),
                Key::Subnet("blue".parse().unwrap(), "10.50.0.0/24".parse().unwrap()),
                Key::Subnet("blue".parse().unwrap(), "fd00:50::/64".parse().unwrap()),
                Key::Alive("a".parse().unwrap()),
            ] {
                let bytes = keys.bytes(&key);
                let (start, end) = keys.all();
                assert!(start <= bytes && bytes < end);
                assert_eq!(keys.parse(&bytes), Some(key));
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_no_key() {
        let keys = Keys::new("/pontoon/");
        for text in [
            "/pontoon/v1/",
            "/pontoon/v2/cluster/nodes/a",
            "/pontoon/v1/cluster/nodes/a/b",
            "/pontoon/v1/cluster/nodes/../a",
            "/pontoon/v1/cluster/subnets/blue/10.50.0.1/24",
            "/other/v1/cluster/nodes/a",
        ] {
            assert_eq!(keys.parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(keys.parse(b"/pontoon/v1/alive/\xff"), None);
    }
}
