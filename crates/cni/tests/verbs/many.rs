//! Many processes at once, some of them killed: nothing leaks, and nothing is given out twice.
//!
//! `PONTOON_SOAK=N` makes it N times as long: `make soak`.

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};

use crate::driver::{Container, List};
use crate::ground::CniNode;

/// How many containers come and go in a round, each with a runtime's thread of its own.
const CONTAINERS: u64 = 50;
const THREADS: u64 = 8;
/// One call in so many is killed.
const KILLED_IN: u64 = 10;
/// No call has more crash points.
const POINTS: u64 = 24;

/// Numbers that look random and are the same in every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    /// For a call: whether, and where on its way, it is killed.
    fn env(&mut self) -> Vec<(&'static str, String)> {
        match self.roll(KILLED_IN) {
            0 => vec![("PONTOON_KILL_AT", (1 + self.roll(POINTS)).to_string())],
            _ => Vec::new(),
        }
    }
}

/// A runtime's life: containers come, and most go. Answers those it thinks are there.
fn live(list: &List, containers: &[Container], seed: u64) -> Vec<Container> {
    let mut dice = Dice(seed);
    let mut there = Vec::new();
    for container in containers {
        let mut container = container.clone();
        container.env = dice.env();
        // A runtime whose ADD fails calls DEL; one that was killed itself does not get to it.
        let added = list.add(&container).is_ok();
        let stays = added && dice.roll(3) == 0;
        if stays {
            there.push(container);
            continue;
        }
        container.env = dice.env();
        let _ = list.del(&container, &Value::Null);
    }
    there
}

fn round(node: &CniNode, list: &List, round: u64) {
    let name = |n: u64| format!("r{round}c{n}");
    node.sh(&(0..CONTAINERS)
        .map(|n| format!("ip netns add {}\n", name(n)))
        .collect::<String>());
    let port = |n: u64| {
        json!({"portMappings": [
            {"hostPort": 10_000 + n, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 10_000 + n, "containerPort": 53, "protocol": "udp"},
        ]})
    };
    let containers: Vec<Container> = (0..CONTAINERS)
        .map(|n| Container::named(&name(n)).with_runtime(port(n)))
        .collect();
    let there: Vec<Container> = thread::scope(|scope| {
        let share = containers.chunks(CONTAINERS.div_ceil(THREADS) as usize);
        let lives: Vec<_> = share
            .zip(1..)
            .map(|(share, n)| scope.spawn(move || live(list, share, round * 1000 + n)))
            .collect();
        lives
            .into_iter()
            .flat_map(|life| life.join().unwrap())
            .collect()
    });
    list.gc(&there.iter().collect::<Vec<_>>()).unwrap();
    assert_consistent(node, &there);
    for container in &there {
        let mut container = container.clone();
        container.env.clear();
        list.del(&container, &Value::Null).unwrap();
    }
    list.gc(&[]).unwrap();
    assert_consistent(node, &[]);
    node.sh(&(0..CONTAINERS)
        .map(|n| format!("ip netns del {}\n", name(n)))
        .collect::<String>());
}

/// Records, devices, addresses and rules are those of just these containers.
fn assert_consistent(node: &CniNode, there: &[Container]) {
    let mut wanted: Vec<String> = there.iter().map(|c| format!("{}/eth0", c.id)).collect();
    wanted.sort();
    assert_eq!(node.attached(), wanted);
    node.assert_settled();
    let count = |script: &str| node.sh(script).trim().parse::<usize>().unwrap();
    assert_eq!(count("ip -o link | grep -c ': pont' || true"), there.len());
    let endpoints = node.endpoints();
    let addresses: BTreeSet<_> = endpoints
        .iter()
        .flat_map(|e| &e.endpoint.addresses)
        .collect();
    assert_eq!(
        addresses.len(),
        there.len() * 2,
        "an address was given out twice"
    );
    for container in there {
        let inside = format!("ip -n {} -o -4 addr show eth0 | wc -l", container.id);
        assert_eq!(count(&inside), 1, "{}", container.id);
    }
    let published =
        "nft list map inet pontoon ports4 2>/dev/null | grep -o 'tcp \\. [0-9]*' | wc -l";
    assert_eq!(count(published), there.len());
}

mod heavy {
    use super::*;

    #[test]
    fn adds_and_dels_from_many_processes_leak_nothing_also_when_killed() {
        let rounds = std::env::var("PONTOON_SOAK").map_or(1, |n| n.parse().unwrap());
        let node = CniNode::with(&[]);
        let list = List::of(&node, json!({"subnets": ["10.5.0.0/24", "fd00:5::/64"]}));
        let mut sizes = Vec::new();
        for n in 0..rounds {
            round(&node, &list, n);
            sizes.push(size_of_records(&node));
        }
        // What a long life leaves in the records is bounded: resting addresses and the log.
        let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
        assert!(
            last < first.max(512 << 10) * 2,
            "the records grow: {sizes:?}"
        );
    }

    fn size_of_records(node: &CniNode) -> u64 {
        let files = std::fs::read_dir(node.state_dir()).unwrap();
        files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    }
}
