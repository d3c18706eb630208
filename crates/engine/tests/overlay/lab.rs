//! Three nodes: namespaces joined by a switch, each with records of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use engine::{Adopted, AttachRequest, Engine, Mode, Settings, TakeOver};
use model::{
    Backend, Cluster, ClusterNode, MtuSetting, NodeName, Overlay, OverlayPrefix, Reach, Span,
};
use store::Membership;
use testnet::{Netns, Node, Transport, wait_until};

pub use crate::request::request;

pub const NODES: usize = 3;
const PORT: u16 = 80;
const UNDERLAY_BOUND: Duration = Duration::from_secs(20);
pub const V4: &[&str] = &["ipv4"];
pub const V6: &[&str] = &["ipv6"];
pub const BOTH: &[&str] = &["ipv4", "ipv6"];

pub struct Lab {
    pub node: Node,
    pub cluster: Cluster,
}

/// The underlay addresses of node `n`.
fn underlay(n: usize, families: &[&str]) -> Vec<IpAddr> {
    let of = |family: &&str| match *family {
        "ipv4" => format!("192.0.2.{n}"),
        _ => format!("2001:db8::{n}"),
    };
    families.iter().map(|f| of(f).parse().unwrap()).collect()
}

pub fn overlay(name: &str, number: u8, backend: Backend) -> Overlay {
    let whole = [format!("10.{number}.0.0/16"), format!("fd00:{number}::/48")];
    Overlay {
        name: name.parse().unwrap(),
        prefixes: whole
            .map(|whole| OverlayPrefix::new(whole.parse().unwrap(), None).unwrap())
            .into(),
        backend,
        vni: (4000 + u32::from(number)).try_into().unwrap(),
        mtu: MtuSetting::Auto,
        reach: Reach::Outside,
        span: Span::Node,
        names: model::Names::Off,
    }
}

/// Runs `visit` on a machine of its own, and comes back.
pub fn elsewhere(visit: impl FnOnce() + Send) {
    thread::scope(|scope| scope.spawn(visit).join()).unwrap();
}

/// How long a test waits for what takes a moment.
pub fn patience() -> Duration {
    UNDERLAY_BOUND
}

impl Lab {
    pub fn new(overlays: &[Overlay], families: &[&str]) -> Self {
        let node = Node::new();
        node.sh("ip netns add switch
                 ip -n switch link add br0 type bridge
                 ip -n switch link set br0 up");
        let mut cluster = Cluster::default();
        for overlay in overlays {
            let name = overlay.name.clone();
            cluster.networks.insert(name, overlay.clone());
        }
        for n in 1..=NODES {
            node.sh(&format!(
                "ip netns add n{n}
                 ip -n n{n} link add up0 type veth peer name p{n} netns switch
                 ip -n switch link set p{n} master br0 up
                 ip -n n{n} link set lo up
                 ip -n n{n} link set up0 up
                 ip -n n{n} addr add 192.0.2.{n}/24 dev up0
                 ip -n n{n} addr add 2001:db8::{n}/64 dev up0 nodad"
            ));
            let of = |whole: &OverlayPrefix| ipam::node_subnet(*whole, n as u128).unwrap();
            let subnets = overlays.iter().map(|overlay| {
                let subnets = overlay.prefixes.iter().map(of).collect();
                (overlay.name.clone(), subnets)
            });
            let name: NodeName = format!("n{n}").parse().unwrap();
            let member = ClusterNode {
                name: name.clone(),
                id: None,
                underlay: underlay(n, families),
                subnets: subnets.collect::<BTreeMap<_, _>>(),
                endpoints: BTreeMap::new(),
                named: BTreeMap::new(),
                seen_at: None,
            };
            cluster.nodes.insert(name, member);
        }
        let lab = Self { node, cluster };
        lab.wait_for_the_underlay();
        lab
    }

    /// A fresh link-local address is of no use to neighbour discovery for a second.
    fn wait_for_the_underlay(&self) {
        for (from, to) in (1..=NODES).flat_map(|a| (1..=NODES).map(move |b| (a, b))) {
            let [address] = underlay(to, V6)[..] else {
                unreachable!("one family, one address")
            };
            wait_until("the underlay carries IPv6", UNDERLAY_BOUND, || {
                self.pings(&format!("n{from}"), address)
            });
        }
    }

    pub fn on<T: Send>(&self, n: usize, work: impl FnOnce(Engine) -> T + Send) -> T {
        let engine = Engine::new(Settings {
            state_dir: PathBuf::from(format!("/run/state-n{n}")),
            now_secs: 1_800_000_000,
            random: n as u64,
            lock_wait: Duration::from_secs(10),
            announce: |_| {},
        });
        Netns::named(&format!("n{n}")).run(|| work(engine))
    }

    /// What a node makes of the cluster as it is now.
    pub fn adopted(&self, n: usize) -> Adopted {
        let membership = Membership {
            me: format!("n{n}").parse().unwrap(),
            cluster: self.cluster.clone(),
        };
        let change = self.on(n, |engine| engine.adopt(&membership, Mode::Apply).unwrap());
        change.outcome
    }

    pub fn adopt(&self, n: usize) {
        let outcome = self.adopted(n);
        assert!(outcome.refused.is_empty(), "{outcome:?}");
        assert!(outcome.stranded.is_empty(), "{outcome:?}");
    }

    pub fn adopt_all(&self) {
        (1..=NODES).for_each(|n| self.adopt(n));
    }

    /// Attaches a new namespace on node `n`; its addresses.
    pub fn attach(&self, n: usize, network: &str, name: &str) -> Vec<IpAddr> {
        let request = request(network, name);
        let change = self.on(n, |engine| engine.attach(&request, Mode::Apply).unwrap());
        change.outcome.endpoint.addresses
    }

    pub fn reconcile(&self, n: usize, mode: Mode) -> Vec<String> {
        let change = self.on(n, |engine| engine.reconcile(TakeOver::No, mode).unwrap());
        change.plan.lines()
    }

    pub fn assert_settled(&self) {
        for n in 1..=NODES {
            assert_eq!(self.reconcile(n, Mode::DryRun), [""; 0], "node {n}");
        }
    }

    pub fn pings(&self, from: &str, to: IpAddr) -> bool {
        let line = format!("ip netns exec {from} ping -n -c 1 -W 1 {to}");
        self.node.try_sh(&line).success()
    }

    /// Whether a packet of so many bytes, headers included, is answered; it is not cut to pieces.
    pub fn carries(&self, from: &str, to: IpAddr, bytes: u32) -> bool {
        // Headers of IP and ICMP.
        let size = bytes - if to.is_ipv4() { 28 } else { 48 };
        let line = format!("ip netns exec {from} ping -n -M do -c 1 -W 1 -s {size} {to}");
        self.node.try_sh(&line).success()
    }

    /// The packets that a chain's rules with this word have dropped on a node.
    pub fn dropped(&self, node: &str, chain: &str, word: &str) -> u32 {
        let list = format!("ip netns exec {node} nft list chain {chain}");
        let listing = self.node.sh(&list);
        let rules = listing.lines().filter(|line| line.contains(word));
        let counts = rules.filter_map(|rule| {
            let behind = rule.split("packets ").nth(1)?;
            behind.split(' ').next()?.parse::<u32>().ok()
        });
        counts.sum()
    }
}

/// Every container reaches every other, with its own address; nodes reach them too.
pub fn assert_one_network(lab: &Lab) {
    lab.adopt_all();
    watch_tracked(lab);
    let containers: Vec<(String, Vec<IpAddr>)> = (1..=NODES)
        .map(|n| (format!("c{n}"), lab.attach(n, "web", &format!("c{n}"))))
        .collect();
    for (to, addresses) in &containers {
        for address in addresses {
            let at = SocketAddr::new(*address, PORT);
            let _server = Netns::named(to).serve(Transport::Tcp, at);
            for (from, own) in containers.iter().filter(|(from, _)| from != to) {
                let seen = Netns::named(from).ask(Transport::Tcp, at);
                let seen = seen.unwrap_or_else(|e| panic!("{from} to {address}: {e}"));
                assert!(own.contains(&seen.ip()), "{from} to {at} is seen as {seen}");
            }
            for n in 1..=NODES {
                assert!(lab.pings(&format!("n{n}"), *address), "n{n} to {address}");
            }
        }
    }
    assert_eq!(tracked(lab), 0);
    assert_published_on_all_nodes(lab);
    lab.assert_settled();
}

/// Counts what connection tracking knows of the packets within a network, in a table of the test's
/// own.
pub fn watch_tracked(lab: &Lab) {
    for n in 1..=NODES {
        lab.node.sh(&format!(
            "ip netns exec n{n} nft -f - <<EOF
             table inet watch {{
                 chain within {{
                     type filter hook forward priority 10;
                     ip saddr 10.50.0.0/16 ip daddr 10.50.0.0/16 ct state != untracked counter
                     ip6 saddr fd00:50::/48 ip6 daddr fd00:50::/48 ct state != untracked counter
                     ip saddr 10.50.0.0/16 counter
                 }}
             }}\nEOF"
        ));
    }
}

/// Packets seen on all nodes so far.
pub fn tracked(lab: &Lab) -> u32 {
    let count = |n, word| lab.dropped(&format!("n{n}"), "inet watch within", word);
    let forwarded: u32 = (1..=NODES)
        .map(|n| count(n, "ip saddr 10.50.0.0/16 counter"))
        .sum();
    assert!(forwarded > 0, "nothing was forwarded");
    (1..=NODES).map(|n| count(n, "ct state")).sum()
}

/// What a node publishes answers at its address in the network, too: on other nodes nothing of it
/// is tracked, so that the container must see the node itself.
pub fn assert_published_on_all_nodes(lab: &Lab) {
    let request = AttachRequest {
        publish: vec!["8080:80/tcp".parse().unwrap()],
        ..request("web", "shop")
    };
    let shop = lab.on(1, |engine| engine.attach(&request, Mode::Apply).unwrap());
    for (n, name) in [(1, "near"), (2, "far")] {
        lab.attach(n, "web", name);
    }
    for address in shop.outcome.endpoint.addresses {
        let _server = Netns::named("shop").serve(Transport::Tcp, SocketAddr::new(address, PORT));
        let gateway = match address {
            IpAddr::V4(_) => "10.50.1.1",
            IpAddr::V6(_) => "fd00:50:0:1::1",
        };
        let at = SocketAddr::new(gateway.parse().unwrap(), 8080);
        for from in ["near", "far", "n1", "n2"] {
            let seen = Netns::named(from).ask(Transport::Tcp, at);
            let seen = seen.unwrap_or_else(|e| panic!("{from} to {at}: {e}"));
            assert_eq!(seen.ip(), at.ip(), "{from} to {at}");
        }
    }
}
