//! A node with a bridge, containers on it and records of them; a client that asks, and a resolver
//! to be asked.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::ops::Deref;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use model::{
    Endpoint, EndpointId, Mac, Names, NetnsId, NetnsOrigin, Network, NetworkId, NetworkKind,
    NodeId, Rates, Reach, Subnet, Target,
};
use names::Stay;
use store::{
    EndpointLife, EndpointRecord, NamesLock, NetworkLife, NetworkRecord, OpenMode, Records,
};
use testnet::{Netns, Node, wait_until};

/// How long the server may take to notice, and an answer to come.
pub const SOON: Duration = Duration::from_secs(10);
/// How long nothing must come.
const NEVER: Duration = Duration::from_millis(700);
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
        self.sh(&format!(
            "ip link add br{id} type bridge
             ip link set br{id} up
             ip addr add 10.{id}.0.1/24 dev br{id}
             ip addr add fd00:{id}::1/64 dev br{id} nodad"
        ));
        let subnet = |prefix: String| Subnet::new(prefix.parse().unwrap(), None).unwrap();
        let network = Network {
            id: NetworkId(id),
            name: format!("n{id}").parse().unwrap(),
            kind: NetworkKind::Bridge,
            bridge: format!("br{id}").parse().unwrap(),
            mtu: "auto".parse().unwrap(),
            reach,
            names: Names::On,
            subnets: vec![
                subnet(format!("10.{id}.0.0/24")),
                subnet(format!("fd00:{id}::/64")),
            ],
        };
        let life = NetworkLife::Ready;
        self.records()
            .insert_network(&NetworkRecord { network, life })
            .unwrap();
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
        let endpoint = Endpoint {
            id,
            network: NetworkId(network),
            name: name.parse().unwrap(),
            target: Target::Named(name.to_owned()),
            cni: None,
            ifname: eth.parse().unwrap(),
            port: port.parse().unwrap(),
            mac: Mac::ours(id.0.to_be_bytes()),
            addresses: vec![
                format!("10.{network}.0.{host}").parse().unwrap(),
                format!("fd00:{network}::{host}").parse().unwrap(),
            ],
            publish: Vec::new(),
            rates: Rates::default(),
            aliases: aliases.iter().map(|a| a.parse().unwrap()).collect(),
            rank: 0,
        };
        // A container is its namespace: here its name and that of its host's number.
        let netns = NetnsId {
            boot: "6f1c2b1e-7a53-4a0e-9d5c-0123456789ab".parse().unwrap(),
            cookie: host.into(),
        };
        records
            .insert_endpoint(&EndpointRecord {
                endpoint,
                life: EndpointLife::Attaching,
                netns: Some(netns.clone()),
                origin: NetnsOrigin::Given,
                created_at: 0,
            })
            .unwrap();
        records.set_attached(id, &netns).unwrap();
        id
    }

    /// Starts the server, and waits until it says that it is ready.
    pub fn serve(&self) {
        let dir = self.state_dir().to_owned();
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let tell = |complaint: &names::Complaint| panic!("{complaint}");
            let ready = || ready.send(()).unwrap_or_default();
            names::serve(&dir, Stay::WhileUsed, Duration::ZERO, &tell, &ready).unwrap();
        });
        is_ready.recv_timeout(SOON).expect("the server gets ready");
    }

    pub fn is_served(&self) -> bool {
        NamesLock::is_held(self.state_dir())
    }
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

/// What the server at `server` answers in a namespace; `None` where it does not.
pub fn ask(from: &str, server: &str, name: &str, kind: RecordType) -> Option<Message> {
    ask_within(NEVER * 8, &Netns::named(from), server, name, kind)
}

pub fn ask_within(
    bound: Duration,
    from: &Netns,
    server: &str,
    name: &str,
    kind: RecordType,
) -> Option<Message> {
    let question = question(name, kind);
    let server = SocketAddr::new(server.parse().unwrap(), 53);
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let heard = from.run(|| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.set_read_timeout(Some(bound)).ok()?;
        socket.connect(server).ok()?;
        socket.send(&question.to_vec().ok()?).ok()?;
        let mut bytes = [0; 4096];
        let n = socket.recv(&mut bytes).ok()?;
        Some(bytes[..n].to_vec())
    })?;
    let answer = Message::from_vec(&heard).unwrap();
    assert_eq!(answer.metadata.id, question.metadata.id);
    Some(answer)
}

/// That nobody answers, from a namespace.
pub fn is_silent(from: &Netns, server: &str, name: &str) -> bool {
    ask_within(NEVER, from, server, name, RecordType::A).is_none()
}

/// The same by TCP.
pub fn ask_by_tcp(from: &str, server: &str, name: &str, kind: RecordType) -> Message {
    let question = question(name, kind).to_vec().unwrap();
    let server = SocketAddr::new(server.parse().unwrap(), 53);
    let heard = Netns::named(from).run(|| {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let length = u16::try_from(question.len()).unwrap().to_be_bytes();
        stream
            .write_all(&[&length[..], &question].concat())
            .unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut bytes = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    });
    Message::from_vec(&heard).unwrap()
}

/// The addresses of an answer, sorted.
pub fn addresses(answer: &Message) -> Vec<String> {
    let of = |record: &Record| match &record.data {
        RData::A(a) => Some(a.0.to_string()),
        RData::AAAA(a) => Some(a.0.to_string()),
        _ => None,
    };
    let mut all: Vec<String> = answer.answers.iter().filter_map(of).collect();
    all.sort();
    all
}

/// Waits until a name has exactly these IPv4 addresses.
pub fn wait_for(from: &str, server: &str, name: &str, expected: &[&str]) {
    wait_until(&format!("{name} is {expected:?}"), SOON, || {
        ask(from, server, name, RecordType::A).is_some_and(|a| addresses(&a) == expected)
    });
}

/// A resolver that answers as `with` makes of each question, by UDP and TCP, until the test ends.
pub fn resolver(netns: &Netns, address: &str, with: fn(&Message, By) -> Vec<Message>) {
    let address: IpAddr = address.parse().unwrap();
    let udp = netns.run(|| UdpSocket::bind((address, 53)).unwrap());
    let tcp = netns.run(|| std::net::TcpListener::bind((address, 53)).unwrap());
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok((n, from)) = udp.recv_from(&mut bytes) {
            for answer in with(&Message::from_vec(&bytes[..n]).unwrap(), By::Udp) {
                udp.send_to(&answer.to_vec().unwrap(), from).unwrap();
            }
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut bytes = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut bytes).unwrap();
            for answer in with(&Message::from_vec(&bytes).unwrap(), By::Tcp) {
                let bytes = answer.to_vec().unwrap();
                let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length[..], &bytes].concat()).unwrap();
            }
        }
    });
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Udp,
    Tcp,
}

/// An answer to a question, with this address.
pub fn reply(question: &Message, address: &str) -> Message {
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.response_code = ResponseCode::NoError;
    answer.metadata.recursion_available = true;
    let query = question.queries[0].clone();
    let data = RData::A(address.parse().unwrap());
    answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    answer.add_query(query);
    answer
}
