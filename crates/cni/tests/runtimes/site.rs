//! The ground of a test: a node with an outside, the networks, and what must not be left of them.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use testnet::{Netns, Node, Outside, Transport, wait_until};

use crate::dns;
use crate::plugin::Net;

pub const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Udp];

pub const WEB: Net = Net {
    name: "web",
    bridge: "cbr0",
    subnets: &["10.77.0.0/24"],
};
pub const DB: Net = Net {
    name: "db",
    bridge: "dbr0",
    subnets: &["10.79.0.0/24"],
};
/// Of both families.
pub const DUAL: Net = Net {
    name: "dual",
    bridge: "dual0",
    subnets: &["10.81.0.0/24", "fd00:81::/64"],
};

/// How long a runtime may take to clean up what died behind its back.
const CLEAN_BOUND: Duration = Duration::from_secs(10);

pub struct Site {
    pub node: Node,
    pub outside: Outside,
}

impl Site {
    /// The calling thread moves to it. The outside answers for [`dns::NAME`].
    pub fn new() -> Self {
        let node = Node::new();
        let outside = node.outside();
        dns::serve(outside.netns(), SocketAddr::new(Outside::V4.into(), 53));
        Self { node, outside }
    }

    /// The container reaches a server outside, which sees the node's address.
    pub fn assert_reaches_outside(&self, container: &Netns, server: IpAddr, node: IpAddr) {
        for transport in TRANSPORTS {
            let server = self
                .outside
                .netns()
                .serve(transport, SocketAddr::new(server, 0));
            let seen = container.ask(transport, server.address());
            let seen = seen.unwrap_or_else(|error| panic!("{transport:?} outside: {error}"));
            assert_eq!(seen.ip(), node, "{transport:?} outside is not masqueraded");
        }
    }

    /// A server in the container at `port` answers at the node's `published` port, asked from
    /// outside and from the node.
    pub fn assert_published(
        &self,
        container: &Netns,
        (transport, port): (Transport, u16),
        published: SocketAddr,
    ) {
        let any = SocketAddr::new(IpAddr::from([0_u16; 8]), port);
        let _server = container.serve(transport, any);
        let client = match published {
            SocketAddr::V4(_) => Outside::V4.into(),
            SocketAddr::V6(_) => IpAddr::from(Outside::V6),
        };
        let seen = self.outside.netns().ask(transport, published);
        let seen = seen.unwrap_or_else(|error| panic!("{published} from outside: {error}"));
        assert_eq!(seen.ip(), client, "the client's address is lost");
        let seen = self.node.netns().ask(transport, published);
        seen.unwrap_or_else(|error| panic!("{published} from the node: {error}"));
    }

    /// Waits until no device, no namespace, no rule and no route has a trace of a container with
    /// that address and published ports.
    pub fn assert_nothing_left(&self, traces: &[&str]) {
        let deadline = Instant::now() + CLEAN_BOUND;
        wait_until("nothing is left", CLEAN_BOUND * 2, || {
            let left = self.left(traces);
            assert!(
                left.is_empty() || Instant::now() < deadline,
                "left behind: {left}"
            );
            left.is_empty()
        });
    }

    fn left(&self, traces: &[&str]) -> String {
        let veths = self.node.sh("ip -o link show type veth");
        let veths = veths
            .lines()
            .filter(|line| !line.contains(Outside::NODE_IFNAME));
        let words = self.node.sh(
            "ip -o addr; ip route show table all; ip -6 route show table all; ip neigh
             nft list ruleset",
        );
        let words = words
            .lines()
            .filter(|line| traces.iter().any(|trace| has_word(line, trace)));
        let mut left: Vec<String> = veths.chain(words).map(str::to_owned).collect();
        left.extend(namespaces());
        left.join("\n")
    }
}

/// True when `word` is in the line and no part of a longer number or address.
fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !(c.is_ascii_hexdigit() || ".:".contains(c)))
        .any(|found| found == word)
}

/// The named namespaces but the outside's.
fn namespaces() -> impl Iterator<Item = String> {
    let entries = fs::read_dir(Path::new("/run/netns")).expect("the node has one");
    entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name != Outside::NAME)
}
