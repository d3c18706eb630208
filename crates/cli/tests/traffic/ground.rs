//! The ground of these tests: a node with an outside, its networks, and clients of all kinds.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use testnet::{Netns, Outside, Server, Transport, silent};

use crate::node::PontoonNode;

pub const TRANSPORTS: [Transport; 2] = [Transport::Tcp, Transport::Udp];

/// How long an answer on a flow of its own may take.
const FLOW_BOUND: Duration = Duration::from_millis(500);

/// An address of each family.
pub type Pair = [&'static str; 2];

pub const NODE: Pair = ["203.0.113.1", "2001:db8:1::1"];
pub const OUTSIDE: Pair = ["203.0.113.2", "2001:db8:1::2"];
pub const LOOPBACK: Pair = ["127.0.0.1", "::1"];
/// Network `web` and its endpoints.
pub const WEB: Pair = ["10.5.0.0/24", "fd00:5::/64"];
pub const WEB_GATEWAY: Pair = ["10.5.0.1", "fd00:5::1"];
pub const A: Pair = ["10.5.0.10", "fd00:5::10"];
pub const PEER: Pair = ["10.5.0.11", "fd00:5::11"];
/// Network `blue` and its endpoint.
pub const BLUE_GATEWAY: Pair = ["10.6.0.1", "fd00:6::1"];
pub const OTHER: Pair = ["10.6.0.10", "fd00:6::10"];

/// A node with an outside and two networks, `web` with `a` and `peer`, `blue` with `other`.
pub struct Site {
    pub node: PontoonNode,
    pub outside: Outside,
}

impl Site {
    /// The calling thread moves to it. `publish` is what `a` publishes, as on the command line.
    pub fn new(bridge_nf: bool, publish: &str) -> Self {
        let site = Self::bare(bridge_nf);
        site.network("web", 5);
        site.network("blue", 6);
        site.attach("web", "a", 10, publish);
        site.attach("web", "peer", 11, "");
        site.attach("blue", "other", 10, "");
        site
    }

    /// Without networks.
    pub fn bare(bridge_nf: bool) -> Self {
        let node = PontoonNode::new();
        node.bridge_nf(bridge_nf);
        let outside = node.outside();
        Self { node, outside }
    }

    pub fn network(&self, name: &str, number: u8) {
        self.node.pontoon(&format!(
            "network create {name} --subnet 10.{number}.0.0/24 --subnet fd00:{number}::/64"
        ));
    }

    /// Attaches a new namespace with the addresses of that number. Its MAC has it as the last
    /// byte, and so has its link-local address.
    pub fn attach(&self, network: &str, name: &str, number: u8, options: &str) {
        let third = match network {
            "web" => 5,
            "blue" => 6,
            _ => 7,
        };
        self.node.pontoon(&format!(
            "attach {network} {name} --create --mac 02:00:00:00:{third:02x}:{number:02x} \
             --ip 10.{third}.0.{number} --ip fd00:{third}::{number} {options}"
        ));
    }

    /// A namespace by its name; `node` is the node.
    pub fn at(&self, name: &str) -> Netns {
        match name {
            "node" => self.node.netns().clone(),
            name => Netns::named(name),
        }
    }

    /// Runs a script inside a namespace.
    pub fn inside(&self, name: &str, script: &str) -> String {
        self.at(name).run(|| self.node.sh(script))
    }

    /// Asserts that `from` is answered at `to`, and seen as `seen`.
    pub fn assert_seen(&self, from: &str, transport: Transport, to: SocketAddr, seen: &str) {
        let outcome = self.at(from).ask(transport, to).map(|client| client.ip());
        let wanted: IpAddr = seen.parse().unwrap();
        match outcome {
            Ok(client) if client == wanted => {}
            other => panic!("{from} {transport:?} {to}: {other:?}, not {wanted}"),
        }
    }

    /// Asserts that nobody of these gets an answer; they ask at the same time.
    pub fn assert_silent(&self, asked: &[(&str, SocketAddr)]) {
        thread::scope(|scope| {
            for (from, to) in asked {
                for transport in TRANSPORTS {
                    let netns = self.at(from);
                    scope.spawn(move || netns.assert_unreachable(transport, *to));
                }
            }
        });
    }
}

/// Runs a test on two nodes at once: with `br_netfilter` showing bridged packets to the IP hooks,
/// and without.
pub fn with_and_without_bridge_nf(test: impl Fn(bool) + Sync) {
    thread::scope(|scope| {
        let run = |bridge_nf: bool| {
            let name = format!("bridge-nf {bridge_nf}");
            let test = &test;
            let builder = thread::Builder::new().name(name);
            builder
                .spawn_scoped(scope, move || test(bridge_nf))
                .unwrap()
        };
        for done in [run(false), run(true)].map(thread::ScopedJoinHandle::join) {
            done.unwrap_or_else(|cause| resume_unwind(cause));
        }
    });
}

pub fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

/// The same port at an address of each family.
pub fn both(pair: Pair, port: u16) -> [SocketAddr; 2] {
    pair.map(|ip| at(ip, port))
}

/// Serves both families.
pub fn serve(netns: &Netns, transport: Transport, port: u16) -> Server {
    netns.serve(transport, (Ipv6Addr::UNSPECIFIED, port).into())
}

/// Serves both families and both transports at each of these ports.
pub fn serve_all(netns: &Netns, ports: &[u16]) -> Vec<Server> {
    let each = |port: &u16| TRANSPORTS.map(|transport| serve(netns, transport, *port));
    ports.iter().flat_map(each).collect()
}

/// Asserts that none of these servers has seen a client that is not of `expected`.
pub fn assert_clients_among(servers: &[Server], expected: &[&str]) {
    let expected: Vec<IpAddr> = expected.iter().map(|ip| ip.parse().unwrap()).collect();
    for server in servers {
        for client in server.clients() {
            let address = server.address();
            assert!(expected.contains(&client.ip()), "{client} at {address}");
        }
    }
}

/// A UDP client that keeps its port: all it sends is one flow to connection tracking.
pub struct UdpFlow(UdpSocket);

impl UdpFlow {
    pub fn open(from: &Netns, to: SocketAddr) -> Self {
        let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = from.run(|| UdpSocket::bind(any)).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(silent(FLOW_BOUND))).unwrap();
        Self(socket)
    }

    /// Whether an answer comes. A refusal is none.
    pub fn is_answered(&self) -> bool {
        self.0.send(b"again").is_ok() && self.0.recv(&mut [0; 128]).is_ok()
    }
}

/// A TCP connection that stays open.
pub struct TcpFlow {
    client: TcpStream,
    server: TcpStream,
}

impl TcpFlow {
    /// `at` is where it comes out, `to` where the client connects to.
    pub fn open(from: &Netns, to: SocketAddr, inside: &Netns, at: SocketAddr) -> Self {
        let listener = inside.run(|| TcpListener::bind(at)).unwrap();
        let client = from.run(|| TcpStream::connect_timeout(&to, silent(FLOW_BOUND)));
        let client = client.unwrap_or_else(|error| panic!("{to}: {error}"));
        let (server, _) = listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(silent(FLOW_BOUND))).unwrap();
        }
        Self { client, server }
    }

    /// Whether a byte comes through, and back.
    pub fn passes(&mut self) -> bool {
        let mut byte = [0];
        let there = self
            .client
            .write_all(b"x")
            .and_then(|()| self.server.read_exact(&mut byte));
        let back = self
            .server
            .write_all(b"y")
            .and_then(|()| self.client.read_exact(&mut byte));
        there.is_ok() && back.is_ok()
    }
}
