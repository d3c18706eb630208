//! A thousand nodes: what one more of them costs is a handful of steps, whatever there is already.

#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use model::{
    Backend, Family, Mtu, Network, NetworkId, NetworkKind, NodeId, OverlayPrefix, Reach, Span,
    Subnet, Whereabouts,
};
use netstate::{KernelState, Plan, Step, diff};
use plan::{NetworkView, OverlayView, Peer, View, bridge_name, desired};

const NODES: u32 = 1000;
/// Steps that another node may cost.
const STEPS_MAX: usize = 32;
/// Endpoints that each node tells of, where the network is stretched, and the steps for each: two
/// forwarding entries, and a neighbour for each of its three addresses.
const TOLD: u32 = 5;
const STEPS_OF_TOLD: usize = 5;

fn underlay(family: Family, n: u32) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4((0xc000_0200 + n).into()),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(n))),
    }
}

fn part(whole: &OverlayPrefix, n: u32) -> model::Prefix {
    ipam::node_subnet(*whole, n.into()).unwrap()
}

/// Node 1 with all others.
fn view(backend: Backend, span: Span, family: Family, nodes: u32) -> View {
    let wholes = ["10.0.0.0/8", "fd00:50::/48"]
        .map(|whole| OverlayPrefix::new(whole.parse().unwrap(), None).unwrap());
    let host = |prefix: model::Prefix, host: u32| match prefix.address() {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) + host).into()),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) + u128::from(host)).into()),
    };
    let told = |subnets: &[model::Prefix], number: u32| {
        let addresses: Vec<IpAddr> = subnets.iter().map(|own| host(*own, 1 + number)).collect();
        Whereabouts::new(&addresses).unwrap()
    };
    let peer = |n: u32| {
        let subnets: Vec<_> = wholes.iter().map(|whole| part(whole, n)).collect();
        let count = if span == Span::Stretched { TOLD } else { 0 };
        Peer {
            node: format!("n{n}").parse().unwrap(),
            underlay: vec![underlay(family, n)],
            endpoints: (1..=count).map(|number| told(&subnets, number)).collect(),
            subnets,
        }
    };
    let own = wholes.iter().map(|whole| {
        let own = Subnet::new(part(whole, 1), None).unwrap();
        match span {
            Span::Node => own,
            Span::Stretched => {
                let range = own.prefix.into();
                let all = Subnet::new(whole.prefix, Some(own.gateway)).unwrap();
                all.with_range(range).unwrap()
            }
        }
    });
    let name: model::NetworkName = "web".parse().unwrap();
    View {
        node: NodeId::from_bits(1),
        ra_uplinks: Vec::new(),
        networks: vec![NetworkView {
            mtu: Mtu::try_from(1400).unwrap(),
            endpoints: Vec::new(),
            overlay: Some(OverlayView {
                backend,
                vni: 4096.try_into().unwrap(),
                span,
                prefixes: wholes.to_vec(),
                local: underlay(family, 1),
                underlay_mtu: Mtu::ETHERNET,
                uplinks: [(family, "up0".parse().unwrap())].into(),
                peers: (2..=nodes).map(peer).collect(),
            }),
            network: Network {
                id: NetworkId(1),
                kind: NetworkKind::Overlay,
                bridge: bridge_name(&name, NetworkId(1)),
                name,
                mtu: "auto".parse().unwrap(),
                reach: Reach::Outside,
                names: model::Names::Off,
                subnets: own.collect(),
            },
        }],
    }
}

fn is_rule(step: &Step) -> bool {
    matches!(step, Step::AddRule(..) | Step::FlushChain(_))
}

#[test]
fn another_node_costs_the_same_whatever_their_number() {
    for (backend, span, family) in [
        (Backend::Vxlan, Span::Node, Family::Ipv4),
        (Backend::Vxlan, Span::Node, Family::Ipv6),
        (Backend::Vxlan, Span::Stretched, Family::Ipv4),
        (Backend::Vxlan, Span::Stretched, Family::Ipv6),
        (Backend::Routed, Span::Node, Family::Ipv4),
        (Backend::Ipip, Span::Node, Family::Ipv4),
        (Backend::Ipip, Span::Node, Family::Ipv6),
    ] {
        let desired = |nodes| desired(&view(backend, span, family, nodes));
        let begun = Instant::now();
        let all = desired(NODES);
        let first = diff(&KernelState::default(), &all);
        let took = begun.elapsed().as_millis();
        let steps = |plan: &Plan| plan.steps.len();
        let before = desired(NODES - 1);
        let (join, leave) = (diff(&before, &all), diff(&all, &before));
        writeln!(
            io::stderr().lock(),
            "figure: {NODES} nodes by {backend} {span:?} over {family}: {} steps planned in {took} ms, one more {}",
            steps(&first),
            steps(&join)
        )
        .unwrap();
        let of_told = match span {
            Span::Node => 0,
            Span::Stretched => TOLD as usize * STEPS_OF_TOLD,
        };
        for plan in [&join, &leave] {
            let what = format!("{backend} {span:?} over {family}:\n{plan}");
            assert!(
                !plan.is_empty() && steps(plan) <= STEPS_MAX + of_told,
                "{what}"
            );
            assert!(!plan.steps.iter().any(is_rule), "{what}");
        }
        let fixed = steps(&diff(&KernelState::default(), &desired(1)));
        let bound = fixed + NODES as usize * (STEPS_MAX + of_told);
        assert!(steps(&first) <= bound, "{backend} {family}");
        assert!(diff(&all, &all).is_empty());
    }
}
