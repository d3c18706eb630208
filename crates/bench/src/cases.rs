//! Who takes part in section `attach`, each set up on its machine before the clock starts.

use std::rc::Rc;

use anyhow::Result;

use crate::contender::{
    CNI, COMMANDS, Chain, Cni, Commands, Contender, NETAVARK, NOTHING, Netavark, Nothing, PLUGIN,
    PONTOON, Plugin, PluginCalls, Pontoon, Records, Setup, VETH_PAIR, VethPair, remaps,
};
use crate::ground::{Ground, NETWORK, Site, reason};
use crate::lifecycle::{Case, Ready};
use crate::machine::Machine;
use crate::progress::progress;
use crate::tools::Found;

pub const NO_PORT: &str = "no port";
pub const ONE_PORT: &str = "1 port";
pub const PORTS: &str = "32 ports";
pub const RANGE: &str = "50,000 ports in a range";
pub const NO_PORT_CROWDED: &str = "no port, 1,000 endpoints";
pub const PORTS_CROWDED: &str = "32 ports, 1,000 endpoints";
const CREATE: &str = "no port, --create";
const IN_MEMORY: &str = "1 port, records in memory";

const MANY: u16 = 32;
const RANGE_OPTION: &str = "10000-59999";
const CREATE_OPTION: &str = "--create";
const MEMORY_DIR: &str = "/run/pontoon-bench";
/// A bridge takes 1,023 ports, so the crowd has several; samples go to yet another one.
const CROWD_NETWORKS: u16 = 4;
const CROWD_PER_NETWORK: u16 = 250;
const CROWD_FIRST_PORT: u16 = 20_000;

/// Where the contenders are.
struct Sites {
    alone: Found<Site<Records>>,
    crowd: Found<Site<Records>>,
    memory: Found<Site<Records>>,
    cni: Found<Site<Chain>>,
    netavark: Found<Site<Setup>>,
    hand: Found<Rc<Machine>>,
}

/// In the order of the rows: one figure's together.
pub fn all(ground: &Ground<'_>, rounds: u16) -> Vec<Case> {
    let on = Sites::new(ground);
    let ours = |what, site: &Found<Site<Records>>, options| {
        let site = site.as_ref().map_err(Clone::clone);
        Case::new(
            what,
            PONTOON,
            site.and_then(|site| attaching(site, options, rounds)),
        )
    };
    let mut cases = vec![
        ours(NO_PORT, &on.alone, Vec::new()),
        on.plugin(NO_PORT, 0, rounds),
    ];
    cases.extend(on.peers(NO_PORT, 0, rounds));
    cases.extend(on.floors(rounds));
    for (what, ports) in [(ONE_PORT, 1), (PORTS, MANY)] {
        cases.push(ours(what, &on.alone, publish(ports)));
        cases.push(on.plugin(what, ports, rounds));
        cases.extend(on.peers(what, ports, rounds));
    }
    let range = vec!["-p".to_owned(), RANGE_OPTION.to_owned()];
    cases.extend([
        ours(RANGE, &on.alone, range),
        ours(NO_PORT_CROWDED, &on.crowd, Vec::new()),
        ours(PORTS_CROWDED, &on.crowd, publish(MANY)),
        ours(IN_MEMORY, &on.memory, publish(1)),
        ours(CREATE, &on.alone, vec![CREATE_OPTION.to_owned()]),
    ]);
    cases
}

impl Sites {
    fn new(ground: &Ground<'_>) -> Self {
        progress("attach: setting up");
        let inhabited = |site: Found<Site<Records>>| {
            let site = site?;
            attach_resident(&site, NETWORK, &[]).map_err(reason)?;
            Ok(site)
        };
        Self {
            alone: inhabited(ground.site("alone")),
            crowd: ground
                .site("crowd")
                .and_then(|site| populate(&site).map_err(reason).map(|()| site)),
            memory: inhabited(ground.site_with_records(MEMORY_DIR.into())),
            cni: ground.cni_site("cni"),
            netavark: ground.netavark_site("netavark"),
            hand: hand_made_bridge(ground).map_err(reason),
        }
    }

    /// On the network that `pontoon` itself attaches to.
    fn plugin(&self, what: &'static str, ports: u16, rounds: u16) -> Case {
        let site = self.alone.as_ref().map_err(Clone::clone);
        let calls = site.and_then(|site| {
            let calls = PluginCalls {
                machine: Rc::clone(&site.machine),
                plugin: Plugin::of(&site.tool),
                ports,
            };
            ready(&site.machine, Box::new(calls), rounds)
        });
        Case::new(what, PLUGIN, calls)
    }

    fn peers(&self, what: &'static str, ports: u16, rounds: u16) -> [Case; 2] {
        let cni = self.cni.as_ref().map_err(Clone::clone).and_then(|site| {
            let cni = Cni::new(Rc::clone(&site.machine), site.tool.clone(), ports);
            ready(&site.machine, Box::new(cni), rounds)
        });
        let netavark = self.netavark.as_ref().map_err(Clone::clone);
        let netavark = netavark.and_then(|site| {
            let netavark = Netavark::new(Rc::clone(&site.machine), site.tool.clone(), ports);
            ready(&site.machine, Box::new(netavark), rounds)
        });
        [
            Case::new(what, CNI, cni),
            Case::new(what, NETAVARK, netavark),
        ]
    }

    fn floors(&self, rounds: u16) -> [Case; 3] {
        let floor = |who, contender: fn(Rc<Machine>) -> Box<dyn Contender>| {
            let hand = self.hand.as_ref().map_err(Clone::clone);
            let hand =
                hand.and_then(|machine| ready(machine, contender(Rc::clone(machine)), rounds));
            Case::new(NO_PORT, who, hand)
        };
        [
            floor(COMMANDS, |machine| Box::new(Commands { machine })),
            floor(VETH_PAIR, |machine| Box::new(VethPair { machine })),
            floor(NOTHING, |machine| Box::new(Nothing { machine })),
        ]
    }
}

fn ready(machine: &Machine, contender: Box<dyn Contender>, rounds: u16) -> Found<Ready> {
    let targets = machine.add_targets(rounds).map_err(reason)?;
    Ok((contender, targets))
}

fn attaching(site: &Site<Records>, options: Vec<String>, rounds: u16) -> Found<Ready> {
    let creates = options.iter().any(|option| option == CREATE_OPTION);
    let contender = Box::new(Pontoon {
        machine: Rc::clone(&site.machine),
        records: site.tool.clone(),
        options,
    });
    if creates {
        return Ok((contender, site.machine.name_targets(rounds)));
    }
    ready(&site.machine, contender, rounds)
}

fn publish(ports: u16) -> Vec<String> {
    publish_options(remaps(ports))
}

fn publish_options(remaps: impl Iterator<Item = (u16, u16)>) -> Vec<String> {
    remaps
        .flat_map(|(host, port)| ["-p".to_owned(), format!("{host}:{port}")])
        .collect()
}

fn attach_resident(site: &Site<Records>, network: &str, options: &[String]) -> Result<()> {
    let target = site.machine.add_target()?;
    let mut args = vec!["attach", network, &target.name];
    args.extend(options.iter().map(String::as_str));
    site.pontoon(&args).map(drop)
}

/// 1,000 endpoints with 32 published ports each.
fn populate(site: &Site<Records>) -> Result<()> {
    for number in 0..CROWD_NETWORKS {
        let network = format!("crowd{number}");
        let subnet = format!("10.92.{}.0/22", number * 4);
        site.pontoon(&["network", "create", &network, "--subnet", &subnet])?;
        for place in 0..CROWD_PER_NETWORK {
            let resident = number * CROWD_PER_NETWORK + place;
            progress(&format!("attach: endpoint {resident} of the crowd"));
            let first = CROWD_FIRST_PORT + resident * MANY;
            let ports = (0..MANY).map(|offset| (first + offset, 80 + offset));
            attach_resident(site, &network, &publish_options(ports))?;
        }
    }
    Ok(())
}

fn hand_made_bridge(ground: &Ground<'_>) -> Result<Rc<Machine>> {
    let machine = ground.machine();
    machine.sh("ip link add br0 type bridge
                ip link set br0 up
                ip addr add 10.91.0.1/16 dev br0")?;
    Ok(machine)
}
