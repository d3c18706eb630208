//! One node of a cluster that a file names: what `pontoon agent` makes of it, and the commands
//! that tell of it. The other nodes are lines in the file alone.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::node::PontoonNode;

const FOUND: i32 = 10;
const STORE: i32 = 11;

pub const NODES: &str = r#"
[[node]]
name = "a"
underlay = ["192.0.2.1"]
slot = 0

[[node]]
name = "b"
underlay = ["192.0.2.2"]
slot = 1

[[node]]
name = "c"
underlay = ["192.0.2.3"]
slot = 2
"#;

pub const BLUE: &str = r#"
[[network]]
name = "blue"
subnets = ["10.50.0.0/16", "fd00:50::/48"]
vni = 4096
"#;

pub const GREEN: &str = r#"
[[network]]
name = "green"
subnets = ["10.60.0.0/16"]
vni = 4097
backend = "routed"
"#;

/// A node on an underlay, and the file that it is in.
pub struct Member {
    pub node: PontoonNode,
    file: PathBuf,
}

impl Member {
    /// Node `a` of three, of a cluster with these networks.
    pub fn new(networks: &str) -> Self {
        let node = PontoonNode::new();
        node.sh(
            "ip link add up0 type veth peer name far0; ip addr add 192.0.2.1/24 dev up0; \
             ip link set up0 up; ip link set far0 up",
        );
        let file = node.state_dir().parent().unwrap().join("cluster.toml");
        let member = Self { node, file };
        member.write(&format!("{NODES}{networks}"));
        member
    }

    pub fn write(&self, text: &str) {
        let aside = self.file.with_extension("new");
        fs::write(&aside, text).unwrap();
        fs::rename(aside, &self.file).unwrap();
    }

    pub fn without(&self, part: &str) {
        let text = fs::read_to_string(&self.file).unwrap();
        assert!(text.contains(part), "{text}");
        self.write(&text.replace(part, ""));
    }

    pub fn cluster(&self) -> String {
        format!("--cluster static:{}", self.file.display())
    }

    /// The words of an agent of node `a`.
    pub fn agent(&self, more: &str) -> String {
        format!("agent --node a {} {more}", self.cluster())
    }

    pub fn once(&self) -> String {
        self.node.pontoon(&self.agent("--once"))
    }

    /// The node's state without the numbers that a device gets anew each time it is made.
    pub fn state(&self) -> String {
        let numbers = |line: &str| match line.split_once(": ") {
            Some((n, rest)) if n.bytes().all(|b| b.is_ascii_digit()) => rest.to_owned(),
            _ => line.to_owned(),
        };
        let snapshot = self.node.snapshot();
        snapshot.lines().map(numbers).collect::<Vec<_>>().join("\n")
    }

    /// What leads to the other nodes.
    pub fn ways(&self) -> String {
        self.node.sh(
            "ip route show proto 112 2>/dev/null || true; ip route; bridge fdb show | grep dst || true; \
             ip neigh show nud permanent; ip -6 route | grep fd00 || true",
        )
    }

    fn json(&self, line: &str) -> Value {
        let out = self.node.try_pontoon(&format!("{line} --json"));
        serde_json::from_str(&out.stdout).unwrap_or_else(|_| panic!("{line}: {out}"))
    }
}

const B: &str = "[[node]]\nname = \"b\"\nunderlay = [\"192.0.2.2\"]\nslot = 1\n";

#[test]
fn a_file_makes_a_network_and_its_ways() {
    let member = Member::new(BLUE);
    let said = member.once();
    assert!(said.contains("network blue added"), "{said}");
    member.node.sh("ip link show pn-blue; ip link show pv-4096");
    let ways = member.ways();
    for part in [
        "10.50.1.0/24",
        "10.50.2.0/24",
        "dst 192.0.2.2",
        "dst 192.0.2.3",
    ] {
        assert!(ways.contains(part), "no {part} in\n{ways}");
    }
    member.node.pontoon("attach blue web --create");
    let said = member.node.pontoon("ls");
    assert!(said.contains("10.50.0.2/24"), "{said}");
    member.node.assert_settled();
    let said = member.once();
    assert_eq!(
        said,
        "nothing to do: a is as the cluster and the records say\n"
    );
}

#[test]
fn a_routed_network_has_no_device_of_its_own() {
    let member = Member::new(GREEN);
    member.once();
    let routes = member.node.sh("ip route");
    assert!(
        routes.contains("10.60.1.0/24 via 192.0.2.2 dev up0"),
        "{routes}"
    );
    assert_eq!(member.node.sh("ip -br link show type vxlan"), "");
    member.node.assert_settled();
}

#[test]
fn a_changed_file_changes_the_kernel() {
    let member = Member::new(BLUE);
    member.once();
    member.without(B);
    member.once();
    let ways = member.ways();
    assert!(
        !ways.contains("192.0.2.2") && !ways.contains("10.50.1.0"),
        "{ways}"
    );
    assert!(ways.contains("192.0.2.3"), "{ways}");
    member.write(&format!("{NODES}{GREEN}"));
    let said = member.once();
    for part in ["network blue removed", "network green added"] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    member.write(NODES);
    member.once();
    member.node.assert_settled();
    member
        .node
        .sh("! ip link show pn-blue; ! ip link show pn-green; ! ip link show pv-4096");
}

#[test]
fn a_network_with_endpoints_is_stranded_and_goes_with_the_last() {
    let member = Member::new(BLUE);
    member.once();
    member.node.pontoon("attach blue web --create");
    member.write(NODES);
    let out = member.node.try_pontoon(&member.agent("--once"));
    assert_eq!(out.code, FOUND, "{out}");
    assert!(out.stdout.contains("network blue is stranded"), "{out}");
    let status = member.json("status");
    assert_eq!(status["networks"][0]["state"], "stranded");
    member.node.sh("ip netns exec web ping -c1 -W2 10.50.0.1");
    member.node.pontoon("detach web --delete");
    let said = member.once();
    assert!(said.contains("network blue removed"), "{said}");
}

#[test]
fn a_name_that_a_bridge_has_is_refused_and_the_rest_goes_on() {
    let member = Member::new(&format!("{BLUE}{GREEN}"));
    member
        .node
        .pontoon("network create blue --subnet 10.9.0.0/24");
    let out = member.node.try_pontoon(&member.agent("--once"));
    assert_eq!(out.code, FOUND, "{out}");
    assert!(
        out.stdout
            .contains("network blue refused: there is a network blue already"),
        "{out}"
    );
    assert!(out.stdout.contains("network green added"), "{out}");
}

#[test]
fn a_wrong_file_is_refused_by_its_line_and_leaves_the_node() {
    let member = Member::new(BLUE);
    member.once();
    let before = member.node.snapshot();
    let good = format!("{NODES}{BLUE}");
    for (from, to, says) in [
        ("192.0.2.2", "192.0.2", "cluster.toml:9"),
        (
            "slot = 1",
            "slot = 0",
            "cluster.toml:10: slot 0 of node b is that of node a",
        ),
        ("vni = 4096", "vni = 0", "cluster.toml:20"),
        ("vni = 4096", "vni = 4096\ncolour = 1", "colour"),
        ("name = \"c\"", "name = \"../c\"", "../c"),
        ("10.50.0.0/16", "10.50.0.1/16", "10.50.0.0/16"),
        ("[[network]]", "[network", "cluster.toml:17"),
    ] {
        assert!(good.contains(from));
        member.write(&good.replacen(from, to, 1));
        let said = member.node.refused(&member.agent("--once"), 2);
        assert!(said.contains(says), "{to}: {said}");
        assert_eq!(member.node.snapshot(), before, "{to}");
    }
    member.write(&good);
    member.once();
    assert_eq!(member.node.snapshot(), before);
}

#[test]
fn a_store_that_is_away_keeps_everything() {
    let member = Member::new(BLUE);
    member.once();
    let before = member.node.snapshot();
    let away = "etcd:http://192.0.2.1:9";
    let said = member.node.refused(
        &format!("agent --node a --underlay 192.0.2.1 --cluster {away} --once"),
        STORE,
    );
    assert!(said.contains("does not answer"), "{said}");
    fs::remove_file(&member.file).unwrap();
    let said = member.node.refused(&member.agent("--once"), STORE);
    assert!(said.contains("cluster.toml"), "{said}");
    assert_eq!(member.node.snapshot(), before);
    member.node.pontoon("attach blue web --create");
    // What was lost is healed all the same.
    member.node.sh("ip link del pv-4096");
    member.node.refused(&member.agent("--once"), STORE);
    member.node.sh("ip link show pv-4096");
    let nodes = member.node.pontoon(&format!("node ls --cluster {away}"));
    for part in [
        "from this node's records",
        "does not answer",
        "a (here)",
        "192.0.2.3",
    ] {
        assert!(nodes.contains(part), "no {part} in\n{nodes}");
    }
}

#[test]
fn who_is_not_as_the_file_says_is_told_so() {
    let member = Member::new(BLUE);
    let node = &member.node;
    let cluster = member.cluster();
    for (words, code, says) in [
        ("--node d", 3, "there is no node d in"),
        ("--node b", 3, "192.0.2.2"),
        ("--node a --underlay 192.0.2.9", 3, "192.0.2.9"),
        ("--node a --underlay 127.0.0.1", 2, "127.0.0.1"),
        ("--node ../a", 2, "../a"),
    ] {
        let said = node.refused(&format!("agent {cluster} {words} --once"), code);
        assert!(said.contains(says), "{words}: {said}");
    }
    let said = node.refused("agent --once --node a", 2);
    assert!(said.contains("PONTOON_CLUSTER"), "{said}");
    let said = node.refused("agent --once --node a --cluster zk:1", 2);
    assert!(said.contains("static:FILE"), "{said}");
    let said = node.refused("node ls", 3);
    assert!(said.contains("in no cluster"), "{said}");
    node.assert_bare();
}

#[test]
fn networks_of_a_file_are_changed_in_the_file() {
    let member = Member::new(BLUE);
    member.once();
    let cluster = member.cluster();
    let node = &member.node;
    let line = format!(
        "network create red --overlay --subnet 10.70.0.0/16 --node-prefix 26 --internal {cluster}"
    );
    let said = node.refused(&line, 2);
    for part in [
        "cluster.toml says: add this there",
        "[[network]]\nname = \"red\"",
        "node-prefix = { ipv4 = 26 }",
        "vni = 4097",
        "internal = true",
    ] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    // What it says to add is what makes it.
    let toml = said.split("\n\n").nth(1).unwrap();
    let toml = toml
        .lines()
        .take_while(|line| !line.starts_with("  "))
        .collect::<Vec<_>>();
    member.write(&format!("{NODES}{BLUE}\n{}\n", toml.join("\n")));
    let said = member.once();
    assert!(said.contains("network red added"), "{said}");
    for (line, code, says) in [
        ("network rm blue".to_owned(), 2, "--cluster"),
        (format!("network rm blue {cluster}"), 2, "change it there"),
        (format!("node rm b {cluster}"), 2, "change it there"),
        (
            format!("network create x --overlay --subnet 10.50.7.0/24 {cluster}"),
            4,
            "blue",
        ),
        (
            "network create x --overlay --subnet 10.80.0.0/16".to_owned(),
            2,
            "no cluster is named",
        ),
        (
            format!("network create x --overlay {cluster}"),
            2,
            "--subnet",
        ),
        (
            format!(
                "network create x --overlay --subnet 10.80.0.0/16 --gateway 10.80.0.1 {cluster}"
            ),
            2,
            "--gateway",
        ),
    ] {
        let said = node.refused(&line, code);
        assert!(said.contains(says), "{line}: {said}");
    }
    // A name that is the cluster's in no way stands in the way of the node's own.
    node.pontoon(&format!(
        "network create own --subnet 10.9.0.0/24 {cluster}"
    ));
    node.pontoon(&format!("network rm own {cluster}"));
}

#[test]
fn status_nodes_and_topology_tell_what_there_is() {
    let member = Member::new(BLUE);
    member.once();
    let node = &member.node;
    node.pontoon("attach blue web --create");
    let page = node.pontoon(&format!("status {}", member.cluster()));
    for part in [
        "node      a (",
        "underlay  192.0.2.1 on up0, MTU 1500",
        ", answers",
        "does not run",
        "192.0.2.2",
        "blue  vxlan    4096",
        "1450",
        "Wrong\n  nothing",
    ] {
        assert!(page.contains(part), "no {part:?} in\n{page}");
    }
    let nodes = node.pontoon("node ls");
    assert!(nodes.contains("a (here)  192.0.2.1"), "{nodes}");
    let shown = member.json(&format!("node show b {}", member.cluster()));
    assert_eq!(shown["source"], "store");
    assert_eq!(shown["nodes"]["b"]["subnets"]["blue"][0], "10.50.1.0/24");
    let said = node.refused("node show z", 3);
    assert!(said.contains("no node z"), "{said}");
    let tree = node.pontoon("topology");
    assert!(tree.contains("└─ web  10.50.0.2"), "{tree}");
    let dot = node.pontoon("topology --dot");
    assert!(dot.contains("\"network blue\" -- \"b/blue\""), "{dot}");
    node.sh("nft flush ruleset; ip link set up0 mtu 1400");
    let out = node.try_pontoon("status");
    assert_eq!(out.code, FOUND, "{out}");
    for part in ["nft table inet was missing", "MTU 1400"] {
        assert!(out.stdout.contains(part), "no {part:?} in\n{out}");
    }
}

#[test]
fn a_node_in_no_cluster_has_a_status_too() {
    let node = PontoonNode::new();
    node.pontoon("network create web --subnet 10.5.0.0/24");
    node.pontoon("attach web x --create");
    let page = node.pontoon("status");
    assert!(
        page.contains("in no cluster") && page.contains("this node only"),
        "{page}"
    );
    let tree = node.pontoon("topology");
    assert!(
        tree.contains("this node") && tree.contains("x  10.5.0.2"),
        "{tree}"
    );
}
