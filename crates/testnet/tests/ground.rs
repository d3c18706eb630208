//! The tests' own ground: what other crates' tests take for granted of `testnet`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use testnet::frame::{self, ArpOperation, BROADCAST, Mac, SctpChunk};
use testnet::{
    Netns, Node, Outside, Seen, Transport, in_netns, output_within, patient, skip_without_device,
    wait_until,
};

const FORGED: Mac = [2, 0, 0, 0, 0, 0x66];
const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Udp];

fn families() -> [(IpAddr, IpAddr); 2] {
    [
        (Outside::NODE_V4.into(), Outside::V4.into()),
        (Outside::NODE_V6.into(), Outside::V6.into()),
    ]
}

/// Without the tunnels that every namespace of a kernel with their modules is born with.
fn devices(node: &Node) -> Vec<String> {
    listed(&node.sh("ip -br link"))
}

/// The first words of the lines, without `@` and what follows it.
fn listed(lines: &str) -> Vec<String> {
    let words = lines
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let names = words.filter_map(|word| word.split('@').next());
    names
        .filter(|name| !["sit0", "tunl0", "ip6tnl0"].contains(name))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_node_has_its_loopback_and_nothing_else() {
    let node = Node::new();
    let links = node.sh("ip -br link");
    assert!(links.starts_with("lo") && links.contains("UP"), "{links}");
    assert_eq!(devices(&node), ["lo"]);
    assert_eq!(listed(&node.sh("ls /sys/class/net")), ["lo"]);
    assert_eq!(node.sh("nft list ruleset"), "");
    assert_eq!(node.sh("ls /run/netns"), "");
    let state_dir = node.sh("echo $PONTOON_STATE_DIR");
    assert_eq!(Path::new(state_dir.trim()), node.state_dir());
    assert_eq!(std::fs::read_dir(node.state_dir()).unwrap().count(), 0);
}

#[test]
fn the_machine_never_sees_a_node() {
    let name = format!("testnet-{}", std::process::id());
    let node = Node::new();
    node.sh(&format!(
        "ip netns add {name}; touch $PONTOON_STATE_DIR/file"
    ));
    assert!(Path::new("/run/netns").join(&name).exists());
    let machine = Path::new("/proc/1/root");
    assert!(!machine.join("run/netns").join(&name).exists());
    let state = node.state_dir().strip_prefix("/").unwrap();
    assert!(!machine.join(state).exists());
}

#[test]
fn two_nodes_of_one_process_are_strangers() {
    let first = Node::new();
    first.sh("ip link add there type veth peer name back");
    std::thread::spawn(|| {
        let second = Node::new();
        assert_eq!(devices(&second), ["lo"]);
        second.sh("touch $PONTOON_STATE_DIR/second");
    })
    .join()
    .unwrap();
    first.sh("ip link show there; ! test -e $PONTOON_STATE_DIR/second");
}

#[test]
fn threads_started_on_a_node_are_on_it() {
    let node = Node::new();
    node.sh("ip link add mark type veth peer name other");
    std::thread::scope(|scope| {
        scope.spawn(|| node.sh("ip link show mark"));
    });
    node.netns().run(|| node.sh("ip link show mark"));
}

#[test]
fn a_server_answers_with_the_address_it_saw() {
    let node = Node::new();
    let outside = node.outside();
    for (node_ip, outside_ip) in families() {
        for transport in BOTH {
            let server = outside
                .netns()
                .serve(transport, SocketAddr::new(outside_ip, 0));
            let seen = node.netns().ask(transport, server.address()).unwrap();
            assert_eq!(seen.ip(), node_ip);
            assert_eq!(server.clients(), [seen]);
        }
    }
}

#[test]
fn one_unspecified_server_serves_both_families() {
    let node = Node::new();
    let outside = node.outside();
    for transport in BOTH {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8080));
        let _server = node.netns().serve(transport, any);
        for (node_ip, outside_ip) in families() {
            let asked = SocketAddr::new(node_ip, 8080);
            let seen = outside.netns().ask(transport, asked).unwrap();
            assert_eq!(seen.ip(), outside_ip);
        }
    }
}

#[test]
fn refusal_and_silence_are_unreachable_and_an_answer_is_not() {
    let node = Node::new();
    let outside = node.outside();
    node.sh("nft add table t
             nft 'add chain t in { type filter hook input priority 0; }'
             nft add rule t in tcp dport 81 drop
             nft add rule t in udp dport 81 drop");
    for transport in BOTH {
        for port in [80, 81] {
            let closed = SocketAddr::from((Outside::NODE_V4, port));
            outside.netns().assert_unreachable(transport, closed);
        }
        let open = SocketAddr::from((Outside::NODE_V4, 82));
        let _server = node.netns().serve(transport, open);
        let asked = std::panic::catch_unwind(|| {
            outside.netns().assert_unreachable(transport, open);
        });
        assert!(asked.is_err());
    }
}

#[test]
fn the_outside_has_a_route_behind_the_node_only_when_given() {
    let node = Node::new();
    let outside = node.outside();
    let behind = [("10.9.0.1/32", ""), ("fd09::1/128", "nodad")];
    for (prefix, option) in behind {
        let address = prefix.split('/').next().unwrap();
        node.sh(&format!("ip addr add {prefix} dev lo {option}"));
        let server = node
            .netns()
            .serve(Transport::Tcp, SocketAddr::new(address.parse().unwrap(), 0));
        outside
            .netns()
            .assert_unreachable(Transport::Tcp, server.address());
        outside.route_via_node(&node, prefix);
        let seen = outside.netns().ask(Transport::Tcp, server.address());
        assert!(seen.is_ok(), "{seen:?}");
    }
}

#[test]
fn forged_arp_reaches_a_neighbour_that_nobody_guards() {
    let node = Node::new();
    let outside = node.outside();
    let sniffer = outside.netns().sniff(Outside::IFNAME);
    // A neighbour believes an unasked-for answer about an address it knows, when the answer is sent
    // to it alone, and not within the lock time of one second after the last (arp(7)); a lock time
    // of nothing still covers the kernel's current tick, so the lie is repeated.
    node.sh(
        "ip netns exec outside sysctl -qw net.ipv4.neigh.out0.locktime=0
             ping -c 1 -W 2 203.0.113.2",
    );
    let neighbour = outside.netns().mac_of(Outside::IFNAME);
    let lie = frame::arp(
        ArpOperation::Reply,
        (FORGED, Outside::NODE_V4),
        (neighbour, Outside::V4),
    )
    .frame(neighbour, FORGED);
    node.netns().send_frame(Outside::NODE_IFNAME, &lie);
    sniffer.expect("the forged ARP", |frame| {
        Seen::read(frame).is_some_and(|seen| seen.source_mac == FORGED)
    });
    wait_until("the lie is believed", Duration::from_secs(2), || {
        node.netns().send_frame(Outside::NODE_IFNAME, &lie);
        node.sh("ip -n outside neigh show 203.0.113.1")
            .contains("02:00:00:00:00:66")
    });
}

#[test]
fn forged_advertisements_are_believed() {
    let node = Node::new();
    let outside = node.outside();
    let source: Ipv6Addr = "fe80::66".parse().unwrap();
    let group = frame::multicast_mac("ff02::1".parse().unwrap());
    let router = frame::router_advertisement((FORGED, source), "2001:db8:66::".parse().unwrap());
    node.netns()
        .send_frame(Outside::NODE_IFNAME, &router.frame(group, FORGED));
    wait_until("the forged router", Duration::from_secs(5), || {
        node.sh("ip -n outside -6 route show default")
            .contains("fe80::66")
    });
    node.sh("ping -6 -c 1 -W 2 2001:db8:1::2");
    let lie =
        frame::neighbour_advertisement(Outside::NODE_V6, Outside::V6, (FORGED, Outside::NODE_V6));
    node.netns()
        .send_frame(Outside::NODE_IFNAME, &lie.frame(BROADCAST, FORGED));
    wait_until("the forged neighbour", Duration::from_secs(2), || {
        node.sh("ip -n outside -6 neigh show 2001:db8:1::1")
            .contains("02:00:00:00:00:66")
    });
    drop(outside);
}

#[test]
fn a_solicitation_is_answered() {
    let node = Node::new();
    let outside = node.outside();
    let mac = node.netns().mac_of(Outside::NODE_IFNAME);
    let sniffer = node.netns().sniff(Outside::NODE_IFNAME);
    let question = frame::neighbour_solicitation((mac, Outside::NODE_V6), Outside::V6);
    let group = frame::multicast_mac(frame::solicited_node(Outside::V6));
    node.netns()
        .send_frame(Outside::NODE_IFNAME, &question.frame(group, mac));
    sniffer.expect("the answer", |frame| {
        Seen::ip_of(frame).is_some_and(|ip| {
            ip.protocol == frame::PROTOCOL_ICMPV6
                && ip.source.ip() == Outside::V6
                && ip.payload[0] == 136
        })
    });
    drop(outside);
}

#[test]
fn a_forged_datagram_is_delivered_and_a_marker_ends_the_look() {
    let node = Node::new();
    let outside = node.outside();
    let mac = outside.netns().mac_of(Outside::IFNAME);
    let from = SocketAddr::from((Outside::NODE_V4, 1111));
    let to = SocketAddr::from((Outside::V4, 2222));
    let server = outside.netns().serve(Transport::Udp, to);
    let sniffer = outside.netns().sniff(Outside::IFNAME);
    for packet in [
        frame::udp(from, to, b"forged"),
        frame::sctp(SctpChunk::Init, from, to),
    ] {
        node.netns()
            .send_frame(Outside::NODE_IFNAME, &packet.frame(mac, FORGED));
    }
    let before = sniffer
        .until(|frame| Seen::ip_of(frame).is_some_and(|ip| ip.protocol == frame::PROTOCOL_SCTP));
    let forged = |frame: &Vec<u8>| frame.ends_with(b"forged");
    assert_eq!(before.iter().filter(|frame| forged(frame)).count(), 1);
    wait_until("the datagram", Duration::from_secs(2), || {
        server.clients() == [from]
    });
    assert_eq!(
        sniffer.first(Duration::ZERO, |f| f.ends_with(b"forged")),
        None
    );
}

#[test]
fn conntrack_takes_a_forged_sctp_opening_for_a_real_one() {
    let node = Node::new();
    let outside = node.outside();
    outside.netns().run(|| {
        node.sh("nft add table t
                 nft 'add chain t in { type filter hook input priority 0; }'
                 nft add rule t in ct state new sctp dport 2222 counter");
    });
    let from = SocketAddr::from((Outside::NODE_V4, 1111));
    let to = SocketAddr::from((Outside::V4, 2222));
    let packet = frame::sctp(SctpChunk::Init, from, to);
    let mac = outside.netns().mac_of(Outside::IFNAME);
    node.netns()
        .send_frame(Outside::NODE_IFNAME, &packet.frame(mac, FORGED));
    wait_until("the counter", Duration::from_secs(2), || {
        outside
            .netns()
            .run(|| node.sh("nft list chain t in"))
            .contains("packets 1 ")
    });
}

#[test]
fn a_command_that_hangs_is_killed_with_its_children() {
    let node = Node::new();
    let started = Instant::now();
    let hung = std::panic::catch_unwind(|| {
        let mut command = node.command("sh");
        command.args(["-c", "echo begun; tail -f /dev/null & tail -f /dev/null"]);
        output_within(Duration::from_millis(200), &mut command)
    });
    let message = *hung.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("begun"), "{message}");
    assert!(started.elapsed() < patient(Duration::from_secs(10)));
}

#[test]
fn a_failing_script_says_all_it_said() {
    let node = Node::new();
    let output = node.try_sh("echo out; echo err >&2; false; echo unreached");
    assert_eq!((output.code, output.stdout.as_str()), (1, "out\n"));
    assert_eq!(output.stderr, "err\n");
    assert_eq!(node.run(&["sh", "-c", "kill -9 $$"]).code, 137);
}

#[test]
fn a_handle_keeps_a_namespace_that_has_lost_its_name() {
    let node = Node::new();
    node.sh("ip netns add gone");
    let handle = Netns::named("gone");
    node.sh("ip netns del gone");
    let gone = std::panic::catch_unwind(|| in_netns("gone", || ()));
    assert!(gone.is_err());
    let lo = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    assert!(handle.ask(Transport::Tcp, lo).is_err());
    assert_eq!(handle.run(|| devices(&node)), ["lo"]);
}

#[test]
fn what_the_kernel_lacks_is_counted_with_its_reason() {
    let node = Node::new();
    let skips = node.state_dir().join("skips");
    let mut command = node.command(std::env::current_exe().unwrap());
    command
        .args(["--exact", "a_test_of_no_kernel", "--ignored", "--nocapture"])
        .env("PONTOON_TEST_SKIPS", &skips);
    for count in 1..=2 {
        let output = testnet::output(&mut command);
        assert!(output.success(), "{output}");
        let counted = std::fs::read_to_string(&skips).unwrap();
        let reason = "this kernel has no flying-carpet devices";
        assert_eq!(counted.matches(reason).count(), count, "{counted}");
    }
}

#[test]
#[ignore = "what_the_kernel_lacks_is_counted_with_its_reason runs it"]
fn a_test_of_no_kernel() {
    assert!(!skip_without_device("bridge"));
    assert!(skip_without_device("flying-carpet"));
}

#[test]
fn a_device_that_cannot_be_tried_is_no_skip() {
    let tried = std::panic::catch_unwind(|| skip_without_device("veth peer name"));
    assert!(tried.is_err());
}
