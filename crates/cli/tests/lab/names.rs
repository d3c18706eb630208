//! Names over nodes: an endpoint is found by name from every node, whoever is away; what a node may
//! not tell is nobody's name.

use std::process::Child;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use serde_json::Value;
use testnet::dns::{addresses, ask_within};
use testnet::{Netns, patient, wait_until};

use crate::ground::Ground;
use crate::pulse::figure;

const BOUND: Duration = Duration::from_secs(20);
/// Of what comes and goes on one node, the others know within this time: a node tells once a
/// second at most.
const NEWS: Duration = Duration::from_secs(2);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(2);

/// A container that asks its gateway.
struct Asker {
    netns: Netns,
    held: Child,
    addresses: Vec<String>,
    gateway: String,
}

impl Asker {
    fn attach(ground: &Ground, node: &str, name: &str, alias: &str) -> Self {
        ground.lab(&format!("attach {node} web {name} --alias {alias}"));
        let addresses = ground.addresses(node, name);
        let (netns, held) = ground.container(node, name);
        let (part, _) = addresses[0].rsplit_once('.').unwrap();
        let gateway = format!("{part}.1");
        Self {
            netns,
            held,
            addresses,
            gateway,
        }
    }

    fn ask(&self, name: &str, kind: RecordType) -> Option<Message> {
        ask_within(ANSWER, &self.netns, &self.gateway, name, kind)
    }

    /// In the order of the answer.
    fn finds(&self, name: &str, kind: RecordType) -> Vec<String> {
        let answer = self.ask(name, kind);
        let answers = answer.into_iter().flat_map(|answer| answer.answers);
        let text = |data: &RData| match data {
            RData::A(a) => a.0.to_string(),
            RData::AAAA(a) => a.0.to_string(),
            RData::PTR(name) => name.0.to_ascii(),
            other => other.to_string(),
        };
        answers.map(|record| text(&record.data)).collect()
    }

    /// Waits until a name has exactly these IPv4 addresses, in any order.
    fn wait_for(&self, name: &str, expected: &[&str]) -> Duration {
        let begun = Instant::now();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        wait_until(&format!("{name} is {expected:?}"), BOUND, || {
            let answer = self.ask(name, RecordType::A);
            answer.is_some_and(|answer| addresses(&answer) == expected)
        });
        begun.elapsed()
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        let _ = self.held.kill();
        let _ = self.held.wait();
    }
}

fn names(ground: &Ground, node: &str) -> Value {
    serde_json::from_str(&ground.on(node, "pontoon names --json")).unwrap()
}

/// Kills the name server of a node.
fn kill_server(ground: &Ground, node: &str) {
    let pid = || names(ground, node)["server"]["pid"].as_u64();
    let server = pid().expect("a name server runs");
    ground.on(node, &format!("kill -KILL {server}"));
    wait_until("the server is gone", BOUND, || pid().is_none());
}

/// Node n1 with `a`, n2 with `b`, each called `shop` too.
fn two(word: &str) -> (Ground, Asker, Asker) {
    let ground = Ground::new(word);
    ground.lab("up --nodes 3 --store etcd --ipv4 --names");
    let a = Asker::attach(&ground, "n1", "a", "shop");
    let b = Asker::attach(&ground, "n2", "b", "shop");
    a.wait_for("b", &[&b.addresses[0]]);
    b.wait_for("a", &[&a.addresses[0]]);
    (ground, a, b)
}

#[test]
fn an_endpoint_is_found_by_name_from_every_node() {
    let (ground, a, b) = two("far");
    assert_eq!(a.finds("b", RecordType::AAAA), [b.addresses[1].as_str()]);
    let octets: Vec<&str> = b.addresses[0].rsplit('.').collect();
    let back = format!("{}.in-addr.arpa", octets.join("."));
    assert_eq!(a.finds(&back, RecordType::PTR), ["b."]);
    // Nobody has this one of the other node's part: and nobody outside is asked for it.
    let octets = ["77", octets[1], octets[2], octets[3]].join(".");
    let nobody = a.ask(&format!("{octets}.in-addr.arpa"), RecordType::PTR);
    let code = nobody.unwrap().metadata.response_code;
    assert_eq!(code, ResponseCode::NXDomain);
    // All who have a name, and one's own node's first, each time.
    for _ in 0..4 {
        for (asker, other) in [(&a, &b), (&b, &a)] {
            let both = [&asker.addresses[0], &other.addresses[0]].map(String::as_str);
            assert_eq!(asker.finds("shop", RecordType::A), both);
        }
    }
    let shown = ground.on("n1", "pontoon names");
    assert!(shown.contains("n2") && shown.contains("here"), "{shown}");
    for name in ["late", "later"] {
        let begun = Instant::now();
        let late = ground.attach("n3", "web", name);
        a.wait_for(name, &[&late[0]]);
        figure(&format!(
            "a new endpoint is found by name from another node after {} ms",
            begun.elapsed().as_millis()
        ));
    }
    ground.on("n3", "pontoon detach late --delete");
    let took = a.wait_for("late", &[]);
    assert!(took < patient(NEWS), "{took:?}");
    figure(&format!("and not any more after {} ms", took.as_millis()));
    // It stays one server's answer: who is on another node is nobody here.
    let foreign = ask_within(ANSWER, &a.netns, &b.gateway, "a", RecordType::A);
    assert!(foreign.is_none(), "{foreign:?}");
}

#[test]
fn names_are_the_clusters_on_every_node_or_on_none() {
    let (ground, a, b) = two("switch");
    let refused = ground.try_on("n3", "env -u PONTOON_CLUSTER pontoon names off web");
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.stderr.contains("--cluster"), "{refused}");
    let said = ground.on("n3", "pontoon names off web");
    assert!(said.contains("no names now, on each node"), "{said}");
    wait_until("nobody answers", BOUND, || {
        [&a, &b]
            .iter()
            .all(|asker| asker.ask("shop", RecordType::A).is_none())
    });
    let keys = ground.lab("exec store -- etcdctl get --prefix /pontoon/v1/cluster/nodes/");
    assert!(!keys.contains("shop"), "{keys}");
    // The agents see to it that somebody answers again.
    ground.on("n1", "pontoon names on web");
    let both = [&a.addresses[0], &b.addresses[0]].map(String::as_str);
    a.wait_for("shop", &both);
    b.wait_for("shop", &both);
    kill_server(&ground, "n1");
    let agent = ground.agent("n1").unwrap();
    ground.on("n1", &format!("kill -HUP {agent}"));
    a.wait_for("shop", &both);
    // A network that is created later has names where that is said.
    ground.on(
        "n1",
        "pontoon network create green --overlay --subnet 10.60.0.0/16 --names",
    );
    wait_until("green has names on n2", BOUND, || {
        names(&ground, "n2")["networks"][0]["network"] == "green"
    });
    let unknown = ground.try_on("n1", "pontoon names on nowhere");
    assert_eq!(unknown.code, 3, "{unknown}");
}

#[test]
fn names_are_answered_while_store_and_agents_are_away() {
    let (ground, a, b) = two("away");
    ground.lab("stop store");
    for node in ["n1", "n2", "n3"] {
        let agent = ground.agent(node).unwrap();
        ground.on(node, &format!("kill -KILL {agent}"));
    }
    assert_eq!(a.finds("b", RecordType::A), [b.addresses[0].as_str()]);
    kill_server(&ground, "n1");
    // Who is attached now is known here, and starts the server; the others are known as before.
    let late = Asker::attach(&ground, "n1", "late", "shop");
    late.wait_for("b", &[&b.addresses[0]]);
    let mut all = [&a, &late, &b].map(|asker| asker.addresses[0].as_str());
    all.sort_unstable();
    a.wait_for("shop", &all);
    ground.lab("heal");
    b.wait_for("shop", &all);
    // Who was killed half way has told nothing that is not so.
    let agent = ground.agent("n1").unwrap();
    ground.on(
        "n1",
        &format!("pontoon detach late --delete & kill -KILL {agent}; wait"),
    );
    ground.lab("heal n1");
    b.wait_for("shop", &[&a.addresses[0], &b.addresses[0]]);
}

#[test]
fn what_a_node_may_not_name_is_dropped_and_said() {
    let (ground, a, b) = two("lie");
    let c = Asker::attach(&ground, "n3", "c", "third");
    c.wait_for("b", &[&b.addresses[0]]);
    ground.lab("stop n2");
    // n2 says that `bank` is what n1 has, and that of its own `extra` is one.
    let (part, _) = b.addresses[0].rsplit_once('.').unwrap();
    let script = format!(
        "key=/pontoon/v1/cluster/nodes/n2; \
         etcdctl put $key \"$(etcdctl get --print-value-only $key | sed 's/\"named\":{{\"web\":\\[/\
         &{{\"name\":\"bank\",\"addresses\":[\"{}\"]}},{{\"name\":\"extra\",\"addresses\":[\"{part}.99\"]}},/')\"",
        a.addresses[0]
    );
    let mut lie = ground.command("exec store -- sh -euc");
    let _ = testnet::output(lie.arg(&script)).expect_success("a lie");
    c.wait_for("extra", &[&format!("{part}.99")]);
    c.wait_for("b", &[&b.addresses[0]]);
    assert_eq!(c.finds("bank", RecordType::A), Vec::<String>::new());
    let says = format!("{} of web, which is not of its part", a.addresses[0]);
    wait_until("it is said", BOUND, || ground.log("n3").contains(&says));
    let status = ground.try_on("n3", "pontoon status");
    assert!(
        status.stdout.contains(&says) && status.code == 10,
        "{status}"
    );
    // Who tells the truth again is complained of no more.
    ground.lab("heal n2");
    c.wait_for("extra", &[]);
    wait_until("it is well", BOUND, || {
        ground.try_on("n3", "pontoon status").code == 0
    });
}

#[test]
fn the_names_of_a_node_go_with_it() {
    let (ground, a, b) = two("rm");
    ground.lab("cut n2");
    ground.lab("stop n2");
    assert_eq!(a.finds("b", RecordType::A), [b.addresses[0].as_str()]);
    ground.on("n1", "pontoon node rm n2");
    a.wait_for("b", &[]);
    a.wait_for("shop", &[&a.addresses[0]]);
    ground.lab("heal n2");
    wait_until("n2 is back", BOUND, || {
        ground.on("n1", "pontoon node ls").contains("n2")
    });
}

#[test]
fn a_cluster_by_a_file_tells_no_names_and_says_so() {
    let ground = Ground::new("file");
    ground.lab("up --nodes 3 --ipv4 --names");
    let a = Asker::attach(&ground, "n1", "a", "shop");
    let near = Asker::attach(&ground, "n1", "near", "shop");
    let far = Asker::attach(&ground, "n2", "far", "shop");
    let both = [&a, &near].map(|asker| asker.addresses[0].as_str());
    a.wait_for("shop", &both);
    far.wait_for("shop", &[&far.addresses[0]]);
    let shown = ground.on("n1", "pontoon names");
    assert!(
        shown.contains("a cluster by a file does not tell"),
        "{shown}"
    );
    let refused = ground.try_on("n1", "pontoon names off web");
    assert!(refused.stderr.contains("change it there"), "{refused}");
    let help = ground.on("n1", "pontoon names --help");
    assert!(help.contains("A cluster by a file tells nothing"), "{help}");
}
