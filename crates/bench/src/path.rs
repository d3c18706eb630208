//! Section `path`: what traffic on one node costs, over Pontoon's bridge and published ports and
//! over the same made by hand. One stream or one ping-pong at a time, all ways in turn.

use std::rc::Rc;

use anyhow::Result;

use crate::contender::{FAST, PONTOON, Records};
use crate::ground::{Ground, NETWORK, Site, reason};
use crate::machine::{Machine, Server};
use crate::progress::progress;
use crate::table::{Row, Samples, Unit};
use crate::tools::Found;
use crate::traffic::{
    self, Client, LATENCY_PORT, Service, THROUGHPUT_PORT, Transport, latency, serve, throughput,
};

pub const HAND_MADE_BRIDGE: &str = "hand-made bridge";
pub const VETH_PAIR: &str = "direct veth pair";
const HAND_MADE_RULE: &str = "hand-made DNAT rule";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Between two endpoints, with the kernel's default: bridged packets pass the rules for
    /// routed ones.
    SameNode,
    /// The same without that.
    SameNodeBare,
    /// From the outside world to a port of the node's address.
    Published,
}

impl Route {
    const ALL: [Self; 3] = [Self::SameNode, Self::SameNodeBare, Self::Published];

    pub fn figure(self, unit: Unit) -> String {
        let route = match self {
            Self::SameNode => "same node",
            Self::SameNodeBare => "same node, bridge-nf-call 0",
            Self::Published => "published port",
        };
        let measure = match unit {
            Unit::GigabitsPerSecond => "TCP throughput",
            Unit::CpuSecondsPerGigabyte => "TCP, busy processors",
            Unit::Microseconds => "64-byte TCP latency",
            Unit::Milliseconds
            | Unit::PerSecond
            | Unit::Times
            | Unit::Megabytes
            | Unit::Percent => "time",
        };
        format!("{route}: {measure}")
    }

    fn base(self) -> &'static str {
        match self {
            Self::SameNode | Self::SameNodeBare => HAND_MADE_BRIDGE,
            Self::Published => HAND_MADE_RULE,
        }
    }

    fn client(self) -> &'static str {
        match self {
            Self::SameNode | Self::SameNodeBare => "left",
            Self::Published => "outside",
        }
    }

    fn bridge_nf_call(self) -> u8 {
        match self {
            Self::SameNode | Self::Published => 1,
            Self::SameNodeBare => 0,
        }
    }
}

/// A machine with servers in its namespace `right`.
struct Bed {
    machine: Rc<Machine>,
    _servers: Vec<Server>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Throughput { secs: u16 },
    Latency,
}

/// One bed's route.
struct Way {
    route: Route,
    who: &'static str,
    bed: Found<Rc<Bed>>,
    address: &'static str,
    throughput: Samples,
    cpu: Samples,
    latency: Samples,
}

pub fn measure(ground: &Ground<'_>, rounds: u16, secs: u16) -> Vec<Row> {
    progress("path: setting up");
    let mut ways = ways(ground);
    for round in 0..rounds {
        progress(&format!("path: round {} of {rounds}", round + 1));
        // Each kind by itself: what is compared is then seconds apart.
        for kind in [Kind::Throughput { secs }, Kind::Latency] {
            ways.iter_mut().for_each(|way| way.sample(kind));
        }
    }
    let mut rows = Vec::new();
    for route in Route::ALL {
        for unit in [
            Unit::GigabitsPerSecond,
            Unit::CpuSecondsPerGigabyte,
            Unit::Microseconds,
        ] {
            let along = ways.iter().filter(|way| way.route == route);
            rows.extend(along.map(|way| way.row(unit)));
        }
    }
    rows
}

fn ways(ground: &Ground<'_>) -> Vec<Way> {
    let pair = hand_made(ground, PAIR);
    let bridge = hand_made(ground, BRIDGE);
    let rule = hand_made(ground, &format!("{BRIDGE}\n{RULE}"));
    let ours = pontoon(ground, "path").and_then(|site| bed(site.machine));
    let fast = pontoon(ground, "path-fast").and_then(|site| {
        site.turn_on_fast_path().map_err(reason)?;
        bed(site.machine)
    });
    let node = "203.0.113.1";
    vec![
        Way::new(Route::SameNode, HAND_MADE_BRIDGE, &bridge, "10.78.0.2"),
        Way::new(Route::SameNode, PONTOON, &ours, "10.90.0.2"),
        Way::new(Route::SameNode, FAST, &fast, "10.90.0.2"),
        Way::new(Route::SameNode, VETH_PAIR, &pair, "10.78.0.2"),
        Way::new(Route::SameNodeBare, HAND_MADE_BRIDGE, &bridge, "10.78.0.2"),
        Way::new(Route::SameNodeBare, PONTOON, &ours, "10.90.0.2"),
        Way::new(Route::Published, HAND_MADE_RULE, &rule, node),
        Way::new(Route::Published, PONTOON, &ours, node),
    ]
}

impl Way {
    fn new(route: Route, who: &'static str, bed: &Found<Rc<Bed>>, address: &'static str) -> Self {
        Self {
            route,
            who,
            bed: bed.clone(),
            address,
            throughput: Samples::default(),
            cpu: Samples::default(),
            latency: Samples::default(),
        }
    }

    fn sample(&mut self, kind: Kind) {
        let Ok(bed) = self.bed.clone() else { return };
        if let Err(error) = self.try_sample(&bed.machine, kind) {
            self.bed = Err(reason(error));
        }
    }

    fn try_sample(&mut self, machine: &Machine, kind: Kind) -> Result<()> {
        let client = Client {
            namespace: self.route.client(),
            address: self.address,
        };
        let call = self.route.bridge_nf_call();
        machine.sh(&format!(
            "sysctl -qw net.bridge.bridge-nf-call-iptables={call}
             sysctl -qw net.bridge.bridge-nf-call-ip6tables={call}"
        ))?;
        match kind {
            Kind::Throughput { secs } => {
                let run = throughput(machine, client, secs)?;
                self.throughput.push(run.gigabits_per_sec);
                self.cpu.push(run.cpu_secs_per_gigabyte);
            }
            Kind::Latency => self.latency.push(latency(machine, client, Transport::Tcp)?),
        }
        Ok(())
    }

    fn row(&self, unit: Unit) -> Row {
        let samples = match unit {
            Unit::GigabitsPerSecond => &self.throughput,
            Unit::CpuSecondsPerGigabyte => &self.cpu,
            Unit::Microseconds
            | Unit::Milliseconds
            | Unit::PerSecond
            | Unit::Times
            | Unit::Megabytes
            | Unit::Percent => &self.latency,
        };
        let samples = match &self.bed {
            Ok(_) => Ok(samples.clone()),
            Err(why) => Err(why.clone()),
        };
        Row {
            figure: self.route.figure(unit),
            who: self.who,
            base: self.route.base(),
            unit,
            samples,
        }
    }
}

const PAIR: &str = "
    ip netns add left
    ip netns add right
    ip link add eth0 netns left type veth peer name eth0 netns right
    ip -n left addr add 10.78.0.3/24 dev eth0
    ip -n right addr add 10.78.0.2/24 dev eth0
    ip -n left link set eth0 up
    ip -n right link set eth0 up";

const BRIDGE: &str = "
    ip link add br0 type bridge
    ip link set br0 up
    ip addr add 10.78.0.1/24 dev br0
    for end in right:2 left:3; do
        name=${end%:*}
        ip netns add $name
        ip link add v-$name type veth peer name eth0 netns $name
        ip link set v-$name master br0 up
        ip -n $name addr add 10.78.0.${end#*:}/24 dev eth0
        ip -n $name link set eth0 up
        ip -n $name route add default via 10.78.0.1
    done";

const RULE: &str = "
    sysctl -qw net.ipv4.ip_forward=1
    nft 'table ip hand {
        chain prerouting {
            type nat hook prerouting priority dstnat
            fib daddr type local tcp dport { 5201, 11111 } dnat to 10.78.0.2
        }
    }'";

fn hand_made(ground: &Ground<'_>, script: &str) -> Found<Rc<Bed>> {
    traffic::find()?;
    let machine = ground.machine();
    machine.sh(script).map_err(reason)?;
    bed(machine)
}

/// Both ends attached, the records under `name`.
fn pontoon(ground: &Ground<'_>, name: &str) -> Found<Site<Records>> {
    traffic::find()?;
    let site = ground.site(name)?;
    let ports = [THROUGHPUT_PORT, LATENCY_PORT].map(|port| port.to_string());
    let [throughput, latency] = &ports;
    let attach = ["attach", NETWORK, "--create", "--ip"];
    let right = ["10.90.0.2", "right", "-p", throughput, "-p", latency];
    let ends: [&[&str]; 2] = [&right, &["10.90.0.3", "left"]];
    for end in ends {
        site.pontoon(&[&attach, end].concat()).map_err(reason)?;
    }
    Ok(site)
}

fn bed(machine: Rc<Machine>) -> Found<Rc<Bed>> {
    let services = [Service::Throughput, Service::Latency(Transport::Tcp)];
    let servers = serve(&machine, "right", &services).map_err(reason)?;
    Ok(Rc::new(Bed {
        machine,
        _servers: servers,
    }))
}
