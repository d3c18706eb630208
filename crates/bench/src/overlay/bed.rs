//! Two machines each, with a client in namespace `left` of the one and servers in namespace
//! `right` of the other, and one contender's network between them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::{FILE_SUBNETS, Member, write_file};
use crate::contender::Records;
use crate::ground::{Ground, Pair, Site, reason};
use crate::machine::{Machine, Server};
use crate::patience::wait_for;
use crate::tools::{Found, program};
use crate::traffic::{self, Client, Service, serve};

const REACH_BOUND: Duration = Duration::from_secs(30);

pub struct Bed {
    pub pair: Pair,
    pub client: Client,
    _servers: Vec<Server>,
    /// The nodes that are to carry packets by the fast path.
    fast: Vec<Site<Records>>,
}

impl Bed {
    /// Waits until the server is reached, and serves. `keeping` is what runs meanwhile.
    pub fn new(pair: Pair, address: &'static str, keeping: Vec<Server>) -> Result<Self> {
        let ping = format!("ip netns exec left ping -q -c1 -W1 {address}");
        let reached = wait_for("a ping is answered", REACH_BOUND, || {
            pair.left.sh(&ping).is_ok()
        });
        reached.with_context(|| {
            let words: Vec<String> = keeping.iter().map(Server::last_words).collect();
            words.join("; ")
        })?;
        let mut servers = serve(&pair.right, "right", &Service::ALL)?;
        servers.extend(keeping);
        Ok(Self {
            pair,
            client: Client {
                namespace: "left",
                address,
            },
            _servers: servers,
            fast: Vec::new(),
        })
    }

    /// That most packets were carried by each node that should: what was measured otherwise is the
    /// kernel's way.
    pub fn assert_carried(&self) -> Result<()> {
        for site in &self.fast {
            let said = site.pontoon(&["fastpath", "status", "--json"])?;
            let status: Value = serde_json::from_str(&said)?;
            let uplinks = status["uplinks"].as_array().context("no uplinks")?;
            let all = |what: &str| uplinks.iter().filter_map(|one| one[what].as_u64()).sum();
            let (fast, slow): (u64, u64) = (all("fast_packets"), all("slow_packets"));
            ensure!(fast > slow, "carried {fast} packets of {}", fast + slow);
        }
        Ok(())
    }
}

/// The tools, and the machines.
pub fn begin(ground: &Ground<'_>) -> Found<Pair> {
    traffic::find()?;
    program("ethtool")?;
    ground.pair().map_err(reason)
}

/// From node to node: no network on top.
pub fn raw(ground: &Ground<'_>) -> Found<Bed> {
    let pair = begin(ground)?;
    let named = |machine: &Machine, name| machine.sh(&format!("ip netns attach {name} $$"));
    named(&pair.left, "left").map_err(reason)?;
    named(&pair.right, "right").map_err(reason)?;
    Bed::new(pair, "192.0.2.2", Vec::new()).map_err(reason)
}

/// What a careful person types on each node: nothing is learnt, and what is known is entered. The
/// first that is not known, ARP, goes to the other node.
const HAND_MADE: &str = "
    ip link add br0 type bridge
    ip link add vx0 type vxlan id 42 local $own dstport 4789 nolearning
    ip link set vx0 mtu 1450 master br0 up
    ip link set br0 mtu 1450 up
    bridge fdb append 00:00:00:00:00:00 dev vx0 dst $other
    bridge fdb append $other_mac dev vx0 master static
    bridge fdb append $other_mac dev vx0 dst $other self permanent
    ip netns add $end
    ip link add v-$end mtu 1450 type veth peer name eth0 mtu 1450 address $own_mac netns $end
    ip link set v-$end master br0 up
    ip -n $end addr add $own_address/24 dev eth0
    ip -n $end link set eth0 up
    ip -n $end neigh replace $other_address lladdr $other_mac dev eth0 nud permanent";

pub fn hand_made(ground: &Ground<'_>) -> Found<Bed> {
    let pair = begin(ground)?;
    make_by_hand(pair).map_err(reason)
}

fn make_by_hand(pair: Pair) -> Result<Bed> {
    let (left, right) = (&pair.cable.left, &pair.cable.right);
    let (left_mac, right_mac) = ("02:00:00:00:00:03", "02:00:00:00:00:02");
    let (left_address, right_address) = ("10.79.0.3", "10.79.0.2");
    pair.left.sh(&format!(
        "end=left own={left} own_mac={left_mac} own_address={left_address}
         other={right} other_mac={right_mac} other_address={right_address}
         {HAND_MADE}"
    ))?;
    pair.right.sh(&format!(
        "end=right own={right} own_mac={right_mac} own_address={right_address}
         other={left} other_mac={left_mac} other_address={left_address}
         {HAND_MADE}"
    ))?;
    Bed::new(pair, right_address, Vec::new())
}

/// Two nodes of a cluster that a file names, an agent on each.
pub fn pontoon(ground: &Ground<'_>, backend: &str) -> Found<Bed> {
    let place = format!("overlay-{backend}");
    nodes(ground, backend, &place, false)
}

/// The same with the fast path on.
pub fn pontoon_fast(ground: &Ground<'_>, backend: &str) -> Found<Bed> {
    let place = format!("overlay-fast-{backend}");
    nodes(ground, backend, &place, true)
}

fn nodes(ground: &Ground<'_>, backend: &str, place: &str, is_fast: bool) -> Found<Bed> {
    let pair = begin(ground)?;
    let file = ground.scratch(&format!("{place}.toml"));
    let underlays = [&*pair.cable.left, &*pair.cable.right];
    let cluster = write_file(&file, underlays, backend).map_err(reason)?;
    let member =
        |machine, name, underlay| Member::new(ground, machine, (place, name), underlay, &cluster);
    let left = member(pair.left.clone(), "a", underlays[0])?;
    let right = member(pair.right.clone(), "b", underlays[1])?;
    attach_both(pair, [left, right], is_fast).map_err(reason)
}

fn attach_both(pair: Pair, [left, right]: [Member; 2], is_fast: bool) -> Result<Bed> {
    let agents = vec![left.start_agent()?, right.start_agent()?];
    let [left_subnet, right_subnet] = FILE_SUBNETS;
    left.attach(&agents[0], "left", &["--ip", &format!("{left_subnet}.2")])?;
    right.attach(&agents[1], "right", &["--ip", &format!("{right_subnet}.2")])?;
    let fast = if is_fast {
        vec![left.site, right.site]
    } else {
        Vec::new()
    };
    fast.iter().try_for_each(Site::turn_on_fast_path)?;
    Ok(Bed {
        fast,
        ..Bed::new(pair, RIGHT_ADDRESS, agents)?
    })
}

/// In the second of [`FILE_SUBNETS`].
const RIGHT_ADDRESS: &str = "10.50.1.2";
