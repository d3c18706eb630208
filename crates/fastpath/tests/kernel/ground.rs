//! A node with a bridge, three endpoints on it, and the fast path.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use fastpath::{FastPath, Port, PortStatus};
use model::{Mtu, NetworkId, NodeId};
use testnet::frame::Mac;
use testnet::{Netns, Node, patient};

pub const NETWORK: NetworkId = NetworkId(7);
/// How long an answer may take.
pub const BOUND: Duration = Duration::from_secs(2);
/// Its addresses end with it, and so does its MAC.
pub const A: Endpoint = Endpoint("a", 0x0a);
pub const B: Endpoint = Endpoint("b", 0x0b);
pub const C: Endpoint = Endpoint("c", 0x0c);

/// As pontoon's own guard: a forged frame would move its owner's place in the bridge.
const GUARD: &str = "nft -f - <<'END'
table bridge guard {
    set owner { type ifname . ether_addr
        elements = { pont10 . 02:00:00:00:05:0a, pont11 . 02:00:00:00:05:0b,
            pont12 . 02:00:00:00:05:0c } }
    set source4 { type ifname . ipv4_addr
        elements = { pont10 . 10.5.0.10, pont11 . 10.5.0.11, pont12 . 10.5.0.12 } }
    set source6 { type ifname . ipv6_addr
        elements = { pont10 . fd00:5::a, pont11 . fd00:5::b, pont12 . fd00:5::c } }
    chain in {
        type filter hook prerouting priority -300;
        iifname \"br0\" accept
        iifname . ether saddr != @owner drop
        ether type ip iifname . ip saddr != @source4 drop
        ip6 saddr fe80::/10 accept
        ip6 saddr :: accept
        ether type ip6 iifname . ip6 saddr != @source6 drop
    }
}
END";

/// An endpoint: its namespace's name and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint(pub &'static str, pub u8);

impl Endpoint {
    pub fn port(self) -> String {
        format!("pont{}", self.1)
    }

    pub fn mac(self) -> Mac {
        [2, 0, 0, 0, 5, self.1]
    }

    pub fn ip4(self) -> IpAddr {
        [10, 5, 0, self.1].into()
    }

    pub fn ip6(self) -> IpAddr {
        format!("fd00:5::{:x}", self.1).parse().unwrap()
    }

    pub fn both(self) -> [IpAddr; 2] {
        [self.ip4(), self.ip6()]
    }

    pub fn netns(self) -> Netns {
        Netns::named(self.0)
    }
}

pub struct Ground {
    pub node: Node,
    pub fastpath: FastPath,
}

impl Ground {
    /// The calling thread moves to it. The fast path is off.
    pub fn new(bridge_nf: bool) -> Self {
        assert!(
            fastpath::is_built(),
            "built without the fast path: run `scripts/setup fastpath` and build again"
        );
        let node = Node::new();
        let calls = u8::from(bridge_nf);
        // Where `br_netfilter` is not loaded, nothing is shown.
        node.sh(&format!(
            "ip link add br0 type bridge
             [ {calls} = 0 ] && [ ! -e /proc/sys/net/bridge ] ||
             sysctl -qw net.bridge.bridge-nf-call-iptables={calls} \
                net.bridge.bridge-nf-call-ip6tables={calls}
             ip addr add 10.5.0.1/24 dev br0
             ip addr add fd00:5::1/64 dev br0 nodad
             ip link set br0 up"
        ));
        for Endpoint(name, number) in [A, B, C] {
            let (port, mac) = (
                Endpoint(name, number).port(),
                format!("02:00:00:00:05:{number:02x}"),
            );
            node.sh(&format!(
                "ip netns add {name}
                 ip link add {port} type veth peer name eth0 netns {name} address {mac}
                 ip link set {port} master br0 up
                 bridge fdb replace {mac} dev {port} master static
                 ip -n {name} addr add 10.5.0.{number}/24 dev eth0
                 ip -n {name} addr add fd00:5::{number:x}/64 dev eth0 nodad
                 ip -n {name} link set lo up
                 ip -n {name} link set eth0 up"
            ));
        }
        node.sh(GUARD);
        Self {
            node,
            fastpath: FastPath::of(NodeId::from_bits(0xfa57)),
        }
    }

    /// With the fast path on.
    pub fn on(bridge_nf: bool) -> Self {
        let ground = Self::new(bridge_nf);
        ground.turn_on();
        ground
    }

    pub fn turn_on(&self) {
        self.fastpath.turn_on(&[NETWORK], 0x1234_5678).unwrap();
        let ensured = self.fastpath.ensure(&ports(), &[]).unwrap();
        assert_eq!((ensured.on.len(), ensured.hindered.len()), (3, 0));
    }

    pub fn status(&self, of: Endpoint) -> PortStatus {
        let status = self.fastpath.status(&[port(of)]).unwrap().unwrap();
        status.ports.into_iter().next().unwrap()
    }

    pub fn fast(&self, of: Endpoint) -> u64 {
        self.status(of).fast_packets
    }
}

pub fn ports() -> Vec<Port> {
    [A, B, C].map(port).to_vec()
}

pub fn port(of: Endpoint) -> Port {
    Port {
        network: NETWORK,
        name: of.port().parse().unwrap(),
        bridge: "br0".parse().unwrap(),
        mtu: Mtu::ETHERNET,
        mac: model::Mac::from_bytes(of.mac()).unwrap(),
        addresses: of.both().to_vec(),
    }
}

/// A UDP flow between two endpoints.
pub struct Datagrams {
    pub client: UdpSocket,
    pub server: UdpSocket,
}

impl Datagrams {
    pub fn between(from: Endpoint, to: Endpoint, family: usize) -> Self {
        let bind = |at: Endpoint| {
            let socket = at.netns().run(|| UdpSocket::bind((at.both()[family], 0)));
            let socket = socket.unwrap();
            socket.set_read_timeout(Some(patient(BOUND))).unwrap();
            socket
        };
        let (client, server) = (bind(from), bind(to));
        client.connect(server.local_addr().unwrap()).unwrap();
        server.connect(client.local_addr().unwrap()).unwrap();
        Self { client, server }
    }

    /// Whether a datagram arrives whole, and back.
    pub fn passes(&self, data: &[u8]) -> bool {
        let across = |from: &UdpSocket, to: &UdpSocket| {
            let mut received = vec![0; 65_536];
            from.send(data).is_ok()
                && to
                    .recv(&mut received)
                    .is_ok_and(|bytes| &received[..bytes] == data)
        };
        across(&self.client, &self.server) && across(&self.server, &self.client)
    }
}

/// A TCP connection between two endpoints.
pub struct Stream {
    pub client: TcpStream,
    pub server: TcpStream,
}

impl Stream {
    pub fn between(from: Endpoint, to: Endpoint, family: usize) -> Self {
        let address = SocketAddr::new(to.both()[family], 0);
        let listener = to.netns().run(|| TcpListener::bind(address)).unwrap();
        let at = listener.local_addr().unwrap();
        let client = from
            .netns()
            .run(|| TcpStream::connect_timeout(&at, patient(BOUND)));
        let (server, _) = listener.accept().unwrap();
        let client = client.unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(patient(BOUND))).unwrap();
            end.set_nodelay(true).unwrap();
        }
        Self { client, server }
    }

    /// Whether a byte comes through, and back.
    pub fn passes(&mut self) -> bool {
        let mut byte = [0];
        let there = self.client.write_all(b"x");
        let there = there.and_then(|()| self.server.read_exact(&mut byte));
        let back = self.server.write_all(b"y");
        let back = back.and_then(|()| self.client.read_exact(&mut byte));
        there.is_ok() && back.is_ok()
    }

    /// Sends so many bytes and compares what arrives.
    pub fn carry(&mut self, bytes: usize) {
        let sent: Vec<u8> = (0..bytes).map(|n| (n * 31 % 251) as u8).collect();
        let mut received = vec![0; bytes];
        thread::scope(|scope| {
            let client = &mut self.client;
            let sent = &sent;
            scope.spawn(move || client.write_all(sent).unwrap());
            self.server.read_exact(&mut received).unwrap();
        });
        assert!(sent == received, "the bytes differ");
    }
}

/// Datagrams with numbers and a connection, while `change` happens: nothing is lost.
pub fn assert_nothing_lost((flow, mut stream): (Datagrams, Stream), change: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    let rounds = thread::scope(|scope| {
        let stop = &stop;
        let datagrams = scope.spawn(move || {
            let mut n = 0_u64;
            while !stop.load(Relaxed) {
                assert!(flow.passes(&n.to_be_bytes()), "datagram {n} is lost");
                n += 1;
            }
            n
        });
        let connection = scope.spawn(move || {
            let mut n = 0_u64;
            while !stop.load(Relaxed) {
                assert!(stream.passes(), "the connection ends at {n}");
                n += 1;
            }
            n
        });
        change();
        stop.store(true, Relaxed);
        [datagrams, connection].map(|flow| flow.join().unwrap())
    });
    assert!(rounds.iter().all(|n| *n > 10), "{rounds:?}");
}
