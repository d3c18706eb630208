//! A store that answers and refuses: certificates, no majority, no space. The cause is named,
//! once, and nothing is torn down.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use testnet::{output, wait_until};

use crate::ground::Ground;
use crate::pulse::{Pulse, figure};

const BOUND: Duration = Duration::from_secs(25);
const AWAY: &str = "going on with what the records say";
const CREATE: &str = "pontoon network create green --overlay --subnet 10.60.0.0/16";

fn lab_with_traffic(word: &str, line: &str) -> (Ground, Pulse) {
    let ground = Ground::new(word);
    ground.lab(line);
    ground.attach("n1", "web", "a");
    let to = ground.attach("n2", "web", "b");
    let pulse = Pulse::start(&ground, ("n1", "a"), ("n2", "b"), &to[0]);
    (ground, pulse)
}

/// The agent of n1 says it, few times, and the node has what it had.
fn assert_named(ground: &Ground, cause: &str) {
    let begun = Instant::now();
    let heard = || {
        let log = ground.log("n1");
        log.lines()
            .any(|line| line.contains(AWAY) && line.contains(cause))
    };
    wait_until(cause, BOUND, heard);
    let named = begun.elapsed();
    // Two more tries at least are made meanwhile: each is another line, or none.
    ground.attach("n1", "web", "new");
    let to = ground.attach("n2", "web", "new");
    assert!(ground.pings("n1", "new", &to[0]).success());
    let log = ground.log("n1");
    let lines = log.matches(AWAY).count();
    assert!(lines <= 3, "{lines} lines: {log}");
    assert_eq!(ground.on("n1", "pontoon reconcile --dry-run"), "");
    figure(&format!(
        "{cause}: named after {:.1} s, {lines} line(s)",
        named.as_secs_f32()
    ));
}

/// An etcd started by hand on the store's machine, with further options.
fn start_etcd(ground: &Ground, options: &str) -> Child {
    let url = "http://192.0.2.254:2379";
    let mut command = ground.command(&format!(
        "exec store -- etcd --data-dir /run/pontoon-lab/{}/store/other --listen-client-urls {url} \
         --advertise-client-urls {url} --listen-peer-urls http://127.0.0.1:2380 {options}",
        ground.name()
    ));
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn another_authoritys_certificate_is_named_and_nothing_torn_down() {
    let (ground, pulse) = lab_with_traffic("cert", "up --nodes 2 --store etcd --tls");
    let tls = format!("/run/pontoon-lab/{}/store/tls", ground.name());
    ground.node().sh(&format!(
        "cd {tls}; cp ca.pem right.pem; openssl req -x509 -newkey ec -pkeyopt \
         ec_paramgen_curve:P-256 -nodes -subj /CN=ca -days 2 -keyout other.key -out ca.pem 2>&1"
    ));
    ground.lab("stop n1");
    ground.lab("heal n1");
    assert_named(&ground, "certificate");
    let out = ground.try_on("n1", CREATE);
    assert_eq!(out.code, 11, "{out}");
    assert!(out.stderr.contains("certificate"), "{out}");
    // Files are read anew for each connection.
    ground
        .node()
        .sh(&format!("mv {tls}/right.pem {tls}/ca.pem"));
    wait_until("all is well", BOUND, || {
        ground.log("n1").contains("all is well again")
    });
    ground.on("n1", CREATE);
    pulse.assert_whole("wrong certificate");
}

#[test]
fn a_member_without_a_majority_is_named() {
    let (ground, pulse) = lab_with_traffic("alone", "up --nodes 2 --store etcd");
    ground.lab("stop store");
    let mut alone = start_etcd(
        &ground,
        "--name a --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster \
         a=http://127.0.0.1:2380,b=http://127.0.0.1:2381,c=http://127.0.0.1:2382",
    );
    // It takes connections, and can't decide anything.
    assert_named(&ground, "said nothing within");
    alone.kill().unwrap();
    alone.wait().unwrap();
    ground.lab("heal");
    wait_until("all is well", BOUND, || {
        ground.log("n1").contains("all is well again")
    });
    pulse.assert_whole("no majority");
}

#[test]
fn a_store_without_space_is_named() {
    let (ground, pulse) = lab_with_traffic("full", "up --nodes 2 --store etcd");
    let dir = format!("/run/pontoon-lab/{}/store", ground.name());
    ground.lab("stop store");
    ground.node().sh(&format!("mv {dir}/data {dir}/other"));
    let mut small = start_etcd(
        &ground,
        "--name store --initial-advertise-peer-urls http://127.0.0.1:2380 \
         --initial-cluster store=http://127.0.0.1:2380 --quota-backend-bytes 1",
    );
    // The first write finds that there is no space, and raises the alarm.
    wait_until("the alarm", BOUND, || {
        let mut put = ground.command("exec store -- etcdctl put /other 1");
        output(&mut put).stderr.contains("space exceeded")
    });
    let out = ground.try_on("n1", CREATE);
    assert_eq!(out.code, 11, "{out}");
    assert!(out.stderr.contains("space exceeded"), "{out}");
    ground.lab("stop n1");
    ground.lab("heal n1");
    assert_named(&ground, "space exceeded");
    small.kill().unwrap();
    small.wait().unwrap();
    ground.node().sh(&format!("mv {dir}/other {dir}/data"));
    ground.lab("heal");
    let mut disarm = ground.command("exec store -- etcdctl alarm disarm");
    let _ = output(&mut disarm).expect_success("disarm");
    wait_until("all is well", BOUND, || {
        ground.log("n1").contains("all is well again")
    });
    pulse.assert_whole("no space");
}
