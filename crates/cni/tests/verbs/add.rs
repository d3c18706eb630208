//! ADD: what is made, what is answered, and that a failed one leaves nothing.

use serde_json::{Value, json};
use testnet::{Netns, Transport};

use crate::driver::{Container, List};
use crate::ground::{CniNode, NODE_V4, V4, V6, refusal, texts};

fn dual() -> Value {
    json!({"subnets": [V4, V6]})
}

#[test]
fn two_containers_reach_each_other_in_both_families() {
    let node = CniNode::with(&["a", "b"]);
    let list = List::of(&node, dual());
    list.add(&Container::named("a")).unwrap();
    let result = list.add(&Container::named("b")).unwrap();
    let addresses = texts(&result["ips"], "address");
    assert_eq!(addresses, ["10.5.0.3/24", "fd00:5::3/64"]);
    for address in addresses {
        assert!(node.pings("a", address.split('/').next().unwrap()));
    }
    node.assert_settled();
}

#[test]
fn the_result_is_of_the_version_asked_for() {
    for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let node = CniNode::with(&["a"]);
        let list = List::of(&node, dual()).version(version);
        let result = list.add(&Container::named("a")).unwrap();
        let ip = |address: &str, gateway: &str, digit: &str| {
            let mut ip = json!({"address": address, "gateway": gateway, "interface": 2});
            if version.starts_with('0') {
                ip["version"] = digit.into();
            }
            ip
        };
        let expected = json!({
            "cniVersion": version,
            "interfaces": [
                {"name": "pn-web"},
                {"name": "pont1"},
                {"name": "eth0", "mac": "02:70:0a:05:00:02", "sandbox": "/var/run/netns/a"},
            ],
            "ips": [ip("10.5.0.2/24", "10.5.0.1", "4"), ip("fd00:5::2/64", "fd00:5::1", "6")],
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.5.0.1"}, {"dst": "::/0", "gw": "fd00:5::1"}],
        });
        assert_eq!(result, expected);
    }
}

#[test]
fn an_internal_network_has_no_routes_to_tell() {
    let node = CniNode::with(&["a"]);
    let list = List::of(&node, json!({"subnet": V4, "internal": true}));
    let result = list.add(&Container::named("a")).unwrap();
    assert_eq!(result["routes"], Value::Null);
    assert_eq!(node.sh("ip -n a route show default"), "");
}

#[test]
fn a_second_add_is_refused_and_leaves_the_first_alone() {
    let node = CniNode::with(&["a", "b"]);
    let list = List::of(&node, dual());
    list.add(&Container::named("a")).unwrap();
    let before = node.state();
    let mut again = Container::named("a");
    let (code, msg) = refusal(&list.add(&again).unwrap_err());
    assert_eq!(code, 101);
    assert!(msg.contains("container a is already attached"), "{msg}");
    // The same container and interface in another namespace is no other attachment.
    again.netns = "/run/netns/b".to_owned();
    let (code, msg) = refusal(&list.add(&again).unwrap_err());
    assert_eq!(code, 101, "{msg}");
    assert_eq!(node.state(), before);
    node.assert_settled();
}

#[test]
fn a_container_that_died_without_del_can_come_again() {
    let node = CniNode::with(&["a"]);
    let list = List::of(&node, dual());
    list.add(&Container::named("a")).unwrap();
    node.sh("ip netns del a; ip netns add a");
    list.add(&Container::named("a")).unwrap();
    assert_eq!(node.attached(), ["a/eth0"]);
    node.assert_settled();
}

#[test]
fn a_failed_add_leaves_nothing() {
    let node = CniNode::with(&["a", "b"]);
    let before = node.state();
    let mut lost = Container::named("a");
    lost.netns = "/run/netns/lost".to_owned();
    let with = |runtime| Container::named("a").with_runtime(runtime);
    let twice = json!({"portMappings": [
        {"hostPort": 80, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 80, "containerPort": 81, "protocol": "tcp"},
    ]});
    let mut here = Container::named("a");
    here.netns = "/proc/self/ns/net".to_owned();
    for (container, code, says) in [
        (lost, 3, "lost"),
        (here, 7, "node"),
        (with(json!({"ips": ["10.9.9.9"]})), 7, "10.9.9.9"),
        (with(json!({"ips": ["10.5.0.1"]})), 7, "10.5.0.1"),
        (
            with(json!({"mac": "01:00:5e:00:00:01"})),
            7,
            "01:00:5e:00:00:01",
        ),
        (with(twice), 7, "80"),
        (
            Container::named("a").with_args("IP=10.5.0.300"),
            4,
            "CNI_ARGS",
        ),
        (Container::named("../a"), 4, "CNI_CONTAINERID"),
    ] {
        let (found, msg) = refusal(&List::of(&node, dual()).add(&container).unwrap_err());
        assert_eq!(found, code, "{msg}");
        assert!(msg.contains(says), "{msg}");
        assert_eq!(node.state(), before, "after: {msg}");
        assert_eq!(node.engine().networks().unwrap(), []);
    }
}

#[test]
fn another_network_than_the_one_there_is_refused() {
    let node = CniNode::with(&["a", "b"]);
    List::of(&node, dual()).add(&Container::named("a")).unwrap();
    let before = node.state();
    for (fields, says) in [
        (json!({"subnets": [V4]}), "subnets"),
        (
            json!({"subnets": [V4, V6], "gateways": ["10.5.0.9"]}),
            "gateway",
        ),
        (json!({"mtu": 1400}), "MTU"),
        (json!({"bridge": "br7"}), "bridge"),
        (json!({"internal": true}), "internal"),
    ] {
        let error = List::of(&node, fields)
            .add(&Container::named("b"))
            .unwrap_err();
        let (code, msg) = refusal(&error);
        assert_eq!(code, 101, "{msg}");
        assert!(msg.contains(says), "{msg}");
        assert_eq!(node.state(), before);
    }
    // What says nothing of it takes it as it is.
    List::of(&node, json!({}))
        .add(&Container::named("b"))
        .unwrap();
}

#[test]
fn addresses_and_mac_are_what_the_runtime_asks() {
    let node = CniNode::with(&["a", "b"]);
    let list = List::of(&node, dual());
    let asked = json!({"ips": ["10.5.0.77/24", "fd00:5::77"], "mac": "02:11:22:33:44:55"});
    let result = list
        .add(&Container::named("a").with_runtime(asked))
        .unwrap();
    assert_eq!(
        texts(&result["ips"], "address"),
        ["10.5.0.77/24", "fd00:5::77/64"]
    );
    assert_eq!(result["interfaces"][2]["mac"], "02:11:22:33:44:55");
    let args = "IgnoreUnknown=1;IP=10.5.0.88;MAC=02:11:22:33:44:66;FOO=bar";
    let result = list.add(&Container::named("b").with_args(args)).unwrap();
    assert_eq!(result["ips"][0]["address"], "10.5.0.88/24");
    assert_eq!(result["interfaces"][2]["mac"], "02:11:22:33:44:66");
    node.assert_settled();
}

#[test]
fn host_local_ranges_bound_what_is_given_out() {
    let node = CniNode::with(&["a", "b", "c"]);
    let ipam = json!({"type": "host-local", "ranges": [[
        {"subnet": V4, "rangeStart": "10.5.0.100", "rangeEnd": "10.5.0.101", "gateway": "10.5.0.254"},
    ]], "routes": [{"dst": "0.0.0.0/0"}]});
    let list = List::of(
        &node,
        json!({"bridge": "cni0", "isGateway": true, "ipMasq": true, "ipam": ipam}),
    );
    let first = list.add(&Container::named("a")).unwrap();
    assert_eq!(first["ips"][0]["address"], "10.5.0.100/24");
    assert_eq!(first["ips"][0]["gateway"], "10.5.0.254");
    assert_eq!(first["interfaces"][0]["name"], "cni0");
    list.add(&Container::named("b")).unwrap();
    let (code, msg) = refusal(&list.add(&Container::named("c")).unwrap_err());
    assert_eq!((code, msg.contains("taken")), (102, true), "{msg}");
}

#[test]
fn names_are_the_runtimes_where_they_are_free() {
    let node = CniNode::with(&["a", "b"]);
    let list = List::of(&node, dual());
    let pod = |id: &str| Container::named(id).with_args("IgnoreUnknown=true;K8S_POD_NAME=web-0");
    list.add(&pod("a")).unwrap();
    list.add(&pod("b")).unwrap();
    let endpoints = node.endpoints().into_iter();
    let mut names: Vec<String> = endpoints.map(|e| e.endpoint.name.to_string()).collect();
    names.sort();
    assert_eq!(names, ["b", "web-0"]);
}

#[test]
fn resolvers_are_handed_on() {
    let node = CniNode::with(&["a", "b"]);
    node.sh("echo 'nameserver 10.5.0.53\nsearch lan' > /run/resolv.conf");
    let ipam = json!({"type": "host-local", "subnet": V4, "resolvConf": "/run/resolv.conf"});
    let list = List::of(&node, json!({"ipam": ipam}));
    let result = list.add(&Container::named("a")).unwrap();
    assert_eq!(
        result["dns"],
        json!({"nameservers": ["10.5.0.53"], "search": ["lan"]})
    );
    let asked =
        json!({"dns": {"servers": ["10.5.0.54"], "searches": ["example"], "options": ["ndots:1"]}});
    let result = list
        .add(&Container::named("b").with_runtime(asked))
        .unwrap();
    let expected =
        json!({"nameservers": ["10.5.0.54"], "search": ["example"], "options": ["ndots:1"]});
    assert_eq!(result["dns"], expected);
}

#[test]
fn published_ports_answer_where_the_policy_lets_them() {
    for (policy, from_outside) in [("any", true), ("localhost", false)] {
        let node = CniNode::with(&["a"]);
        let outside = node.outside();
        let list = List::of(&node, json!({"subnets": [V4, V6], "publish": policy}));
        let ports = json!({"portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        ]});
        list.add(&Container::named("a").with_runtime(ports))
            .unwrap();
        let netns = Netns::named("a");
        let any = |port: u16| std::net::SocketAddr::from(([0, 0, 0, 0], port));
        let server = netns.serve(Transport::Tcp, any(80));
        let at_node = std::net::SocketAddr::from(([127, 0, 0, 1], 8080));
        node.netns().ask(Transport::Tcp, at_node).unwrap();
        let public = NODE_V4.parse().unwrap();
        if from_outside {
            outside.netns().ask(Transport::Tcp, public).unwrap();
        } else {
            outside.netns().assert_unreachable(Transport::Tcp, public);
        }
        drop(server);
        node.assert_settled();
    }
}

#[test]
fn ports_are_refused_where_the_policy_is_off() {
    let node = CniNode::with(&["a"]);
    let list = List::of(&node, json!({"subnet": V4, "publish": "off"}));
    let ports = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80}]});
    let error = list
        .add(&Container::named("a").with_runtime(ports))
        .unwrap_err();
    assert_eq!(refusal(&error).0, 2);
    assert_eq!(node.attached(), [""; 0]);
}
