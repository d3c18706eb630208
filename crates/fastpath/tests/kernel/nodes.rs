//! Two nodes with a bridge each and a way to the other, as Pontoon makes them, and a container on
//! each.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use fastpath::{FastPath, Overlay, Part, Port, Uplink, Way};
use model::{Mtu, NetworkId, NodeId};
use testnet::{Netns, Node, patient, wait_until};

use crate::ground::{BOUND, Datagrams, Stream};

pub const NETWORK: NetworkId = NetworkId(9);
const VNI: u32 = 4050;
/// The container of the first node, and of the second.
pub const NEAR: Side = Side(1);
pub const FAR: Side = Side(2);

/// One of the two nodes, and what is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side(u8);

/// How packets cross between the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Vxlan4,
    Vxlan6,
    /// One Ethernet over both, in VXLAN over IPv4.
    Stretched,
    /// As they are.
    Routed,
}

impl Backend {
    pub const ALL: [Self; 4] = [Self::Vxlan4, Self::Vxlan6, Self::Stretched, Self::Routed];

    /// Of the node, where VXLAN goes to.
    fn address(self, side: Side) -> String {
        let [v4, v6] = side.node_addresses();
        match self {
            Self::Vxlan6 => v6.to_string(),
            Self::Vxlan4 | Self::Stretched | Self::Routed => v4.to_string(),
        }
    }

    pub fn mtu_inside(self) -> u16 {
        match self {
            Self::Vxlan4 | Self::Stretched => 1450,
            Self::Vxlan6 => 1430,
            Self::Routed => 1500,
        }
    }

    /// Where a container sends what is for the other one.
    pub fn next_hop(self, side: Side) -> [u8; 6] {
        match self {
            Self::Stretched => side.other().mac(),
            Self::Vxlan4 | Self::Vxlan6 | Self::Routed => side.bridge_mac(),
        }
    }

    /// On the node of this side, on which the caller is. With this build's programs, whether others
    /// are there or not.
    pub fn turn_on_here(self, side: Side) {
        let random = 0x1234_5678 + 0x100 * u64::from(side.0);
        side.fastpath().turn_on(&[NETWORK], random).unwrap();
        let (ports, overlays) = ([self.port(side)], [self.overlay(side)]);
        let ensured = side.fastpath().ensure(&ports, &overlays).unwrap();
        let count = (ensured.on.len(), ensured.uplinks.len());
        assert_eq!(count, (1, 1), "{ensured:?}");
    }

    fn port(self, side: Side) -> Port {
        Port {
            network: NETWORK,
            name: "pont1".parse().unwrap(),
            bridge: "br0".parse().unwrap(),
            mtu: self.mtu_inside().try_into().unwrap(),
            mac: model::Mac::from_bytes(side.mac()).unwrap(),
            addresses: side.addresses().to_vec(),
        }
    }

    fn overlay(self, side: Side) -> Overlay {
        Overlay {
            network: NETWORK,
            bridge: "br0".parse().unwrap(),
            way: self.way(side),
            uplinks: vec![Uplink {
                name: "up0".parse().unwrap(),
                mtu: Mtu::ETHERNET,
            }],
        }
    }
}

impl Backend {
    fn way(self, side: Side) -> Way {
        if self != Self::Routed {
            return Way::Vxlan {
                vni: VNI.try_into().unwrap(),
                device: format!("pv-{VNI}").parse().unwrap(),
            };
        }
        let n = side.0;
        let parts = [
            ("10.50.0.0/16", format!("10.50.{n}.0/24")),
            ("fd00:50::/48", format!("fd00:50:0:{n}::/64")),
        ];
        let part = |(whole, own): (&str, String)| Part {
            whole: whole.parse().unwrap(),
            own: own.parse().unwrap(),
        };
        Way::Routed(parts.map(part).to_vec())
    }
}

impl Side {
    pub fn node(self) -> Netns {
        Netns::named(&format!("n{}", self.0))
    }

    pub fn container(self) -> Netns {
        Netns::named(&format!("c{}", self.0))
    }

    pub fn other(self) -> Self {
        Self(3 - self.0)
    }

    /// Of the container, by family.
    pub fn addresses(self) -> [IpAddr; 2] {
        let n = self.0;
        [
            [10, 50, n, 10].into(),
            format!("fd00:50:0:{n}::a").parse().unwrap(),
        ]
    }

    pub fn mac(self) -> [u8; 6] {
        [2, 0, 0, 50, self.0, 10]
    }

    pub fn bridge_mac(self) -> [u8; 6] {
        [2, 0, 0, 51, self.0, 1]
    }

    pub fn uplink_mac(self) -> [u8; 6] {
        [2, 0, 0, 52, self.0, 1]
    }

    /// Of the node in the underlay, by family.
    pub fn node_addresses(self) -> [IpAddr; 2] {
        let n = self.0;
        [
            [192, 0, 2, n].into(),
            format!("2001:db8::{n}").parse().unwrap(),
        ]
    }

    pub fn id(self) -> NodeId {
        NodeId::from_bits(0xfa50 + u64::from(self.0))
    }

    pub fn fastpath(self) -> FastPath {
        FastPath::of(self.id())
    }
}

pub struct Nodes {
    pub node: Node,
    pub backend: Backend,
}

impl Nodes {
    /// The calling thread moves to them. The fast path is off.
    pub fn new(backend: Backend) -> Self {
        assert!(
            fastpath::is_built(),
            "built without the fast path: run `scripts/setup fastpath` and build again"
        );
        let node = Node::new();
        let [one, two] = [NEAR, FAR].map(|side| text(side.uplink_mac()));
        node.sh(&format!(
            "ip netns add n1
             ip netns add n2
             ip -n n1 link add up0 address {one} type veth peer name up0 address {two} netns n2"
        ));
        let nodes = Self { node, backend };
        for side in [NEAR, FAR] {
            nodes.make_node(side);
        }
        for (from, address) in [NEAR, FAR].into_iter().flat_map(|side| {
            let far = side.other().addresses();
            far.map(|address| (format!("c{}", side.0), address))
        }) {
            let ping = format!("ip netns exec {from} ping -q -c1 -W1 {address}");
            wait_until("a ping is answered", BOUND * 5, || {
                nodes.node.try_sh(&ping).success()
            });
        }
        nodes
    }

    fn make_node(&self, side: Side) {
        let n = side.0;
        let (mtu, bridge) = (self.backend.mtu_inside(), text(side.bridge_mac()));
        let bits = match self.backend {
            Backend::Stretched => [16, 48],
            Backend::Vxlan4 | Backend::Vxlan6 | Backend::Routed => [24, 64],
        };
        let [bits4, bits6] = bits;
        let mac = text(side.mac());
        self.node.sh(&format!(
            "on() {{ ip netns exec n{n} \"$@\"; }}
             on sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
             on ip link set lo up
             on ip addr add 192.0.2.{n}/24 dev up0
             on ip addr add 2001:db8::{n}/64 dev up0 nodad
             on ip link set up0 up
             on ip link add br0 address {bridge} type bridge
             on ip link set br0 mtu {mtu} up
             on ip addr add 10.50.{n}.1/{bits4} dev br0
             on ip addr add fd00:50:0:{n}::1/{bits6} dev br0 nodad
             ip netns add c{n}
             on ip link add pont1 mtu {mtu} type veth peer name eth0 mtu {mtu} \
                address {mac} netns c{n}
             on ip link set pont1 master br0 up
             ip -n c{n} link set lo up
             ip -n c{n} addr add 10.50.{n}.10/{bits4} dev eth0
             ip -n c{n} addr add fd00:50:0:{n}::a/{bits6} dev eth0 nodad
             ip -n c{n} link set eth0 up
             ip -n c{n} route add default via 10.50.{n}.1
             ip -n c{n} route add default via fd00:50:0:{n}::1"
        ));
        let lead = match self.backend {
            Backend::Vxlan4 | Backend::Vxlan6 => self.lead_by_vxlan(side),
            Backend::Stretched => self.stretch(side),
            Backend::Routed => self.route(side),
        };
        self.node
            .sh(&format!("on() {{ ip netns exec n{n} \"$@\"; }}\n{lead}"));
    }

    fn vxlan_device(&self, side: Side) -> String {
        let (own, n) = (self.backend.address(side), side.0);
        let mtu = self.backend.mtu_inside();
        format!(
            "on ip link add pv-{VNI} address 02:00:00:00:00:0{n} type vxlan id {VNI} \
                local {own} dstport 4789 nolearning
             on ip link set pv-{VNI} mtu {mtu} up\n"
        )
    }

    fn lead_by_vxlan(&self, side: Side) -> String {
        let (n, o) = (side.0, side.other().0);
        let (device, other) = (self.vxlan_device(side), self.backend.address(side.other()));
        format!(
            "{device}
             on ip neigh replace 10.50.{o}.0 lladdr 02:00:00:00:00:0{o} dev pv-{VNI} nud permanent
             on ip neigh replace fd00:50:0:{o}:: lladdr 02:00:00:00:00:0{o} dev pv-{VNI} \
                nud permanent
             on bridge fdb replace 02:00:00:00:00:0{o} dev pv-{VNI} dst {other} self permanent
             on ip route add 10.50.{o}.0/24 via 10.50.{o}.0 dev pv-{VNI} onlink src 10.50.{n}.1
             on ip route add fd00:50:0:{o}::/64 via fd00:50:0:{o}:: dev pv-{VNI} onlink"
        )
    }

    fn stretch(&self, side: Side) -> String {
        let (device, other) = (self.vxlan_device(side), self.backend.address(side.other()));
        let mac = text(side.other().mac());
        format!(
            "{device}
             on ip link set pv-{VNI} master br0
             on bridge link set dev pv-{VNI} learning off neigh_suppress on
             on bridge fdb replace {mac} dev pv-{VNI} dst {other} self permanent
             on bridge fdb replace {mac} dev pv-{VNI} master static sticky
             on bridge fdb append 00:00:00:00:00:00 dev pv-{VNI} dst {other} self permanent"
        )
    }

    fn route(&self, side: Side) -> String {
        let (n, o) = (side.0, side.other().0);
        format!(
            "on ip route add 10.50.{o}.0/24 via 192.0.2.{o} dev up0 onlink src 10.50.{n}.1
             on ip route add fd00:50:0:{o}::/64 via 2001:db8::{o} dev up0 onlink"
        )
    }

    /// With the fast path on, on both.
    pub fn on(backend: Backend) -> Self {
        let nodes = Self::new(backend);
        for side in [NEAR, FAR] {
            nodes.turn_on(side);
        }
        nodes
    }

    pub fn turn_on(&self, side: Side) {
        side.node().run(|| self.backend.turn_on_here(side));
    }

    pub fn turn_off(&self, side: Side) {
        side.node().run(|| side.fastpath().turn_off(None).unwrap());
    }

    /// For so long.
    pub fn step_aside(&self, side: Side, lease: Duration) {
        let port = self.port(side).name;
        let stepped = side
            .node()
            .run(|| side.fastpath().step_aside(&port, lease).unwrap());
        assert!(stepped);
    }

    /// A flow of datagrams that both nodes carry.
    pub fn running(&self) -> Datagrams {
        let flow = datagrams(usize::from(!self.takes_out(0)));
        let before = [NEAR, FAR].map(|side| self.carried(side));
        wait_until("both nodes carry the flow", BOUND, || {
            assert!(flow.passes(b"again"));
            let now = [NEAR, FAR].map(|side| self.carried(side));
            now.as_flattened()
                .iter()
                .zip(before.as_flattened())
                .all(|(now, before)| now > before)
        });
        flow
    }

    pub fn bump(&self, side: Side) {
        side.node().run(|| side.fastpath().bump().unwrap());
    }

    pub fn port(&self, side: Side) -> Port {
        self.backend.port(side)
    }
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// A UDP flow between the containers.
pub fn datagrams(family: usize) -> Datagrams {
    let bind = |side: Side| {
        let at = SocketAddr::new(side.addresses()[family], 0);
        let socket = side.container().run(|| UdpSocket::bind(at)).unwrap();
        socket.set_read_timeout(Some(patient(BOUND))).unwrap();
        socket
    };
    let (client, server) = (bind(NEAR), bind(FAR));
    client.connect(server.local_addr().unwrap()).unwrap();
    server.connect(client.local_addr().unwrap()).unwrap();
    Datagrams { client, server }
}

/// A TCP connection between them.
pub fn stream(family: usize) -> Stream {
    let at = SocketAddr::new(FAR.addresses()[family], 0);
    let listener = FAR.container().run(|| TcpListener::bind(at)).unwrap();
    let at = listener.local_addr().unwrap();
    let client = NEAR
        .container()
        .run(|| TcpStream::connect_timeout(&at, patient(BOUND)));
    let (server, _) = listener.accept().unwrap();
    let client = client.unwrap();
    for end in [&client, &server] {
        end.set_read_timeout(Some(patient(BOUND))).unwrap();
        end.set_nodelay(true).unwrap();
    }
    Stream { client, server }
}
