//! Section `join`: how long it takes from starting the agent on a fresh node until a container on
//! it has an answer from a container on another node.
//!
//! All of it: the node joins and gets its part of the network, a container is attached as soon as
//! that can be, the other node hears of the newcomer, and a ping goes there and back. Each round
//! has machines, records and a store of its own.

use anyhow::{Context, Result};

use crate::cluster::{BOUND, Etcd, Member, NETWORK, write_file};
use crate::contender::PONTOON;
use crate::ground::{Ground, reason};
use crate::machine::shell;
use crate::progress::progress;
use crate::table::{Row, Samples, Unit, millis};
use crate::tools::{Found, program};

/// Where the cluster is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    File,
    Etcd,
}

impl Store {
    pub const ALL: [Self; 2] = [Self::File, Self::Etcd];

    pub fn figure(self) -> String {
        let store = match self {
            Self::File => "a file",
            Self::Etcd => "etcd",
        };
        format!("node join to first ping, {store}")
    }
}

pub fn measure(ground: &Ground<'_>, rounds: u16) -> Vec<Row> {
    let mut joins = Store::ALL.map(|store| (store, check(store)));
    for round in 0..rounds {
        progress(&format!("join: round {} of {rounds}", round + 1));
        for (store, samples) in &mut joins {
            if let Ok(kept) = samples {
                let place = format!("join-{store:?}-{round}").to_lowercase();
                match join(ground, *store, &place) {
                    Ok(took) => kept.push(took),
                    Err(why) => *samples = Err(why),
                }
            }
        }
    }
    let rows = joins.map(|(store, samples)| Row {
        figure: store.figure(),
        who: PONTOON,
        base: PONTOON,
        unit: Unit::Milliseconds,
        samples,
    });
    rows.into()
}

fn check(store: Store) -> Found<Samples> {
    if store == Store::Etcd {
        program("etcd")?;
        program("etcdctl")?;
    }
    Ok(Samples::default())
}

fn join(ground: &Ground<'_>, store: Store, place: &str) -> Found<f64> {
    let pair = ground.pair().map_err(reason)?;
    let underlays = [&*pair.cable.left, &*pair.cable.right];
    // The server is on the first node.
    let etcd = match store {
        Store::Etcd => Some(Etcd::start(ground, &pair.left, &format!("{place}-data"))),
        Store::File => None,
    };
    let etcd = etcd.transpose().map_err(reason)?;
    let cluster = match &etcd {
        Some(_) => Etcd::place(underlays[0]),
        None => {
            let file = ground.scratch(&format!("{place}.toml"));
            write_file(&file, underlays, "vxlan").map_err(reason)?
        }
    };
    let member =
        |machine, name, underlay| Member::new(ground, machine, (place, name), underlay, &cluster);
    let first = member(pair.left.clone(), "a", underlays[0])?;
    let fresh = member(pair.right.clone(), "b", underlays[1])?;
    if etcd.is_some() {
        create_network(&first).map_err(reason)?;
    }
    time(&first, &fresh).map_err(reason)
}

pub fn create_network(member: &Member) -> Result<()> {
    let create = ["network", "create", NETWORK, "--overlay"];
    let subnet = ["--subnet", "10.48.0.0/12", "--cluster", &member.cluster];
    member.site.pontoon(&[&create[..], &subnet].concat())?;
    Ok(())
}

/// Attaches as soon as the node has the network, and pings until there is an answer.
fn time(first: &Member, fresh: &Member) -> Result<f64> {
    let agent = first.start_agent()?;
    first.attach(&agent, "old", &[])?;
    let there = address(first)?;
    let attach = fresh
        .site
        .tool
        .call(&["attach", NETWORK, "new", "--create"]);
    let script = format!(
        "for try in $(seq 2000); do
             {} >/dev/null 2>&1 && break
             sleep 0.01
         done
         ip netns exec new ping -q -n -i 0.01 -c 1 -w {} {there}",
        attach.print(),
        BOUND.as_secs(),
    );
    let start = std::time::Instant::now();
    let agent = fresh.start_agent()?;
    let pinged = fresh.site.machine.call(&shell(&script));
    let took = start.elapsed();
    pinged.with_context(|| agent.last_words())?;
    Ok(millis(took))
}

/// Of the endpoint `old`.
fn address(member: &Member) -> Result<String> {
    let look = "ip -n old -4 -o addr show dev eth0";
    let printed = member.site.machine.sh(look)?;
    let prefix = printed.split_whitespace().nth(3).context("an address")?;
    let (address, _) = prefix.split_once('/').context("an address with a length")?;
    Ok(address.to_owned())
}
