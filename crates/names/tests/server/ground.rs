//! A node with a bridge, containers on it and records of them.

use std::fs;
use std::ops::Deref;
use std::time::Duration;

use model::{EndpointId, Names, NodeId, Reach, Target};
use names::{Complaint, Stay};
use store::{EndpointLife, NamesLock, OpenMode, Records};
use testnet::Node;
use testnet::dns::SOON;

#[path = "../../src/fixture.rs"]
mod fixture;

/// The node's resolver configuration, mounted over the machine's.
const RESOLV_CONF: &str = "/run/resolv.conf";

pub struct NamesNode(Node);

impl Deref for NamesNode {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.0
    }
}

impl NamesNode {
    /// Whose own resolver is at this address.
    pub fn with_resolver(resolver: &str) -> Self {
        let node = Self(Node::new());
        node.set_resolver(resolver);
        node.sh(&format!("mount --bind {RESOLV_CONF} /etc/resolv.conf"));
        node
    }

    /// Names another resolver.
    pub fn set_resolver(&self, resolver: &str) {
        fs::write(RESOLV_CONF, format!("nameserver {resolver}\n")).unwrap();
    }

    pub fn records(&self) -> Records {
        Records::open(self.state_dir(), OpenMode::ReadWrite, NodeId::from_bits(1)).unwrap()
    }

    /// A network with names: `10.ID.0.0/24` and `fd00:ID::/64`.
    pub fn network(&self, id: u32, reach: Reach) {
        // With an address of its own: the lowest of its ports' would change with each container, and
        // the others would go on sending to the old one.
        self.sh(&format!(
            "ip link add br{id} address 02:00:00:00:00:{id:02x} type bridge
             ip link set br{id} up
             ip addr add 10.{id}.0.1/24 dev br{id}
             ip addr add fd00:{id}::1/64 dev br{id} nodad"
        ));
        let record = fixture::network(id, &format!("n{id}"), Names::On, reach);
        self.records().insert_network(&record).unwrap();
    }

    /// Puts container `name` on a network, at `.HOST` and `::HOST`.
    pub fn attach(&self, network: u32, name: &str, host: u32, aliases: &[&str]) -> EndpointId {
        let mut records = self.records();
        let id = records.next_endpoint_id().unwrap();
        let (port, eth) = (format!("p{}", id.0), format!("eth{network}"));
        self.sh(&format!(
            "[ -e /run/netns/{name} ] || ip netns add {name}
             ip link add {port} type veth peer name {eth} netns {name}
             ip link set {port} master br{network} up
             ip -n {name} addr add 10.{network}.0.{host}/24 dev {eth}
             ip -n {name} addr add fd00:{network}::{host}/64 dev {eth} nodad
             ip -n {name} link set {eth} up"
        ));
        let mut record = fixture::endpoint(network, host, name, aliases);
        record.life = EndpointLife::Attaching;
        record.endpoint.id = id;
        record.endpoint.target = Target::Named(name.to_owned());
        record.endpoint.ifname = eth.parse().unwrap();
        record.endpoint.port = port.parse().unwrap();
        records.insert_endpoint(&record).unwrap();
        records.set_attached(id, &record.netns.unwrap()).unwrap();
        id
    }

    /// Starts the server, and waits until it says that it is ready.
    pub fn serve(&self) {
        let dir = self.state_dir().to_owned();
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let tell = |complaint: &Complaint| match complaint {
                Complaint::Flood { .. } => {}
                other => panic!("{other}"),
            };
            let ready = || ready.send(()).unwrap_or_default();
            names::serve(&dir, Stay::WhileUsed, Duration::ZERO, &tell, &ready).unwrap();
        });
        is_ready.recv_timeout(SOON).expect("the server gets ready");
    }

    pub fn is_served(&self) -> bool {
        NamesLock::is_held(self.state_dir())
    }
}
