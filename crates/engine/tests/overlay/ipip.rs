//! The `ipip` backend, where the kernel has it, and what is said where it has not.

use std::net::IpAddr;

use engine::{EngineError, ErrorClass};
use model::Backend;
use testnet::{has_device, skip, skip_without_device, wait_until};

use crate::lab::{BOTH, Lab, V4, V6, assert_one_network, elsewhere, overlay, patience};

/// As ours are.
const OVER_IPV4: &str = "sit mode any local 192.0.2.1";
const OVER_IPV6: &str = "ip6tnl mode any local 2001:db8::1 remote 2001:db8::2";

fn web() -> [model::Overlay; 1] {
    [overlay("web", 50, Backend::Ipip)]
}

#[test]
fn three_nodes_are_one_network_in_ip() {
    if skip_without_device(OVER_IPV4) {
        return;
    }
    assert_one_network(&Lab::new(&web(), V4));
}

#[test]
fn three_nodes_are_one_network_in_ipv6() {
    if skip_without_device(OVER_IPV6) {
        return;
    }
    assert_one_network(&Lab::new(&web(), V6));
}

#[test]
fn packets_in_ip_fill_the_underlay_and_no_more() {
    for (device, families, inside) in [(OVER_IPV4, V4, 1480), (OVER_IPV6, V6, 1460)] {
        if skip_without_device(device) {
            continue;
        }
        elsewhere(move || {
            let lab = Lab::new(&web(), families);
            lab.adopt_all();
            lab.attach(1, "web", "c1");
            for to in lab.attach(2, "web", "c2") {
                assert!(lab.carries("c1", to, inside), "{device}: {to}");
                assert!(!lab.carries("c1", to, inside + 1), "{device}: {to}");
            }
        });
    }
}

#[test]
fn ipv6_works_in_ip_on_an_underlay_that_is_too_small_for_it() {
    if skip_without_device(OVER_IPV4) {
        return;
    }
    let lab = Lab::new(&web(), V4);
    for n in 1..=3 {
        lab.node.sh(&format!("ip -n n{n} link set up0 mtu 1290"));
    }
    lab.adopt_all();
    lab.attach(1, "web", "c1");
    let to = lab.attach(2, "web", "c2")[1];
    assert!(lab.carries("c1", to, 1280));
}

#[test]
fn networks_in_ip_are_apart_on_all_nodes() {
    if skip_without_device(OVER_IPV4) {
        return;
    }
    let networks = [
        overlay("web", 50, Backend::Ipip),
        overlay("db", 51, Backend::Ipip),
    ];
    let lab = Lab::new(&networks, BOTH);
    lab.adopt_all();
    lab.attach(1, "web", "web1");
    let near = lab.attach(1, "db", "db1");
    let far = lab.attach(2, "db", "db2");
    for address in near.iter().chain(&far) {
        assert!(!lab.pings("web1", *address), "{address}");
    }
    for address in &far {
        assert!(lab.pings("db1", *address), "{address}");
    }
    lab.assert_settled();
}

#[test]
fn only_nodes_may_send_in_ip() {
    if skip_without_device(OVER_IPV4) {
        return;
    }
    let lab = Lab::new(&web(), V4);
    lab.adopt_all();
    let inside = lab.attach(2, "web", "c2")[0];
    lab.node.sh("ip netns add stranger
         ip -n stranger link add up0 type veth peer name px netns switch
         ip -n switch link set px master br0 up
         ip -n stranger link set up0 up
         ip -n stranger addr add 192.0.2.66/24 dev up0
         ip -n stranger link add tun type sit mode any local 192.0.2.66 remote 192.0.2.2
         ip -n stranger link set tun up
         ip -n stranger addr add 10.50.1.1/32 dev tun
         ip -n stranger route add 10.50.2.0/24 dev tun src 10.50.1.1");
    assert_eq!(lab.dropped("n2", "inet pontoon ipip", "vteps4"), 0);
    assert!(!lab.pings("stranger", inside));
    assert!(lab.dropped("n2", "inet pontoon ipip", "vteps4") >= 1);
    // Tunnels of other addresses of the node are not ours to judge.
    lab.node.sh("ip -n n2 addr add 192.0.2.102/24 dev up0
         ip -n n2 link add theirs type sit mode any local 192.0.2.102 remote 192.0.2.66
         ip -n n2 link set theirs up; ip -n n2 addr add 198.51.100.2/30 dev theirs
         ip -n stranger link add own type sit mode any local 192.0.2.66 remote 192.0.2.102
         ip -n stranger link set own up; ip -n stranger addr add 198.51.100.1/30 dev own");
    assert!(lab.pings("stranger", "198.51.100.2".parse().unwrap()));
}

#[test]
fn only_nodes_may_send_in_ipv6() {
    if skip_without_device(OVER_IPV6) {
        return;
    }
    let lab = Lab::new(&web(), V6);
    lab.adopt_all();
    let inside = lab.attach(2, "web", "c2")[0];
    lab.node.sh("ip netns add stranger
         ip -n stranger link add up0 type veth peer name px netns switch
         ip -n switch link set px master br0 up
         ip -n stranger link set up0 up
         ip -n stranger addr add 2001:db8::66/64 dev up0 nodad
         ip -n n2 addr add 2001:db8::102/64 dev up0 nodad
         ip -n stranger addr add 10.50.1.1/32 dev up0");
    let tunnel_to = |node: &str| {
        lab.node.sh(&format!(
            "ip -n stranger link add tun type ip6tnl mode any local 2001:db8::66 remote {node}
             ip -n stranger link set tun up
             ip -n stranger route add 10.50.2.0/24 dev tun src 10.50.1.1"
        ));
    };
    tunnel_to("2001:db8::2");
    assert!(!lab.pings("stranger", inside));
    assert!(lab.dropped("n2", "inet pontoon ipip", "vteps6") >= 1);
    // By another address of the node there is no way in either, and theirs are not ours to judge.
    lab.node.sh("ip -n stranger link del tun");
    tunnel_to("2001:db8::102");
    assert!(!lab.pings("stranger", inside));
    lab.node.sh(
        "ip -n n2 link add theirs type ip6tnl mode any local 2001:db8::102 remote 2001:db8::66
         ip -n n2 link set theirs up; ip -n n2 addr add 198.51.100.2/30 dev theirs
         ip -n stranger addr add 198.51.100.1/30 dev tun",
    );
    assert!(lab.pings("stranger", "198.51.100.2".parse().unwrap()));
}

#[test]
fn a_container_cannot_tunnel_as_its_node() {
    if skip_without_device(OVER_IPV4) {
        return;
    }
    let lab = Lab::new(&web(), V4);
    lab.adopt_all();
    let own = lab.attach(1, "web", "c1")[0];
    let inside = lab.attach(2, "web", "c2")[0];
    lab.node.sh(&format!(
        "ip -n c1 link add tun type sit mode any local {own} remote 192.0.2.2
         ip -n c1 link set tun up
         ip -n c1 route add {inside}/32 dev tun src {own}"
    ));
    assert!(!lab.pings("c1", inside));
    assert!(lab.dropped("n1", "inet pontoon from_bridge", "ipencap") >= 1);
}

#[test]
fn what_is_deleted_in_ip_comes_back() {
    if skip_without_device(OVER_IPV4) {
        return;
    }
    heals(V4, "sit local 192.0.2.99");
}

#[test]
fn what_is_deleted_in_ipv6_comes_back() {
    if skip_without_device(OVER_IPV6) {
        return;
    }
    heals(V6, "ip6tnl local 2001:db8::99 remote 2001:db8::2");
}

/// Breaks what leads to node 2. `other` is a device that leads elsewhere.
fn heals(underlay: &[&str], other: &str) {
    let lab = Lab::new(&web(), underlay);
    lab.adopt_all();
    lab.attach(1, "web", "c1");
    let far = lab.attach(2, "web", "c2");
    let route = lab.node.sh("ip -n n1 route show 10.50.2.0/24");
    let words: Vec<&str> = route.split_whitespace().collect();
    let dev = words[words.iter().position(|word| *word == "dev").unwrap() + 1];
    for breakage in [
        format!("ip link del {dev}"),
        format!("ip link set {dev} down"),
        format!("ip link set {dev} mtu 1300"),
        format!("ip link set {dev} type {other}"),
        "ip route del 10.50.2.0/24".to_owned(),
        format!("ip -6 route flush dev {dev} proto 112"),
        "nft flush ruleset".to_owned(),
    ] {
        lab.node.sh(&format!("ip netns exec n1 {breakage}"));
        assert_ne!(lab.reconcile(1, engine::Mode::Apply), [""; 0], "{breakage}");
        lab.assert_settled();
        for address in &far {
            wait_until("the way is back", patience(), || lab.pings("c1", *address));
        }
    }
}

#[test]
fn a_kernel_without_ipip_keeps_the_other_networks() {
    if has_device(OVER_IPV4) {
        skip("this kernel has sit devices");
        return;
    }
    let networks = [
        overlay("web", 50, Backend::Vxlan),
        overlay("tun", 51, Backend::Ipip),
    ];
    elsewhere(move || {
        let lab = Lab::new(&networks, V4);
        for n in 1..=3 {
            let outcome = lab.adopted(n);
            let [refused] = outcome.refused.as_slice() else {
                panic!("{outcome:?}");
            };
            assert_eq!(refused.name.as_str(), "tun");
            let why = refused.why.to_string();
            assert!(why.contains("can't carry ipip over IPv4"), "{why}");
            assert!(why.contains("sit"), "{why}");
            assert_eq!(outcome.stranded, []);
        }
        lab.attach(1, "web", "c1");
        let far: Vec<IpAddr> = lab.attach(2, "web", "c2");
        for address in &far {
            assert!(lab.pings("c1", *address), "{address}");
        }
        lab.assert_settled();
        let refused = lab.on(1, |engine| engine.check_backend(Backend::Ipip));
        let refused = refused.unwrap_err();
        assert!(matches!(refused, EngineError::BackendMissing { .. }));
        assert_eq!(refused.class(), ErrorClass::Kernel);
        lab.on(1, |engine| engine.check_backend(Backend::Vxlan))
            .unwrap();
        let checks = lab.on(1, |engine| engine.doctor());
        let backends = checks
            .iter()
            .find(|check| check.name == "backends")
            .unwrap();
        assert_eq!(backends.health, engine::Health::Bad, "{backends:?}");
        assert!(backends.found.contains("vxlan over IPv4"), "{backends:?}");
        assert!(
            backends.found.contains("networks of ipip over IPv4"),
            "{backends:?}"
        );
    });
}
