//! How the firewall's rules say what they say: each network by itself while they are few, all by sets
//! when they are many, and as versions before had them. What passes is the same.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use engine::Mode;
use model::{Backend, Overlay};
use testnet::{Node, wait_until};

use crate::lab::{BOTH, Lab, V4, assert_one_network, elsewhere, overlay};

/// More than have rules of their own, of every kind.
const MANY: u8 = 9;
/// How long the monitor may take to say something.
const BOUND: Duration = Duration::from_secs(10);

/// `web`, and so many others.
fn networks(backend: Backend, count: u8) -> Vec<Overlay> {
    let mut all = vec![overlay("web", 50, backend)];
    all.extend((1..count).map(|n| overlay(&format!("other{n}"), 50 + n, backend)));
    all
}

fn chain(lab: &Lab, name: &str) -> String {
    lab.node.sh(&format!(
        "ip netns exec n1 nft list chain inet pontoon {name}"
    ))
}

#[test]
fn many_networks_are_looked_up_and_pass_the_same() {
    for backend in [Backend::Vxlan, Backend::Routed] {
        elsewhere(move || {
            let lab = Lab::new(&networks(backend, MANY), BOTH);
            assert_one_network(&lab);
            let (raw, forward) = (chain(&lab, "raw_prerouting"), chain(&lab, "forward"));
            for set in ["@across4", "@across6", "@bridges"] {
                assert!(raw.contains(set), "{backend}: {raw}");
            }
            for set in ["@bridged", "@bridges"] {
                assert!(forward.contains(set), "{backend}: {forward}");
            }
            assert!(!raw.contains("pn-web"), "{backend}: {raw}");
            assert!(!forward.contains("pn-web"), "{backend}: {forward}");
            assert_eq!(forward.contains("@remote4"), backend == Backend::Routed);
            let near = lab.attach(1, "other1", "o1");
            let far = lab.attach(2, "other1", "o2");
            for address in near.iter().chain(&far) {
                assert!(!lab.pings("c1", *address), "{backend}: {address}");
            }
            for address in &far {
                assert!(lab.pings("o1", *address), "{backend}: {address}");
            }
            lab.assert_settled();
        });
    }
}

#[test]
fn networks_come_and_go_between_few_and_many() {
    let mut lab = Lab::new(&networks(Backend::Vxlan, MANY), V4);
    let all = lab.cluster.networks.clone();
    lab.cluster
        .networks
        .retain(|name, _| name.as_str() == "web");
    lab.adopt_all();
    lab.attach(1, "web", "c1");
    let far = lab.attach(2, "web", "c2");
    let few = chain(&lab, "raw_prerouting");
    assert!(
        few.contains("\"pn-web\"") && !few.contains("@across4"),
        "{few}"
    );
    for networks in [all, lab.cluster.networks.clone()] {
        lab.cluster.networks = networks;
        lab.adopt_all();
        lab.assert_settled();
        for address in &far {
            assert!(lab.pings("c1", *address), "{address}");
        }
    }
    assert_eq!(chain(&lab, "raw_prerouting"), few);
}

/// The tables as they were when every network was looked up, with a rule of the administrator's.
const FORMER: &str = r#"
    flush chain inet pontoon raw_prerouting
    flush chain inet pontoon from_bridge
    flush chain inet pontoon forward
    flush chain inet pontoon networks
    delete set inet pontoon elsewhere4
    delete set inet pontoon elsewhere6
    add rule inet pontoon raw_prerouting iifname "pont*" counter drop
    add rule inet pontoon raw_prerouting udp dport 4789 ip saddr @vteps4 notrack accept
    add rule inet pontoon raw_prerouting udp dport 4789 ip6 saddr @vteps6 notrack accept
    add rule inet pontoon raw_prerouting iifname . ether daddr @local notrack accept
    add rule inet pontoon raw_prerouting iifname . ip saddr . ip daddr @across4 notrack accept
    add rule inet pontoon raw_prerouting iifname . ip6 saddr . ip6 daddr @across6 notrack accept
    add rule inet pontoon raw_prerouting iifname @bridges goto from_bridge
    add rule inet pontoon from_bridge ip daddr 127.0.0.0/8 counter drop
    add rule inet pontoon from_bridge ip saddr 127.0.0.0/8 counter drop
    add rule inet pontoon from_bridge ip6 daddr ::1 counter drop
    add rule inet pontoon from_bridge ip6 saddr ::1 counter drop
    add rule inet pontoon forward iifname . oifname @bridged accept
    add rule inet pontoon forward ip daddr . oifname . iifname @remote4 accept
    add rule inet pontoon forward ip6 daddr . oifname . iifname @remote6 accept
    add rule inet pontoon forward ip saddr . iifname . oifname @remote4 accept
    add rule inet pontoon forward ip6 saddr . iifname . oifname @remote6 accept
    add rule inet pontoon forward iifname @bridges goto networks
    add rule inet pontoon forward oifname @bridges goto networks
    add rule inet pontoon networks jump admin
    add rule inet pontoon networks iifname @internal counter drop
    add rule inet pontoon networks oifname @internal counter drop
    add rule inet pontoon networks ct state invalid counter drop
    add rule inet pontoon networks ct state established,related accept
    add rule inet pontoon networks ct status dnat accept
    add rule inet pontoon networks oifname @bridges counter drop
    add rule inet pontoon admin ip saddr 198.51.100.0/24 counter drop comment "mine"
"#;

#[test]
fn tables_of_a_version_before_become_ours_in_one_transaction_and_keep_the_admin_chain() {
    for backend in [Backend::Vxlan, Backend::Routed] {
        elsewhere(move || {
            let lab = Lab::new(&[overlay("web", 50, backend)], V4);
            lab.adopt_all();
            lab.attach(1, "web", "c1");
            let far = lab.attach(2, "web", "c2")[0];
            let former = format!("ip netns exec n1 nft -f - <<'EOF'{FORMER}EOF");
            lab.node.sh(&former);
            assert!(lab.pings("c1", far), "{backend}: as it was");
            let admin = || {
                lab.node
                    .sh("ip netns exec n1 nft -a list chain inet pontoon admin")
            };
            let before = admin();
            let watched = Transactions::watch(&lab.node);
            let plan = lab.reconcile(1, Mode::Apply);
            assert_eq!(watched.ours(), 1, "{backend}: {plan:#?}");
            let rebuilt = plan.iter().any(|line| line.contains("table"));
            assert!(!rebuilt && !plan.is_empty(), "{backend}: {plan:#?}");
            assert_eq!(admin(), before);
            lab.assert_settled();
            assert!(lab.pings("c1", far), "{backend}: as it is");
        });
    }
}

/// What `nft monitor` tells of node 1.
struct Transactions<'a> {
    node: &'a Node,
    monitor: Child,
    lines: mpsc::Receiver<String>,
}

impl<'a> Transactions<'a> {
    fn watch(node: &'a Node) -> Self {
        let mut monitor = node.command("ip");
        monitor.args(["netns", "exec", "n1", "nft", "monitor"]);
        let mut monitor = monitor.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(monitor.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines
                .map_while(|line| sender.send(line).ok())
                .for_each(drop);
        });
        wait_until("the monitor listens", BOUND, || {
            node.sh("ip netns exec n1 nft 'add table inet begin; delete table inet begin'");
            lines.try_iter().any(|line| line.contains("begin"))
        });
        Self {
            node,
            monitor,
            lines,
        }
    }

    /// How many there were since, without those of `nft` itself.
    fn ours(self) -> usize {
        self.node.sh("ip netns exec n1 nft add table inet end");
        let mut ours = 0;
        loop {
            let line = self.lines.recv_timeout(BOUND).unwrap();
            let is_ours = line.contains("new generation") && !line.ends_with("(nft)");
            ours += usize::from(is_ours);
            if line.contains("table inet end") {
                break;
            }
        }
        self.node.sh("ip netns exec n1 nft delete table inet end");
        ours
    }
}

impl Drop for Transactions<'_> {
    fn drop(&mut self) {
        // Gone already is as good as killed.
        let _ = self.monitor.kill();
        let _ = self.monitor.wait();
    }
}
