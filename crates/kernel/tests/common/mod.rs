//! States to build and the calls every test of this crate makes. Kernels come from `testnet`.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "tests")]

pub mod overlay;

use std::collections::BTreeSet;

use kernel::{Kernel, Report};
use model::{Family, IfName, NodeId, Target};
use netstate::{
    AddressKey, Alias, Interest, KernelState, Link, LinkKey, LinkKind, Netns, Pair, Peer, Plan,
    PortFlags, Route, RouteKey, SysctlKey, Way, diff,
};

pub const NODE: u64 = 0x0123_4567_89ab_cdef;
pub const BRIDGE: &str = "pt-web";

pub fn ifname(text: &str) -> IfName {
    text.parse().unwrap()
}

pub fn alias(purpose: &str) -> Alias {
    let node = NodeId::from_bits(NODE);
    let purpose = purpose.to_owned();
    Alias { node, purpose }
}

pub fn named(name: &str) -> Target {
    Target::Named(name.to_owned())
}

pub fn port(number: usize) -> IfName {
    ifname(&format!("pt{number}"))
}

pub fn inside(number: usize, name: &str) -> LinkKey {
    LinkKey {
        netns: Netns::Target(named(&format!("box{number}"))),
        name: ifname(name),
    }
}

pub fn bridge_key() -> LinkKey {
    LinkKey::on_node(ifname(BRIDGE))
}

pub fn address(link: LinkKey, text: &str) -> AddressKey {
    let (address, len) = text.split_once('/').unwrap();
    AddressKey {
        link,
        address: address.parse().unwrap(),
        prefix_len: len.parse().unwrap(),
    }
}

/// A bridge with its two addresses.
pub fn network() -> KernelState {
    let mut state = KernelState::default();
    let bridge = Link {
        mac: Some("02:70:0a:09:00:01".parse().unwrap()),
        mtu: 1400.try_into().unwrap(),
        alias: alias("network web"),
        kind: LinkKind::Bridge,
    };
    state.links.insert(bridge_key(), bridge);
    state.up.insert(bridge_key());
    for text in ["10.9.0.1/24", "fd09::1/64"] {
        state.addresses.insert(address(bridge_key(), text));
    }
    for family in Family::BOTH {
        let key = SysctlKey::forwarding(family);
        state.sysctls.insert(key, "1".to_owned());
    }
    state
}

/// An endpoint in a namespace of its own, with addresses, sysctls and default routes.
pub fn endpoint(number: usize) -> KernelState {
    let mut state = KernelState::default();
    let name = format!("box{number}");
    state.namespaces.insert(name, alias("endpoint"));
    let eth0 = inside(number, "eth0");
    let port_key = LinkKey::on_node(port(number));
    state.links.insert(port_key.clone(), pair(number));
    let lo = inside(number, "lo");
    state.up.extend([port_key.clone(), eth0.clone(), lo]);
    let host = number + 9;
    for text in [format!("10.9.0.{host}/24"), format!("fd09::{host:x}/64")] {
        state.addresses.insert(address(eth0.clone(), &text));
    }
    let quiet = |netns: &Netns, dev: &IfName, name| {
        SysctlKey::of_device(netns.clone(), Family::Ipv6, dev, name)
    };
    let on_node = quiet(&Netns::Node, &port_key.name, "disable_ipv6");
    state.sysctls.insert(on_node, "1".to_owned());
    let in_target = quiet(&eth0.netns, &eth0.name, "accept_ra");
    state.sysctls.insert(in_target, "0".to_owned());
    for (to, via) in [("0.0.0.0/0", "10.9.0.1"), ("::/0", "fd09::1")] {
        let key = RouteKey {
            netns: eth0.netns.clone(),
            destination: to.parse().unwrap(),
            metric: 100,
        };
        let via = Some(via.parse().unwrap());
        let dev = eth0.name.clone();
        let route = Route::Leads(Way {
            via,
            dev,
            source: None,
            onlink: false,
        });
        state.routes.insert(key, route);
    }
    state
}

fn pair(number: usize) -> Link {
    let tail = u8::try_from(number).unwrap();
    let peer = Peer {
        at: inside(number, "eth0"),
        mac: model::Mac::ours([10, 9, 0, tail]),
        mtu: 1400.try_into().unwrap(),
    };
    Link {
        mac: Some(model::Mac::ours([10, 9, 1, tail])),
        mtu: 1400.try_into().unwrap(),
        alias: alias(&format!("endpoint web/box{number}")),
        kind: LinkKind::Veth {
            port: PortFlags {
                master: Some(ifname(BRIDGE)),
                hairpin: true,
            },
            peer: Some(peer),
        },
    }
}

/// A network and this many endpoints.
pub fn state(endpoints: usize) -> KernelState {
    let mut state = network();
    (1..=endpoints).for_each(|number| state.extend(endpoint(number)));
    state
}

/// Looks at all that `wanted` speaks of.
pub fn interest(wanted: &KernelState) -> Interest {
    let targets = wanted.links.iter().filter_map(|(key, link)| {
        let at = &link.peer()?.at;
        let Netns::Target(target) = &at.netns else {
            return None;
        };
        Some(Pair {
            target: target.clone(),
            ifname: at.name.clone(),
            port: key.name.clone(),
        })
    });
    Interest {
        node: NodeId::from_bits(NODE),
        targets: targets.collect(),
        sysctls: wanted.sysctls.keys().cloned().collect(),
        namespaces: wanted.namespaces.keys().cloned().collect::<BTreeSet<_>>(),
    }
}

pub fn apply(kernel: &mut Kernel, plan: &Plan) -> Report {
    kernel.apply(plan, &mut || {})
}

/// Makes the kernel what `wanted` says, and sees that it is.
pub fn build(kernel: &mut Kernel, wanted: &KernelState) {
    let plan = diff(&KernelState::default(), wanted);
    let report = apply(kernel, &plan);
    assert!(report.is_success(), "{report:?}");
    assert_holds(kernel, wanted);
}

pub fn assert_holds(kernel: &mut Kernel, wanted: &KernelState) {
    let observed = kernel.observe(&interest(wanted)).unwrap();
    assert_eq!(observed, *wanted);
}

/// One pass of a reconcile. Answers how many steps it took.
pub fn heal(kernel: &mut Kernel, wanted: &KernelState) -> usize {
    let observed = kernel.observe(&interest(wanted)).unwrap();
    let plan = diff(&observed, wanted);
    let report = apply(kernel, &plan);
    assert!(report.is_success(), "{plan}{report:?}");
    assert_holds(kernel, wanted);
    plan.steps.len()
}
