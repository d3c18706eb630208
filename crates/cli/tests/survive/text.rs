//! A plan's text is the plan: typed into another node's shell, line by line, it gives the same
//! kernel. That node is made of nothing else.

use kernel::Kernel;
use model::NodeId;
use store::{EndpointLife, OpenMode, Records};

use crate::ground::{Saved, WEB, canonical, elsewhere};
use crate::heal::{BUSY, Break, DEVICES, FIREWALL, INSIDE, WHOLE};
use crate::node::PontoonNode;

/// What is done on the first node.
enum Act {
    /// By hand, on both nodes.
    Hand(String),
    /// By `pontoon` on the first; the other gets the text of the dry run.
    Pontoon(String),
}

/// What the other node gets.
struct Typed {
    act: String,
    script: String,
    /// What the records say afterwards, where `pontoon` was at work.
    records: Option<Saved>,
}

/// Lines that begin with `pontoon` are for it; what stands between them is for the shell.
fn acts(script: &str) -> Vec<Act> {
    let mut acts = Vec::new();
    for line in script.lines().map(str::trim) {
        match (line.strip_prefix("pontoon "), acts.last_mut()) {
            (Some(words), _) => acts.push(Act::Pontoon(words.to_owned())),
            (None, Some(Act::Hand(hand))) => *hand += &format!("\n{line}"),
            (None, _) => acts.push(Act::Hand(line.to_owned())),
        }
    }
    acts
}

fn act(node: &PontoonNode, act: Act) -> Typed {
    let words = match act {
        Act::Hand(script) => {
            node.sh(&script);
            return Typed {
                act: script.clone(),
                script,
                records: None,
            };
        }
        Act::Pontoon(words) => words,
    };
    let plan = node.try_pontoon(&format!("{words} --dry-run"));
    assert!([0, 10].contains(&plan.code), "{words}: {plan}");
    node.pontoon(&words);
    node.assert_settled();
    Typed {
        act: words,
        script: plan.stdout,
        records: Some(Saved::of(node)),
    }
}

/// Makes the first node's records those of this one: what they know namespaces by differs.
fn adopt(node: &PontoonNode, records: &Saved) {
    records.put(node);
    let unused = NodeId::from_bits(0);
    let mut records = Records::open(node.state_dir(), OpenMode::ReadWrite, unused).unwrap();
    let mut kernel = Kernel::open().unwrap();
    records.set_home(&kernel.node_netns().unwrap()).unwrap();
    for record in records.endpoints().unwrap() {
        assert_eq!(record.life, EndpointLife::Attached);
        let netns = kernel.identify(&record.endpoint.target).unwrap();
        records.set_attached(record.endpoint.id, &netns).unwrap();
    }
}

/// Does the acts on one node and types their texts on another, which must be the same each time.
fn typed_out(script: &str) {
    let typed: Vec<Typed> = elsewhere(|node| {
        // The records' identity is in the marks, and a dry run keeps none.
        node.pontoon("reconcile");
        acts(script).into_iter().map(|one| act(node, one)).collect()
    });
    let node = PontoonNode::new();
    for Typed {
        act,
        script,
        records,
    } in &typed
    {
        node.sh(script);
        let Some(records) = records else { continue };
        adopt(&node, records);
        let out = node.try_pontoon("reconcile --dry-run");
        assert!(
            out.code == 0 && out.stdout.is_empty(),
            "{act}\n{script}\nlacks {out}"
        );
    }
}

#[test]
fn the_first_network_and_its_endpoints_typed_out() {
    typed_out(
        "pontoon network create web --subnet 10.5.0.0/24
         ip netns add b
         pontoon attach web b
         pontoon attach web a --create --ip 10.5.0.9 -p 8080:80 -p 9000-9100 -p 5000-5003:6000-6003
         pontoon detach b
         pontoon detach a --delete
         pontoon network rm web",
    );
}

#[test]
fn two_families_and_several_networks_typed_out() {
    typed_out(
        "mkdir -p /run/x; ip netns add b; ip netns add c; touch /run/x/c
         mount --bind /run/netns/c /run/x/c
         pontoon network create web --subnet 10.5.0.0/24 --subnet fd00:5::/64 --mtu 1400
         pontoon network create vault --internal --subnet 10.6.0.0/24 --subnet fd00:6::/64
         pontoon network create six --subnet fd00:7::/64 --bridge six0 --gateway fd00:7::77
         pontoon attach web a --create -p 8080:80 -p 127.0.0.1:53:53/udp -p [::1]:54:54/udp
         pontoon attach vault a --ifname inner0
         pontoon attach six a
         pontoon attach six /run/x/c -p 7000-7100/sctp -p 8081:81
         pontoon attach web b -p 192.0.2.1:9000-9100 -p [2001:db8::1]:9000-9100:9100-9200
         pontoon detach a web
         pontoon attach web a
         pontoon detach b
         pontoon detach a --delete
         pontoon detach c
         pontoon network rm web
         pontoon network rm vault
         pontoon network rm six",
    );
}

#[test]
fn endpoints_that_are_kept_to_a_rate_typed_out() {
    typed_out(
        "pontoon network create web --subnet 10.5.0.0/24 --subnet fd00:5::/64 --mtu 9000
         pontoon attach web a --create --rate 100mbit
         pontoon attach web b --create --rate 8kbit -p 8080:80
         pontoon attach web c --create --rate 10gbit
         tc qdisc replace dev pont1 root tbf rate 1mbit burst 32k limit 98k
         tc qdisc del dev pont2 ingress; ip link del pifb3
         pontoon reconcile
         pontoon detach b
         pontoon detach a --delete
         pontoon detach c --delete
         pontoon network rm web",
    );
}

fn broken(scripts: impl Iterator<Item = &'static str>) -> String {
    let heals = scripts.map(|script| format!("{}\npontoon reconcile\n", script.replace('\n', " ")));
    format!("{WEB}{BUSY}\n{}", heals.collect::<String>())
}

fn mended(table: &'static [Break]) {
    typed_out(&broken(table.iter().map(|(script, ..)| *script)));
}

#[test]
fn mending_the_firewall_typed_out() {
    mended(FIREWALL);
}

#[test]
fn mending_devices_typed_out() {
    mended(DEVICES);
}

#[test]
fn mending_what_is_inside_targets_typed_out() {
    mended(INSIDE);
}

#[test]
fn mending_what_is_missing_as_a_whole_typed_out() {
    typed_out(&broken(WHOLE.iter().map(|(script, _)| *script)));
}

#[test]
fn the_tables_of_the_stack_are_what_nft_lists() {
    let node = PontoonNode::new();
    node.script(&format!("{WEB}{BUSY}"));
    node.script(
        "nft flush chain inet pontoon admin
         pontoon network create vault --internal
         pontoon attach vault b -p 80 && exit 1
         pontoon attach vault b
         pontoon attach web c --create -p 127.0.0.1:53:53/udp -p [2001:db8::1]:7000-7100
         pontoon attach web d --create -p 5000-5003:6000-6003/sctp -p 192.0.2.1:1000-2000/udp",
    );
    let stack = node.json("stack");
    let tables = stack["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 2);
    for table in tables {
        let family = table["family"].as_str().unwrap();
        let listed = node.sh(&format!("nft -s list table {family} pontoon"));
        let printed = canonical(table["text"].as_str().unwrap());
        assert_eq!(printed, canonical(&listed), "table {family}");
    }
}
