//! Golden plans: a view in, the steps out, reviewed like code. `UPDATE_GOLDEN=1` writes them anew.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::path::PathBuf;

use model::{
    Backend, Endpoint, EndpointId, Family, Mac, Mtu, NetnsOrigin, Network, NetworkId, NetworkKind,
    NodeId, OverlayPrefix, Publish, Rates, Reach, Span, Subnet, Target, Whereabouts,
};
use netstate::{KernelState, Plan, Step, diff};
use plan::{
    EndpointView, NetworkView, OverlayView, Peer, View, bridge_name, desired, endpoint_part,
    port_name,
};

fn network(id: u32, name: &str, prefixes: &[&str], reach: Reach) -> NetworkView {
    let subnets = prefixes
        .iter()
        .map(|p| Subnet::new(p.parse().unwrap(), None).unwrap());
    let name: model::NetworkName = name.parse().unwrap();
    NetworkView {
        mtu: Mtu::ETHERNET,
        endpoints: Vec::new(),
        overlay: None,
        network: Network {
            id: NetworkId(id),
            kind: NetworkKind::Bridge,
            bridge: bridge_name(&name, NetworkId(id)),
            name,
            mtu: "auto".parse().unwrap(),
            reach,
            names: model::Names::Off,
            subnets: subnets.collect(),
        },
    }
}

fn endpoint(id: u32, network: &NetworkView, target: &str, publish: &[&str]) -> EndpointView {
    let target: Target = target.parse().unwrap();
    let host = u128::from(id) + 1;
    let addresses = network
        .network
        .subnets
        .iter()
        .map(|s| match s.prefix.address() {
            IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) + host as u32).into()),
            IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) + host).into()),
        });
    let addresses: Vec<IpAddr> = addresses.collect();
    let origin = match target {
        Target::Named(_) => NetnsOrigin::Made,
        Target::Path(_) | Target::Pid(_) => NetnsOrigin::Given,
    };
    EndpointView {
        origin,
        endpoint: Endpoint {
            id: EndpointId(id),
            network: network.network.id,
            name: target.short_name().parse().unwrap(),
            target,
            cni: None,
            ifname: "eth0".parse().unwrap(),
            port: port_name(EndpointId(id)),
            mac: Mac::for_address(addresses[0]),
            addresses,
            publish: publish
                .iter()
                .map(|p| p.parse::<Publish>().unwrap())
                .collect(),
            rates: Rates::default(),
            aliases: Vec::new(),
            rank: 0,
        },
    }
}

fn view(networks: Vec<NetworkView>) -> View {
    View {
        node: NodeId::from_bits(0x0123_4567_89ab_cdef),
        networks,
        ra_uplinks: vec!["up0".parse().unwrap()],
    }
}

fn assert_golden(name: &str, plan: &Plan) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name]
        .iter()
        .collect();
    let text = plan.to_string();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(
        text == golden,
        "{} is not what is planned:\n{text}",
        path.display()
    );
}

fn from_nothing(view: &View) -> Plan {
    diff(&KernelState::default(), &desired(view))
}

#[test]
fn the_first_network() {
    let network = network(1, "web", &["10.5.0.0/24", "fd00:5::/64"], Reach::Outside);
    assert_golden("first_network.txt", &from_nothing(&view(vec![network])));
}

#[test]
fn an_endpoint_with_every_kind_of_port() {
    let network = network(1, "web", &["10.5.0.0/24", "fd00:5::/64"], Reach::Outside);
    let ports = [
        "8080:80",
        "9000-9100/udp",
        "7000-7001:80-81",
        "127.0.0.1:53:53/udp",
        "[::]:443",
    ];
    let endpoint = endpoint(1, &network, "netns0", &ports);
    let part = endpoint_part(NodeId::from_bits(1), &network, &endpoint);
    assert_golden("attach.txt", &diff(&KernelState::default(), &part));
    assert_golden("detach.txt", &diff(&part, &KernelState::default()));
}

#[test]
fn an_endpoint_that_is_kept_to_a_rate() {
    let network = network(1, "web", &["10.5.0.0/24"], Reach::Outside);
    let mut free = endpoint(1, &network, "netns0", &[]);
    let node = NodeId::from_bits(1);
    let before = endpoint_part(node, &network, &free);
    free.endpoint.rates = Rates {
        sends: Some("100mbit".parse().unwrap()),
        receives: Some("8kbit".parse().unwrap()),
    };
    let after = endpoint_part(node, &network, &free);
    assert_golden("rates.txt", &diff(&before, &after));
    let back = diff(&after, &before).lines();
    let back: Vec<&str> = back.iter().map(String::as_str).collect();
    let wanted = [
        "tc filter del dev pont1 ingress pref 28783",
        "tc qdisc del dev pont1 root handle 706f:",
        "ip link del pifb1",
    ];
    assert_eq!(back, wanted);
}

#[test]
fn an_internal_network_has_no_way_out() {
    let mut vault = network(2, "vault", &["10.6.0.0/24"], Reach::Internal);
    vault
        .endpoints
        .push(endpoint(2, &vault, "/proc/7/ns/net", &[]));
    let whole = from_nothing(&view(vec![vault]));
    let lines = whole.lines();
    assert!(
        !lines
            .iter()
            .any(|l| l.contains("forward=1") || l.contains("route replace"))
    );
    let own = whole
        .steps
        .into_iter()
        .filter(|s| !s.is_nft() || matches!(s, Step::AddElement(..)));
    assert_golden(
        "internal.txt",
        &Plan {
            steps: own.collect(),
        },
    );
}

#[test]
fn one_more_endpoint_is_elements_and_never_a_rule() {
    let mut web = network(1, "web", &["10.5.0.0/24", "fd00:5::/64"], Reach::Outside);
    let before = desired(&view(vec![web.clone()]));
    web.endpoints.push(endpoint(
        1,
        &web,
        "netns0",
        &["8000-60000", "80", "443/udp"],
    ));
    let after = desired(&view(vec![web.clone()]));
    let added = diff(&before, &after).steps;
    let nft: Vec<&Step> = added.iter().filter(|s| s.is_nft()).collect();
    assert!(
        nft.iter().all(|s| matches!(s, Step::AddElement(..))),
        "{nft:?}"
    );
    // The guard's and the local set's, and one for each publication and family.
    assert_eq!(nft.len(), 1 + 1 + 1 + 2 * 2 + 2 * 3, "{nft:?}");
    // The whole plan holds nothing that the endpoint's part has not.
    let part = endpoint_part(
        NodeId::from_bits(0x0123_4567_89ab_cdef),
        &web,
        &web.endpoints[0],
    );
    assert_eq!(added, diff(&KernelState::default(), &part).steps);
}

const V4_PEERS: [&[&str]; 2] = [&["192.0.2.2"], &["192.0.2.3"]];
const BOTH_PEERS: [&[&str]; 2] = [&["192.0.2.2", "2001:db8::2"], &["192.0.2.3", "2001:db8::3"]];

/// Node 1 of three, with 10.50.1.0/24 and fd00:50:0:1::/64.
fn overlay(backend: Backend, local: &str, peers: [&[&str]; 2]) -> NetworkView {
    let prefixes = ["10.50.1.0/24", "fd00:50:0:1::/64"];
    let mut view = network(1, "web", &prefixes, Reach::Outside);
    view.network.kind = NetworkKind::Overlay;
    let peer = |(n, underlay): (usize, &[&str])| Peer {
        node: format!("n{n}").parse().unwrap(),
        underlay: underlay.iter().map(|a| a.parse().unwrap()).collect(),
        subnets: [format!("10.50.{n}.0/24"), format!("fd00:50:0:{n}::/64")]
            .map(|subnet| subnet.parse().unwrap())
            .into(),
        endpoints: Vec::new(),
    };
    view.mtu = Mtu::try_from(1450).unwrap();
    view.overlay = Some(OverlayView {
        backend,
        vni: "4096".parse().unwrap(),
        span: Span::Node,
        underlay_mtu: Mtu::ETHERNET,
        local: local.parse().unwrap(),
        prefixes: ["10.50.0.0/16", "fd00:50::/48"]
            .map(|whole| OverlayPrefix::new(whole.parse().unwrap(), None).unwrap())
            .into(),
        uplinks: Family::BOTH
            .map(|family| (family, "up0".parse().unwrap()))
            .into(),
        peers: (2..).zip(peers).map(peer).collect(),
    });
    view
}

/// The steps that lead to other nodes: without the bridge, the sets and the rules for all.
fn beyond_the_bridge(overlay: NetworkView) -> Plan {
    let alone = NetworkView {
        overlay: None,
        ..overlay.clone()
    };
    diff(&desired(&view(vec![alone])), &desired(&view(vec![overlay])))
}

#[test]
fn vxlan_leads_to_the_other_nodes() {
    let v4 = overlay(Backend::Vxlan, "192.0.2.1", V4_PEERS);
    assert_golden("vxlan.txt", &beyond_the_bridge(v4));
    let peers: [&[&str]; 2] = [&["2001:db8::2"], &["2001:db8::3"]];
    let v6 = overlay(Backend::Vxlan, "2001:db8::1", peers);
    assert_golden("vxlan_ipv6_underlay.txt", &beyond_the_bridge(v6));
}

#[test]
fn routes_lead_to_the_other_nodes() {
    let both = overlay(Backend::Routed, "192.0.2.1", BOTH_PEERS);
    assert_golden("routed.txt", &beyond_the_bridge(both));
}

#[test]
fn ip_leads_to_the_other_nodes() {
    let v4 = overlay(Backend::Ipip, "192.0.2.1", V4_PEERS);
    assert_golden("ipip.txt", &beyond_the_bridge(v4));
    let peers: [&[&str]; 2] = [&["2001:db8::2"], &["2001:db8::3"]];
    let v6 = overlay(Backend::Ipip, "2001:db8::1", peers);
    assert_golden("ipip_ipv6_underlay.txt", &beyond_the_bridge(v6));
}

/// Node 1 of three, on one Ethernet with the others.
fn stretched(local: &str, peers: [&[&str]; 2]) -> NetworkView {
    let mut view = overlay(Backend::Vxlan, local, peers);
    let overlay = view.overlay.as_mut().unwrap();
    overlay.span = Span::Stretched;
    // The second node tells of an endpoint.
    let known = ["10.50.2.9", "fd00:50:0:2::9"].map(|address| address.parse().unwrap());
    overlay.peers[0].endpoints = vec![Whereabouts::new(&known).unwrap()];
    let whole = overlay.prefixes.iter().map(|part| part.prefix);
    let subnets = whole.zip(&view.network.subnets).map(|(whole, part)| {
        let subnet = Subnet::new(whole, Some(part.gateway)).unwrap();
        subnet.with_range(part.prefix.into()).unwrap()
    });
    view.network.subnets = subnets.collect();
    view
}

#[test]
fn a_stretched_network_is_one_ethernet() {
    let v4 = stretched("192.0.2.1", V4_PEERS);
    assert_golden("stretched.txt", &beyond_the_bridge(v4.clone()));
    let peers: [&[&str]; 2] = [&["2001:db8::2"], &["2001:db8::3"]];
    let v6 = stretched("2001:db8::1", peers);
    let lines = beyond_the_bridge(v6).lines();
    let source =
        "nft 'add element inet pontoon sources6 { 2001:db8::2 . 0x2700a320200-0x2700a3202ff }'";
    assert!(lines.iter().any(|line| line == source), "{lines:#?}");
    // Its endpoints see the whole.
    let mut endpoint = endpoint(1, &v4, "netns0", &[]);
    endpoint.endpoint.addresses = ["10.50.1.2", "fd00:50:0:1::2"]
        .map(|a| a.parse().unwrap())
        .into();
    let part = endpoint_part(NodeId::from_bits(1), &v4, &endpoint);
    let lines = diff(&KernelState::default(), &part).lines();
    for wanted in [
        "ip -n netns0 addr add 10.50.1.2/16 dev eth0",
        "ip -n netns0 route replace default via 10.50.1.1 dev eth0 proto 112 metric 100",
    ] {
        assert!(
            lines.iter().any(|line| line == wanted),
            "{wanted}: {lines:#?}"
        );
    }
}

#[test]
fn networks_in_ip_share_a_device() {
    let web = overlay(Backend::Ipip, "192.0.2.1", V4_PEERS);
    let mut db = web.clone();
    db.network.id = NetworkId(2);
    db.network.name = "db".parse().unwrap();
    db.network.bridge = "pn-db".parse().unwrap();
    let (one, both) = (
        desired(&view(vec![web.clone()])),
        desired(&view(vec![web, db])),
    );
    let links = |state: &KernelState| state.links.len();
    assert_eq!((links(&one), links(&both)), (2, 3));
    let plan = diff(&both, &one).to_string();
    assert!(!plan.contains("link del pi-nodes"), "{plan}");
}

#[test]
fn networks_in_ipv6_share_a_device_for_each_node() {
    let peers: [&[&str]; 2] = [&["2001:db8::2"], &["2001:db8::3"]];
    let web = overlay(Backend::Ipip, "2001:db8::1", peers);
    let mut db = web.clone();
    db.network.id = NetworkId(2);
    db.network.bridge = "pn-db".parse().unwrap();
    // Node 3 has no part of this one.
    db.overlay.as_mut().unwrap().peers.truncate(1);
    let of =
        |networks: &[&NetworkView]| desired(&view(networks.iter().copied().cloned().collect()));
    let (one, both) = (of(&[&db]), of(&[&web, &db]));
    let links = |state: &KernelState| state.links.len();
    assert_eq!((links(&one), links(&both)), (2, 4));
    let plan = diff(&both, &one).to_string();
    assert_eq!(plan.matches("ip link del pi-").count(), 1, "{plan}");
}

#[test]
fn a_node_more_is_entries_and_never_a_rule() {
    let of = |backend| overlay(backend, "192.0.2.1", V4_PEERS);
    for three in Backend::ALL
        .map(of)
        .into_iter()
        .chain([stretched("192.0.2.1", V4_PEERS)])
    {
        let mut two = three.clone();
        two.overlay.as_mut().unwrap().peers.pop();
        let (two, three) = (desired(&view(vec![two])), desired(&view(vec![three])));
        for plan in [diff(&two, &three), diff(&three, &two)] {
            let rules = |step: &&Step| {
                let element = matches!(step, Step::AddElement(..) | Step::DelElement(_));
                step.is_nft() && !element
            };
            assert_eq!(plan.steps.iter().filter(rules).count(), 0, "{plan}");
            assert!(!plan.is_empty());
        }
    }
}

#[test]
fn no_network_is_no_state() {
    assert_eq!(desired(&view(Vec::new())), KernelState::default());
}

#[test]
fn every_rule_that_drops_has_a_reason() {
    let mut dropping = 0;
    let golden: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden"]
        .iter()
        .collect();
    for file in std::fs::read_dir(golden).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let rules = text.lines().filter_map(|line| {
            let words = line.split_once("nft add rule ")?.1;
            let mut words = words.splitn(4, ' ').skip(2);
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        });
        for (chain, rule) in rules.filter(|(_, rule)| rule.ends_with("drop")) {
            dropping += 1;
            assert!(plan::reason(&chain, &rule).is_some(), "{chain}: {rule}");
        }
    }
    assert!(dropping > 20, "only {dropping} rules were looked at");
}
