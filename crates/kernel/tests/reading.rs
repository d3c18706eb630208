//! What is read of a node for planning and for people, foreign things included.

mod common;

use std::net::{IpAddr, TcpListener, UdpSocket};

use common::{build, ifname, named, state};
use kernel::{Kernel, socket_owner};
use model::{Mtu, Proto};
use netstate::nft::text::TABLE;
use netstate::stack::{DeviceState, Stack, StackPeer};
use testnet::Node;

#[test]
fn facts_hold_foreign_things() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    assert_eq!(kernel.facts().unwrap().default_mtu, Mtu::ETHERNET);
    node.sh("ip link add br0 type bridge; ip link set br0 mtu 1450 up
         ip addr add 192.0.2.1/24 dev br0
         ip addr add 2001:db8::1/64 dev br0 nodad
         ip route add 198.51.100.0/24 via 192.0.2.9
         ip route add table 7 203.0.113.0/24 via 192.0.2.9
         ip -6 route add default via 2001:db8::9");
    let facts = kernel.facts().unwrap();
    let bridge = facts.link(&ifname("br0")).unwrap();
    assert_eq!((bridge.mtu, bridge.up), (1450, true));
    assert_eq!(bridge.kind.as_deref(), Some("bridge"));
    assert_eq!(facts.default_mtu.bytes(), 1450);
    let held = |text: &str| {
        let address: IpAddr = text.parse().unwrap();
        facts.addresses.iter().any(|held| held.address == address)
    };
    assert!(held("192.0.2.1") && held("2001:db8::1") && held("127.0.0.1"));
    let routed: Vec<String> = facts
        .routes
        .iter()
        .map(|route| format!("{} {}", route.prefix, route.table))
        .collect();
    for route in [
        "192.0.2.0/24 254",
        "198.51.100.0/24 254",
        "203.0.113.0/24 7",
        "2001:db8::/64 254",
        "::/0 254",
    ] {
        assert!(routed.iter().any(|r| r == route), "{route}: {routed:?}");
    }
    assert_eq!(kernel.link(&ifname("br0")).unwrap().as_ref(), Some(bridge));
}

#[test]
fn the_best_ipv4_default_route_gives_the_mtu() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("for n in 1 2 3; do
           ip link add br$n type bridge; ip link set br$n mtu 140$n up
           ip addr add 192.0.$n.1/24 dev br$n; ip addr add 2001:db8:$n::1/64 dev br$n nodad
         done
         ip -6 route add default via 2001:db8:1::9 metric 1
         ip route add default via 192.0.2.9 metric 20
         ip route add default via 192.0.3.9 metric 10");
    assert_eq!(kernel.facts().unwrap().default_mtu.bytes(), 1403);
}

#[test]
fn devices_that_learnt_routes_from_advertisements_are_uplinks() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("for n in 1 2 3; do
           ip link add up$n type veth peer name out$n
           ip link set out$n up; ip link set up$n up
           ip addr add 2001:db8:$n::1/64 dev up$n nodad
         done
         ip -6 route add default via 2001:db8:1::9 dev up1 proto ra metric 1
         ip -6 route add default via 2001:db8:2::9 dev up2 proto ra metric 2
         sysctl -qw net.ipv6.conf.up2.accept_ra=2");
    assert_eq!(kernel.facts().unwrap().ra_uplinks, [ifname("up1")]);
    node.sh("sysctl -qw net.ipv6.conf.all.forwarding=1");
    assert_eq!(kernel.facts().unwrap().ra_uplinks, []);
}

#[test]
fn listeners_are_those_that_hold_a_port() {
    let _node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:8080").unwrap();
    let _both = TcpListener::bind("[::]:8081").unwrap();
    let _client = std::net::TcpStream::connect("127.0.0.1:8080").unwrap();
    let _udp = UdpSocket::bind("127.0.0.2:53").unwrap();
    let seen = |kernel: &mut Kernel, proto| {
        let listeners = kernel.listeners(proto).unwrap();
        listeners
            .iter()
            .map(|l| format!("{} {}", l.address, l.port))
            .collect::<Vec<_>>()
    };
    let on_tcp = seen(&mut kernel, Proto::Tcp);
    assert_eq!(on_tcp, ["0.0.0.0 8081", "127.0.0.1 8080", ":: 8081"]);
    assert_eq!(seen(&mut kernel, Proto::Udp), ["127.0.0.2 53"]);
    assert_eq!(kernel.listeners(Proto::Sctp).unwrap(), []);
    let held = kernel.listeners(Proto::Tcp).unwrap();
    let held = held.iter().find(|l| l.port == 8080).unwrap();
    let (pid, _) = socket_owner(held.inode).unwrap();
    assert_eq!(pid, std::process::id());
    drop(tcp);
}

fn device<'a>(stack: &'a Stack, name: &str) -> &'a netstate::stack::StackDevice {
    let mut devices = stack.devices.iter();
    devices
        .find(|device| device.name == name)
        .expect("the device is there")
}

#[test]
fn a_stack_shows_both_sides_of_a_pair() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    build(&mut kernel, &state(2));
    node.sh("ip route add blackhole 198.51.100.0/24
         ip -n box1 neigh add 10.9.0.1 lladdr 02:70:0a:09:00:01 dev eth0");
    let stack = kernel.stack(None).unwrap();
    let port = device(&stack, "pt1");
    assert_eq!((port.kind.as_str(), port.state), ("veth", DeviceState::Up));
    assert_eq!(port.master.as_deref(), Some("pt-web"));
    assert!(port.hairpin && matches!(port.peer, Some(StackPeer::Elsewhere(_))));
    assert_eq!(
        port.alias.as_deref(),
        Some("pontoon 0123456789abcdef endpoint web/box1")
    );
    assert!(stack.routes.iter().any(|route| route.kind == "blackhole"));
    let inside = kernel.stack(Some(&named("box1"))).unwrap();
    // Beside them each namespace has the fallback devices of tunnels, once a kernel has loaded these.
    let kinds = inside.devices.iter().map(|device| device.kind.as_str());
    let pair_or_loopback = |kind: &&str| ["loopback", "veth"].contains(kind);
    assert_eq!(kinds.filter(pair_or_loopback).count(), 2);
    let is_of_node =
        |device: &netstate::stack::StackDevice| ["pt1", "pt-web"].contains(&&*device.name);
    assert!(!inside.devices.iter().any(is_of_node));
    assert_eq!(
        device(&inside, "eth0").mac.as_deref(),
        Some("02:70:0a:09:00:01")
    );
    let ours = inside.routes.iter().filter(|route| route.protocol == TABLE);
    assert_eq!(ours.count(), 2);
    let neighbour = &inside.neighbours[0];
    assert_eq!(
        (neighbour.device.as_str(), neighbour.state.as_str()),
        ("eth0", "permanent")
    );
    let global: Vec<&str> = inside
        .addresses
        .iter()
        .filter(|a| a.device == "eth0" && a.scope == "global")
        .flat_map(|a| a.flags.iter().map(String::as_str))
        .collect();
    assert_eq!(global, ["nodad"]);
}

#[test]
fn a_stack_shows_sockets_and_foreign_chains() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let _tcp = TcpListener::bind("127.0.0.1:8080").unwrap();
    node.sh("nft 'add table inet wall
         add chain inet wall through { type filter hook forward priority 10; policy drop; }
         add chain inet wall within { type filter hook input priority -5; policy accept; }
         add chain inet wall helper
         add table bridge wall
         add chain bridge wall early { type filter hook prerouting priority -300; }'");
    let stack = kernel.stack(None).unwrap();
    let socket = &stack.sockets[0];
    assert_eq!((socket.proto.as_str(), socket.port), ("tcp", 8080));
    let chains: Vec<String> = stack
        .chains
        .iter()
        .map(|c| {
            format!(
                "{} {} {} {} {}",
                c.family, c.chain, c.hook, c.priority, c.policy
            )
        })
        .collect();
    assert_eq!(
        chains,
        [
            "bridge early prerouting -300 accept",
            "inet through forward 10 drop",
            "inet within input -5 accept",
        ]
    );
    let drops: Vec<_> = stack.forward_drops(TABLE).map(|c| &c.table).collect();
    assert_eq!(drops, ["wall"]);
}
