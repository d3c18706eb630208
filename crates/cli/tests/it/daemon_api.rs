//! The agent's API: what it answers, whom, and who can't keep it from answering others.

#![allow(clippy::print_stdout, reason = "figures")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use testnet::{patient, wait_until};

use crate::cluster::{BLUE, Member};
use crate::daemon::{BOUND, Daemon};
use crate::node::PontoonNode;

/// Questions to the agent of a node, as anybody's curl asks them.
pub struct Asked<'a> {
    node: &'a PontoonNode,
    socket: PathBuf,
}

/// Some of what it counts.
pub struct Numbers {
    pub looks: f64,
    pub cpu_secs: f64,
    pub resident_bytes: f64,
}

impl<'a> Asked<'a> {
    pub fn new(node: &'a PontoonNode) -> Self {
        let socket = node.state_dir().join("agent.sock");
        Self { node, socket }
    }

    /// The status code and the body.
    fn ask(&self, words: &str) -> (u16, String) {
        parted(&self.node.sh(&self.line(words)))
    }

    fn line(&self, words: &str) -> String {
        let socket = self.socket.display();
        format!("curl -sS -m 20 -w '%{{http_code}}' --unix-socket {socket} {words}")
    }

    /// Whether it is answered; who is shown the door may not get as far as asking.
    fn is_answered(&self, words: &str) -> bool {
        let out = self.node.try_sh(&self.line(words));
        out.success() && parted(&out.stdout).0 == 200
    }

    fn get(&self, path: &str) -> String {
        let (code, body) = self.ask(&format!("http://agent{path}"));
        assert_eq!(code, 200, "{path}: {body}");
        body
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status")).unwrap()
    }

    pub fn numbers(&self) -> Numbers {
        let page = self.get("/metrics");
        Numbers {
            looks: value(&page, "pontoon_passes_total"),
            cpu_secs: value(&page, "process_cpu_seconds_total"),
            resident_bytes: value(&page, "process_resident_memory_bytes"),
        }
    }
}

/// Of what curl printed: the body, and the three digits behind it.
fn parted(printed: &str) -> (u16, String) {
    let (body, code) = printed.split_at(printed.len() - 3);
    (code.parse().unwrap(), body.to_owned())
}

/// The sum of a metric over its labels.
fn value(page: &str, name: &str) -> f64 {
    let lines = page.lines().filter_map(|line| line.strip_prefix(name));
    let lines = lines.filter(|line| line.starts_with([' ', '{']));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn it_answers_what_is_asked() {
    let member = Member::new(BLUE);
    let daemon = Daemon::with(&member, "--resync 3600");
    daemon.hear("READY=1");
    member.node.pontoon("attach blue web --create");
    let asked = Asked::new(&member.node);
    let mode = std::fs::metadata(&asked.socket)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let status = asked.status();
    assert_eq!(
        (&status["node"], &status["pid"]),
        (&"a".into(), &daemon.pid().into())
    );
    assert_eq!(status["nodes"], 3);
    assert!(
        status["trouble"].is_null() && status["synced_at"].is_u64(),
        "{status}"
    );
    assert_eq!(asked.get("/healthz"), "ok\n");
    let page = asked.get("/metrics");
    for line in [
        "pontoon_dropped_packets_total{family=\"inet\",chain=\"",
        "pontoon_cluster_nodes 3",
        "pontoon_cluster_networks 1",
        "pontoon_endpoints{network=\"blue\"} 1",
        "pontoon_passes_total{cause=\"cluster\"} ",
        "pontoon_steps_total{kind=\"AddLink\"} ",
        "# TYPE process_cpu_seconds_total counter",
    ] {
        assert!(page.contains(line), "no {line} in\n{page}");
    }
    for (words, code, says) in [
        ("http://agent/", 404, "GET /status"),
        (
            "http://agent/../../etc/passwd --path-as-is",
            404,
            "there is",
        ),
        ("-X DELETE http://agent/status", 405, "only GET"),
        ("http://agent/resync", 405, "only POST"),
        ("-d x http://agent/resync", 413, "no body"),
        ("-X POST http://agent/resync", 202, "now"),
    ] {
        let (answered, body) = asked.ask(words);
        assert_eq!(answered, code, "{words}: {body}");
        assert!(body.contains(says), "{words}: {body}");
    }
    let looks = asked.numbers().looks;
    asked.ask("-X POST http://agent/resync");
    wait_until("it has looked", BOUND, || asked.numbers().looks > looks);
    let page = member.node.pontoon("status");
    assert!(page.contains("agreed with the cluster"), "{page}");
    assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
    assert!(!asked.socket.exists());
}

#[test]
fn a_killed_agent_is_told_of_as_one_that_does_not_run() {
    let member = Member::new(BLUE);
    let daemon = Daemon::with(&member, "--resync 3600");
    daemon.hear("READY=1");
    let asked = Asked::new(&member.node);
    assert_eq!(daemon.end(&member.node, "KILL"), None);
    let page = member.node.pontoon("status");
    assert!(page.contains("agent     does not run"), "{page}");
    let daemon = Daemon::start(&member);
    daemon.hear("READY=1");
    assert_eq!(asked.status()["pid"], daemon.pid());
    assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
    assert!(!asked.socket.exists());
}

#[test]
fn trouble_is_told_where_health_is_asked_for() {
    let member = Member::new(BLUE);
    let daemon = Daemon::start(&member);
    daemon.hear("READY=1");
    let asked = Asked::new(&member.node);
    member.write("[[node]]\nname = 1\n");
    let mut told = (0, String::new());
    wait_until("it is told", BOUND, || {
        told = asked.ask("http://agent/healthz");
        told.0 == 503
    });
    assert!(told.1.contains("cluster.toml"), "{told:?}");
    assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
}

#[test]
fn clients_that_say_nothing_keep_nobody_waiting() {
    let member = Member::new(BLUE);
    let daemon = Daemon::with(&member, "--resync 3600");
    daemon.hear("READY=1");
    let asked = Asked::new(&member.node);
    let mut silent: Vec<UnixStream> = (0..8)
        .map(|_| UnixStream::connect(&asked.socket).unwrap())
        .collect();
    silent[0].write_all(b"GET /status HTTP/1.1\r\n").unwrap();
    let begin = Instant::now();
    asked.status();
    println!("{} ms beside 8 silent clients", begin.elapsed().as_millis());
    assert!(begin.elapsed() < patient(Duration::from_secs(4)));
    // More than are attended to: the next ones are told so, and are welcome when these are gone.
    silent.extend((0..100).filter_map(|_| UnixStream::connect(&asked.socket).ok()));
    let mut told = String::new();
    let last = silent.last_mut().unwrap();
    last.set_read_timeout(Some(patient(BOUND))).unwrap();
    last.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 503"), "{told}");
    wait_until("the silent ones are dismissed", BOUND, || {
        asked.is_answered("http://agent/healthz")
    });
    let mut gone = Vec::new();
    silent[0].set_read_timeout(Some(patient(BOUND))).unwrap();
    silent[0].read_to_end(&mut gone).unwrap();
    assert!(gone.is_empty());
    assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
}

#[test]
fn metrics_over_tcp_are_metrics_alone() {
    let member = Member::new(BLUE);
    let node = &member.node;
    let public = member.agent("--metrics 0.0.0.0:9477");
    let said = node.refused(&public, 2);
    assert!(said.contains("--metrics-public"), "{said}");
    let daemon = Daemon::with(&member, "--metrics 127.0.0.1:9477");
    daemon.hear("READY=1");
    let ask = |path: &str| {
        parted(&node.sh(&format!(
            "curl -sS -m 20 -w '%{{http_code}}' http://127.0.0.1:9477{path}"
        )))
    };
    let (code, page) = ask("/metrics");
    assert_eq!(code, 200);
    assert!(
        page.contains("pontoon_last_sync_timestamp_seconds 1"),
        "{page}"
    );
    assert_eq!(ask("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(ask("/status").0, 404);
    assert_eq!(ask("/resync -X POST").0, 404);
    assert_eq!(daemon.end(node, "TERM"), Some(0));
}
