//! Other tools' rules beside ours: they stay as they are, byte for byte, and where one of them
//! stops our traffic doctor says so.

use testnet::Transport;

use crate::ground::{NODE, OUTSIDE, Site, TRANSPORTS, at, serve_all};

/// What there may be on a machine: how it is made.
const RULES: [(&str, &str); 5] = [
    (
        "iptables-nft",
        "iptables-nft -t nat -A PREROUTING -p tcp --dport 4444 -j DNAT --to-destination 172.31.0.2:44
         iptables-nft -t nat -A POSTROUTING -s 172.31.0.0/16 -j MASQUERADE
         iptables-nft -A FORWARD -s 172.31.0.0/16 -m comment --comment \"theirs\" -j ACCEPT
         ip6tables-nft -A INPUT -p icmpv6 -j ACCEPT",
    ),
    (
        "iptables-legacy",
        "iptables-legacy -N THEIRS; iptables-legacy -A THEIRS -s 172.29.0.0/16 -j RETURN
         iptables-legacy -A FORWARD -j THEIRS
         iptables-legacy -t nat -A POSTROUTING -s 172.29.0.0/16 ! -o up0 -j MASQUERADE
         ip6tables-legacy -A FORWARD -s fd99::/64 -j ACCEPT",
    ),
    ("docker", "nft -f - <<'END'
table ip docker-bridges {
	map filter-forward-in-jumps {
		type ifname : verdict
		elements = { docker0 : jump in }
	}
	chain in {
		ct state established,related accept
		iifname docker0 accept
		drop
	}
	chain filter-FORWARD {
		type filter hook forward priority filter; policy accept;
		oifname vmap @filter-forward-in-jumps
	}
	chain nat-forward {
		iifname != docker0 tcp dport 4443 counter dnat to 172.17.0.2:443
	}
	chain nat-prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local jump nat-forward
	}
	chain nat-postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname != docker0 ip saddr 172.17.0.0/16 masquerade
	}
}
END"),
    ("netavark", "nft -f - <<'END'
table inet netavark {
	chain INPUT {
		type filter hook input priority filter; policy accept;
		ip saddr 10.89.0.0/24 udp dport 53 accept
	}
	chain FORWARD {
		type filter hook forward priority filter; policy accept;
		ct state invalid drop
		iifname podman1 oifname podman2 drop
		ip daddr 10.89.0.0/24 ct state established,related accept
	}
	chain POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & 0x2000 == 0x2000 masquerade
		ip saddr 10.89.0.0/24 ip daddr != 224.0.0.0/4 masquerade
	}
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local tcp dport 4442 dnat ip to 10.89.0.2:442
	}
}
END"),
    ("the administrator", "nft -f - <<'END'
table inet filter {
	set bad {
		type ipv4_addr
		flags interval
		elements = { 192.0.2.0/24 }
	}
	chain input {
		type filter hook input priority filter; policy accept;
		ip saddr @bad counter drop
		iifname up0 tcp dport 22 limit rate 5/minute
	}
	chain forward {
		type filter hook forward priority 10; policy accept;
		ip daddr 192.0.2.1 counter drop
	}
}
table bridge mine {
	chain f {
		type filter hook forward priority 0; policy accept;
		ether type 0x88b5 drop
	}
}
table netdev edge {
	chain in {
		type filter hook ingress device up0 priority 0; policy accept;
		ip saddr 192.0.2.9 drop
	}
}
END"),
];

/// All rules that are not ours, without counters; with handles: who replaces a rule by its like is
/// found out.
fn theirs(site: &Site) -> String {
    site.node
        .sh("nft list tables | while read -r _ family name; do
             [ $name = pontoon ] || nft -a -s list table $family $name; done
         for tool in iptables-legacy ip6tables-legacy iptables-nft ip6tables-nft; do
             $tool-save | sed '/^#/d; s/ \\[.*\\]$//'; done")
}

#[test]
fn other_rules_stay_byte_for_byte() {
    let site = Site::bare(true);
    for (_, script) in RULES {
        site.node.sh(script);
    }
    let before = theirs(&site);
    for part in [
        "docker-bridges",
        "netavark",
        "edge",
        "THEIRS",
        "172.31.0.2:44",
    ] {
        assert!(before.contains(part), "no {part} in {before}");
    }
    for line in [
        "network create web --subnet 10.5.0.0/24 --subnet fd00:5::/64",
        "attach web a --create -p 8080:80 -p 8080:80/udp -p 9000-9100",
        "reconcile",
        "attach web b --create",
        "doctor",
        "detach b --delete",
    ] {
        site.node.pontoon(line);
        assert_eq!(theirs(&site), before, "{line}");
    }
    // Beside them everything works.
    let _servers = [
        serve_all(&site.at("a"), &[80]),
        serve_all(site.outside.netns(), &[80]),
    ];
    for family in 0..2 {
        for transport in TRANSPORTS {
            site.assert_seen(
                "outside",
                transport,
                at(NODE[family], 8080),
                OUTSIDE[family],
            );
            site.assert_seen("a", transport, at(OUTSIDE[family], 80), NODE[family]);
        }
    }
    site.node
        .sh("nft delete table inet pontoon; nft delete table bridge pontoon; ip link del pn-web");
    let before = theirs(&site);
    for line in ["reconcile", "detach a --delete", "network rm web"] {
        site.node.pontoon(line);
        assert_eq!(theirs(&site), before, "{line}");
    }
    site.node.assert_settled();
}

/// A table that drops by default, how doctor names it, and what lets a network pass there.
const DROPPING: [(&str, &str, &str, &str); 3] = [
    (
        "ufw",
        "for f in ip ip6; do nft add table $f filter
         nft \"add chain $f filter FORWARD { type filter hook forward priority filter; policy drop; }\"
         nft add chain $f filter ufw-before-forward
         nft add rule $f filter ufw-before-forward ct state established,related accept
         nft add rule $f filter FORWARD jump ufw-before-forward; done",
        "ip filter FORWARD",
        "for f in ip ip6; do nft add rule $f filter FORWARD iifname pn-web accept
         nft add rule $f filter FORWARD oifname pn-web accept; done",
    ),
    (
        "iptables-nft",
        "iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP",
        "ip filter FORWARD",
        "for t in iptables-nft ip6tables-nft; do $t -A FORWARD -i pn-web -j ACCEPT; $t -A FORWARD -o pn-web -j ACCEPT; done",
    ),
    (
        "a host firewall",
        "nft add table inet host
         nft 'add chain inet host filter_FORWARD { type filter hook forward priority 10; policy drop; }'
         nft add rule inet host filter_FORWARD ct state established,related accept
         nft add rule inet host filter_FORWARD ct status dnat accept",
        "inet host filter_FORWARD",
        "nft add rule inet host filter_FORWARD iifname pn-web accept; nft add rule inet host filter_FORWARD oifname pn-web accept",
    ),
];

#[test]
fn a_default_drop_is_named_and_an_accept_in_it_lets_traffic_flow() {
    for (name, rules, named, accept) in DROPPING {
        std::thread::scope(|scope| {
            let one = || {
                let site = Site::new(true, "-p 8080:80 -p 8080:80/udp");
                let _servers = [
                    serve_all(&site.at("a"), &[80]),
                    serve_all(site.outside.netns(), &[80]),
                ];
                let quiet = site.node.pontoon("doctor");
                assert!(quiet.contains("no other table drops"), "{name}: {quiet}");
                site.node.sh(rules);
                let before = theirs(&site);
                let told = site.node.pontoon("doctor");
                assert!(told.contains(named), "{name}: {told}");
                site.node.pontoon("reconcile");
                assert_eq!(theirs(&site), before, "{name}");
                site.assert_silent(&[("a", at(OUTSIDE[0], 80)), ("a", at(OUTSIDE[1], 80))]);
                site.node.sh(accept);
                for family in 0..2 {
                    let published = at(NODE[family], 8080);
                    site.assert_seen("outside", Transport::Tcp, published, OUTSIDE[family]);
                    site.assert_seen("a", Transport::Udp, at(OUTSIDE[family], 80), NODE[family]);
                }
            };
            scope.spawn(one).join().unwrap();
        });
    }
}

/// Those are no nftables chains, and yet they drop.
#[test]
fn a_default_drop_of_iptables_legacy_is_named() {
    let site = Site::new(true, "-p 8080:80");
    site.node
        .sh("iptables-legacy -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP");
    let told = site.node.pontoon("doctor");
    assert!(told.contains("legacy"), "{told}");
}
