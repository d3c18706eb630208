//! Which rules there are: what few networks have each by itself, many have by sets, and nothing is
//! there that no network needs.

#![allow(clippy::unwrap_used)]

use model::{
    Backend, Family, Mtu, Names, Network, NetworkId, NetworkKind, NodeId, OverlayPrefix, Reach,
    Span, Subnet,
};
use netstate::KernelState;
use netstate::nft::text;
use netstate::nft::{ChainKey, NftFamily, Rules};
use plan::{NetworkView, OverlayView, Peer, View, bridge_name, desired};

/// More networks than have rules of their own.
const MANY: u32 = 12;

/// Network `n` on node 1, alone or with another node.
fn network(n: u32, backend: Option<Backend>, local: &str) -> NetworkView {
    let name: model::NetworkName = format!("net{n}").parse().unwrap();
    let whole = OverlayPrefix::new(format!("10.{n}.0.0/16").parse().unwrap(), None).unwrap();
    let subnet = |node: u128| ipam::node_subnet(whole, node).unwrap();
    let peer = Peer {
        node: "n2".parse().unwrap(),
        underlay: vec!["192.0.2.2".parse().unwrap(), "2001:db8::2".parse().unwrap()],
        subnets: vec![subnet(2)],
        endpoints: Vec::new(),
    };
    let overlay = backend.map(|backend| OverlayView {
        backend,
        vni: (4096 + n).try_into().unwrap(),
        span: Span::Node,
        prefixes: vec![whole],
        local: local.parse().unwrap(),
        underlay_mtu: Mtu::ETHERNET,
        uplinks: [(Family::Ipv4, "up0".parse().unwrap())].into(),
        peers: vec![peer],
    });
    NetworkView {
        mtu: Mtu::ETHERNET,
        endpoints: Vec::new(),
        network: Network {
            id: NetworkId(n),
            kind: match backend {
                Some(_) => NetworkKind::Overlay,
                None => NetworkKind::Bridge,
            },
            bridge: bridge_name(&name, NetworkId(n)),
            name,
            mtu: "auto".parse().unwrap(),
            reach: Reach::Outside,
            names: Names::Off,
            subnets: vec![Subnet::new(subnet(1), None).unwrap()],
        },
        overlay,
    }
}

fn node_with(networks: Vec<NetworkView>) -> KernelState {
    desired(&View {
        node: NodeId::from_bits(1),
        networks,
        ra_uplinks: Vec::new(),
    })
}

/// The rules of a chain, as they print.
fn chain(state: &KernelState, name: &str) -> String {
    let key = ChainKey {
        family: NftFamily::Inet,
        name: name.into(),
    };
    let chain = &state.chains[&key];
    let Rules::Ours(rules) = &chain.rules else {
        return String::new();
    };
    let lines = rules.iter().cloned().map(|rule| {
        let step = netstate::Step::AddRule(key.clone(), rule);
        text::command(&step).unwrap() + "\n"
    });
    lines.collect()
}

fn has_chain(state: &KernelState, name: &str) -> bool {
    state.chains.keys().any(|key| key.name.as_str() == name)
}

#[test]
fn what_stays_in_its_network_is_named_by_rules_or_by_sets_and_never_by_both_or_neither() {
    for backend in Backend::ALL {
        let mut forms = Vec::new();
        for count in 1..=MANY {
            let networks = (1..=count).map(|n| network(n, Some(backend), "192.0.2.1"));
            let state = node_with(networks.collect());
            let (raw, forward) = (chain(&state, "raw_prerouting"), chain(&state, "forward"));
            let named = |rules: &str, start: &str, end: &str| {
                let all = (1..=count).filter(|n| {
                    let mut lines = rules.lines();
                    lines.any(|l| l.contains(&format!("{start} \"pn-net{n}\"")) && l.ends_with(end))
                });
                let all = u32::try_from(all.count()).unwrap();
                assert!(all == 0 || all == count, "{backend} {count}: {rules}");
                all == count
            };
            let form = [
                (
                    named(&raw, "iifname", "notrack accept"),
                    raw.contains("@across4"),
                ),
                (
                    named(&raw, "iifname", "from_bridge"),
                    raw.contains("@bridges"),
                ),
                (
                    named(&forward, "oifname", " accept"),
                    forward.contains("@bridged"),
                ),
                (
                    named(&forward, "oifname", "networks"),
                    forward.contains("@bridges"),
                ),
            ];
            // Where packets cross by a device that networks share, these have passages besides.
            let shared = backend != Backend::Vxlan;
            for (at, (rules, sets)) in form.into_iter().enumerate() {
                let both = shared && at == 2;
                assert!(
                    rules != sets || both,
                    "{backend} {count} {at}: {raw}{forward}"
                );
            }
            forms.push(form.map(|(rules, _)| rules));
        }
        assert_eq!(forms[0], [true; 4], "{backend}");
        assert!(!forms[MANY as usize - 1][0], "{backend}");
    }
}

#[test]
fn a_device_for_each_node_is_never_named() {
    let state = node_with(vec![network(1, Some(Backend::Ipip), "2001:db8::1")]);
    for name in ["raw_prerouting", "forward"] {
        let rules = chain(&state, name);
        assert!(!rules.contains("\"pi-"), "{rules}");
        assert!(!rules.contains("\"pn-"), "{rules}");
    }
}

#[test]
fn what_no_network_needs_is_not_there() {
    let ipv4 = node_with(vec![network(1, None, "192.0.2.1")]);
    for name in [
        "raw_output",
        "input",
        "loopback_prerouting",
        "loopback_input",
    ] {
        assert!(!has_chain(&ipv4, name), "{name}");
    }
    assert!(!chain(&ipv4, "networks").contains("@internal"));
    let mut vault = network(1, None, "192.0.2.1");
    vault.network.reach = Reach::Internal;
    vault.network.subnets = vec![Subnet::new("fd00:1::/64".parse().unwrap(), None).unwrap()];
    let ipv6 = node_with(vec![vault]);
    assert!(has_chain(&ipv6, "loopback_prerouting") && has_chain(&ipv6, "loopback_input"));
    assert!(chain(&ipv6, "networks").contains("@internal"));
}
