//! What is broken behind our back is put right, and nothing else: `reconcile` says what it was.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use testnet::{Netns, patient, wait_until};

use crate::ground::{WEB, assert_same, elsewhere};
use crate::node::PontoonNode;

/// Two endpoints, one published and in a namespace of ours, and somebody else's things.
pub const BUSY: &str = "
    ip netns add b; ip -n b link set lo up; ip netns add spare
    pontoon attach web a --create --ip 10.5.0.9 --ip fd00:5::9 -p 8080:80 -p 9000-9100
    pontoon attach web b --ip 10.5.0.8 --ip fd00:5::8
    ip link add foreign0 address 02:00:00:00:00:01 type bridge; ip addr add 172.30.0.1/24 dev foreign0
    ip addr add 172.31.0.1/24 dev web0; ip -n b addr add 172.31.0.8/24 dev eth0
    nft 'add table inet foreign; add chain inet foreign c; add rule inet foreign c counter'
    nft add rule inet pontoon admin ip saddr 198.51.100.0/24 drop
";

/// As many lines as the chain has rules, and more.
const CHAIN: usize = usize::MAX;

/// How it is broken, what the reconcile says line by line, and how many lines its plan has.
pub type Break = (&'static str, &'static str, usize);

pub const FIREWALL: &[Break] = &[
    (
        "nft delete element bridge pontoon macs '{ \"pont2\" . 02:70:0a:05:00:08 }'",
        "nft set bridge macs lacked an element",
        1,
    ),
    (
        "nft add element inet pontoon ports4 '{ udp . 81 : 10.5.0.9 . 81 }'",
        "nft set inet ports4 had a wrong element",
        2,
    ),
    (
        "nft 'delete element inet pontoon ports4 { tcp . 8080 }; \
            add element inet pontoon ports4 { tcp . 8080 : 10.5.0.8 . 80 }'",
        "nft set inet ports4 had a wrong element
         nft set inet ports4 lacked an element",
        2,
    ),
    (
        "nft flush map inet pontoon ranges4",
        "nft set inet ranges4 lacked an element",
        1,
    ),
    (
        "nft insert rule inet pontoon networks accept",
        "nft chain inet networks had other rules",
        CHAIN,
    ),
    (
        "nft flush chain inet pontoon networks",
        "nft chain inet networks lacked a rule",
        CHAIN,
    ),
    (
        "nft delete rule inet pontoon networks handle $(nft -a list chain inet pontoon networks |
            sed -n 's/.*jump admin # handle //p')",
        "nft chain inet networks had other rules",
        CHAIN,
    ),
    (
        "nft 'add chain inet pontoon mine; add set inet pontoon mine2 { type ipv4_addr; }'",
        "nft chain inet mine was left over
         nft set inet mine2 was left over",
        2,
    ),
];

pub const DEVICES: &[Break] = &[
    (
        "ip link set web0 down",
        "web0 was missing its address fd00:5::1
         web0 was down",
        2,
    ),
    ("ip link set pont2 nomaster", "pont2 was no port of web0", 1),
    (
        "ip link set pont2 master foreign0",
        "pont2 was no port of web0",
        1,
    ),
    (
        "ip link set pont1 nomaster",
        "pont1 was no port of web0
         pont1 had hairpin off",
        2,
    ),
    ("ip link set pont2 down", "pont2 was down", 1),
    (
        "ip link del pont2",
        "device pont2 (endpoint web/b) was missing",
        10,
    ),
    (
        "ip link set pont2 down; ip link set pont2 name renamed0",
        "device renamed0 was left over or not as recorded
         device pont2 (endpoint web/b) was missing",
        11,
    ),
    (
        "ip link set pont2 address 02:00:00:00:00:05",
        "pont2 had another MAC than 06:70:0a:05:00:08",
        1,
    ),
    (
        "ip link set web0 address 02:00:00:00:00:05",
        "web0 had another MAC than 02:70:0a:05:00:01",
        1,
    ),
    (
        "ip link set web0 mtu 1300",
        "web0 had another MTU than 1500",
        1,
    ),
    (
        "bridge link set dev pont1 hairpin off; bridge link set dev pont2 hairpin on",
        "pont1 had hairpin off
         pont2 had hairpin on",
        2,
    ),
    (
        "ip addr del 10.5.0.1/24 dev web0; ip addr add 10.5.0.254/24 dev web0",
        "web0 had the address 10.5.0.254
         web0 was missing its address 10.5.0.1",
        2,
    ),
    (
        "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.web0.accept_ra=1 \
            net.ipv4.conf.web0.route_localnet=0 net.ipv6.conf.all.forwarding=0",
        "net.ipv4.conf.web0.route_localnet was not 1
         net.ipv6.conf.web0.accept_ra was not 0
         net.ipv4.ip_forward was not 1
         net.ipv6.conf.all.forwarding was not 1",
        4,
    ),
];

pub const INSIDE: &[Break] = &[
    (
        "ip -n b link del eth0",
        "device pont2 (endpoint web/b) was missing",
        10,
    ),
    (
        "ip -n b link set eth0 down; ip -n b link set eth0 name renamed0",
        "device pont2 was left over or not as recorded
         device pont2 (endpoint web/b) was missing",
        11,
    ),
    (
        "ip -n b link set eth0 netns spare",
        "device pont2 was left over or not as recorded
         device pont2 (endpoint web/b) was missing",
        11,
    ),
    (
        "ip -n b link set eth0 down",
        "eth0 in b was missing its address fd00:5::8
         eth0 in b was down
         the route to 0.0.0.0/0 by eth0 in b was missing
         the route to ::/0 by eth0 in b was missing",
        4,
    ),
    (
        "ip -n b addr del 10.5.0.8/24 dev eth0; ip -n b addr add 10.5.0.80/24 dev eth0",
        "eth0 in b had the address 10.5.0.80
         eth0 in b was missing its address 10.5.0.8
         the route to 0.0.0.0/0 by eth0 in b was missing",
        3,
    ),
    (
        "ip -n b addr add 10.5.0.80/24 dev eth0",
        "eth0 in b had the address 10.5.0.80",
        1,
    ),
    (
        "ip -n b route del default",
        "the route to 0.0.0.0/0 by eth0 in b was missing",
        1,
    ),
    (
        "ip -n b -6 route del default",
        "the route to ::/0 by eth0 in b was missing",
        1,
    ),
    (
        "ip -n b link set eth0 mtu 1300",
        "eth0 in b had another MTU than 1500",
        1,
    ),
    (
        "ip -n b link set eth0 address 02:00:00:00:00:05",
        "eth0 in b had another MAC than 02:70:0a:05:00:08",
        1,
    ),
    (
        "ip netns exec b sysctl -qw net.ipv6.conf.eth0.accept_ra=1",
        "net.ipv6.conf.eth0.accept_ra in b was not 0",
        1,
    ),
    ("ip -n a link set lo down", "lo in a was down", 1),
    // The mark tells which namespaces a killed attach left: a container may change its own.
    ("ip -n a link set lo alias x", "", 0),
];

fn breaks(node: &PontoonNode, table: &[Break]) {
    node.script(&format!("{WEB}{BUSY}"));
    for (script, says, lines) in table {
        node.script(script);
        let plan = node.try_pontoon("reconcile --dry-run");
        let mut planned = plan.stdout.lines();
        match *lines {
            CHAIN => assert!(
                planned.all(|line| line.contains("networks")),
                "{script}: {plan}"
            ),
            lines => assert_eq!(planned.count(), lines, "{script}: {plan}"),
        }
        assert_eq!(plan.code, if *lines == 0 { 0 } else { 10 }, "{script}");
        let said = node.heal();
        let wanted: String = says
            .lines()
            .map(|line| format!("mended: {}\n", line.trim()))
            .collect();
        let nothing = "nothing to do: the kernel is what the records say\n";
        let wanted = if wanted.is_empty() {
            nothing.to_owned()
        } else {
            wanted
        };
        assert_eq!(said, wanted, "{script}");
    }
}

/// All of a table, and at the end all is as it was.
fn heals(table: &[Break]) {
    let whole = elsewhere(|node| {
        node.script(&format!("{WEB}{BUSY}"));
        node.state()
    });
    let node = PontoonNode::new();
    breaks(&node, table);
    // What hangs on a device that was made anew is the administrator's to bring back.
    node.script(
        "ip -n b addr replace 172.31.0.8/24 dev eth0
         ip -n a link set lo alias \"$(ip -o link show pont1 | sed 's/.*alias //')\"",
    );
    assert_same(&node.state(), &whole, "after all of them");
}

#[test]
fn firewall_damage_is_mended_piece_by_piece() {
    heals(FIREWALL);
}

#[test]
fn device_damage_is_mended_piece_by_piece() {
    heals(DEVICES);
}

#[test]
fn damage_inside_a_target_is_mended_piece_by_piece() {
    heals(INSIDE);
}

/// Breakages that also take what is somebody else's: what is asked for comes back.
pub const WHOLE: &[(&str, &str)] = &[
    (
        "nft flush ruleset",
        "nft table inet was missing
         nft table bridge was missing",
    ),
    (
        "nft delete table inet pontoon",
        "nft table inet was missing",
    ),
    (
        "nft delete table bridge pontoon",
        "nft table bridge was missing",
    ),
    (
        "ip link del web0",
        "bridge web0 was missing
         pont1 was no port of web0
         pont1 had hairpin off
         pont2 was no port of web0",
    ),
    (
        "ip link set web0 down; ip link set web0 name renamed0",
        "device renamed0 was left over or not as recorded
         bridge web0 was missing
         pont1 was no port of web0
         pont1 had hairpin off
         pont2 was no port of web0",
    ),
];

#[test]
fn what_is_missing_as_a_whole_comes_back_as_a_whole() {
    for (script, says) in WHOLE {
        elsewhere(|node| {
            node.script(&format!("{WEB}{BUSY}"));
            let whole = node.state();
            node.script(script);
            let said = node.heal();
            let wanted = says
                .lines()
                .map(|line| format!("mended: {}\n", line.trim()));
            assert_eq!(said, wanted.collect::<String>(), "{script}");
            node.script(
                "ip addr replace 172.31.0.1/24 dev web0
                 nft list table inet foreign >/dev/null 2>&1 || nft 'add table inet foreign
                    add chain inet foreign c; add rule inet foreign c counter'
                 nft list chain inet pontoon admin | grep -q drop ||
                    nft add rule inet pontoon admin ip saddr 198.51.100.0/24 drop",
            );
            assert_same(&node.state(), &whole, script);
        });
    }
}

#[test]
fn a_device_that_lost_its_mark_is_somebody_elses_and_named() {
    let node = PontoonNode::new();
    node.script(&format!("{WEB}{BUSY}"));
    for dev in ["pont2", "web0"] {
        let alias = node.sh(&format!("ip -o link show {dev} | sed 's/.*alias //'"));
        node.sh(&format!("ip link set {dev} alias mine"));
        let said = node.refused("reconcile", 4);
        assert!(said.contains(dev) && said.contains("exists"), "{said}");
        node.sh(&format!("ip link set {dev} alias '{}'", alias.trim()));
        node.heal();
    }
}

struct Talk {
    client: TcpStream,
    server: TcpStream,
}

impl Talk {
    /// Connects from `from` to a port published on the node.
    fn begin(from: &Netns, to: SocketAddr) -> Self {
        let listener = Netns::named("a").run(|| TcpListener::bind("[::]:80").unwrap());
        let bound = patient(Duration::from_secs(5));
        let client = from.run(|| TcpStream::connect_timeout(&to, bound).unwrap());
        let (server, _) = listener.accept().unwrap();
        for end in [&client, &server] {
            end.set_read_timeout(Some(bound)).unwrap();
        }
        Self { client, server }
    }

    fn go_on(&mut self) {
        let ends = [(&self.client, &self.server), (&self.server, &self.client)];
        for (mut from, mut to) in ends {
            from.write_all(b"on").unwrap();
            let mut got = [0; 2];
            to.read_exact(&mut got).unwrap();
            assert_eq!(got, *b"on");
        }
    }
}

#[test]
fn connections_survive_a_reconcile_and_a_flush() {
    let node = PontoonNode::new();
    let outside = node.outside();
    node.script(&format!("{WEB}{BUSY}"));
    for to in ["203.0.113.1:8080", "[2001:db8:1::1]:8080"] {
        let mut talk = Talk::begin(outside.netns(), to.parse().unwrap());
        talk.go_on();
        let said = node.pontoon("reconcile");
        assert!(said.starts_with("nothing to do"), "{said}");
        talk.go_on();
        // What arrives while the rules are gone is not translated, and the node resets it.
        wait_until("all is acknowledged", Duration::from_secs(5), || {
            let queues = "for n in a outside; do ip netns exec $n ss -Htn; done";
            let queues = node.sh(queues);
            queues
                .lines()
                .all(|line| line.split_whitespace().nth(2) == Some("0"))
        });
        node.sh("nft flush ruleset");
        node.heal();
        talk.go_on();
    }
}
