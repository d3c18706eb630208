//! What a step says of the state it mends: one sentence for a person.

use std::collections::BTreeSet;

use crate::nft::{ChainKey, NftFamily, SetKey};
use crate::{LinkChange, LinkKey, LinkKind, Netns, Object, Plan, Route, RouteKey, Step};

impl Plan {
    /// What was wrong, each thing once and in the order of the plan: of a table or a device that
    /// was missing, not also all that belongs in or on it.
    pub fn findings(&self) -> Vec<String> {
        let made = Made::of(self);
        let telling = self.steps.iter().filter(|step| !made.implies(step));
        let mut said = BTreeSet::new();
        let findings = telling.map(Step::finding);
        findings
            .filter(|finding| said.insert(finding.clone()))
            .collect()
    }
}

/// What a plan makes or empties as a whole.
#[derive(Default)]
struct Made<'a> {
    objects: BTreeSet<Object>,
    tables: BTreeSet<NftFamily>,
    sets: BTreeSet<&'a SetKey>,
    chains: BTreeSet<&'a ChainKey>,
}

impl<'a> Made<'a> {
    fn of(plan: &'a Plan) -> Self {
        let mut made = Self::default();
        for step in &plan.steps {
            made.objects.extend(step.makes());
            match step {
                Step::AddTable(family, _) => {
                    made.tables.insert(*family);
                }
                Step::AddSet(key, _) => {
                    made.sets.insert(key);
                }
                Step::AddChain(key, _) | Step::FlushChain(key) => {
                    made.chains.insert(key);
                }
                _ => {}
            }
        }
        made
    }

    fn implies(&self, step: &Step) -> bool {
        match step {
            Step::AddSet(key, _) => self.tables.contains(&key.family),
            Step::AddChain(key, _) | Step::FlushChain(key) => self.tables.contains(&key.family),
            Step::AddRule(key, _) => self.tables.contains(&key.family) || self.chains.contains(key),
            Step::AddElement(key, _) => {
                self.tables.contains(&key.set.family) || self.sets.contains(&key.set)
            }
            Step::AddLink(..) => false,
            // They only go with elements that are gone, or new.
            Step::ForgetFlows(_) | Step::ForgetEarlyFlows(_) => true,
            step => step
                .needs()
                .iter()
                .any(|object| self.objects.contains(object)),
        }
    }
}

impl Step {
    /// What was wrong, seen from the records, that this step puts right.
    pub fn finding(&self) -> String {
        match self {
            Self::AddNetns(name, _) => format!("namespace {name} was missing"),
            Self::DelNetns(name) => format!("namespace {name} was left over"),
            Self::AddLink(key, link) => match link.kind {
                LinkKind::Bridge => format!("bridge {} was missing", key.name),
                LinkKind::Veth { .. }
                | LinkKind::Vxlan(_)
                | LinkKind::Tunnel(_)
                | LinkKind::Ifb => {
                    format!("device {} ({}) was missing", key.name, link.alias.purpose)
                }
            },
            Self::DelLink(key) => format!("device {} was left over or not as recorded", key.name),
            Self::SetLink(key, change) => link_finding(key, change),
            Self::SetSysctl(key, value) => format!("{key}{} was not {value}", at(&key.netns)),
            Self::AddAddress(key) => {
                format!(
                    "{} was missing its address {}",
                    device(&key.link),
                    key.address
                )
            }
            Self::DelAddress(key) => {
                format!("{} had the address {}", device(&key.link), key.address)
            }
            Self::AddNeighbour(..)
            | Self::DelNeighbour(_)
            | Self::AddFdb(..)
            | Self::DelFdb(_)
            | Self::AddFlood(_)
            | Self::DelFlood(_)
            | Self::AddPortFdb(_)
            | Self::DelPortFdb(_) => self.entry_finding(),
            Self::SetRoute(key, route) => route_finding(key, route),
            Self::DelRoute(key) => {
                let (to, at) = (key.destination, at(&key.netns));
                format!("the route to {to}{at} was left over")
            }
            Self::SetQueue(dev, queue) => format!("{dev} did not keep to {}", queue.rate),
            Self::DelQueue(dev) => format!("{dev} had a queue that is not recorded"),
            Self::AddDetour(dev, through) => {
                format!("what comes in by {dev} did not wait at {through}")
            }
            Self::DelDetour(dev) => format!("what comes in by {dev} was led elsewhere"),
            Self::ForgetFlows(address) => {
                format!("connections to {address} may have outlived their published port")
            }
            Self::ForgetEarlyFlows(at) => {
                format!(
                    "connections to port {} may be older than its publication",
                    at.ports
                )
            }
            nft => nft.nft_finding(),
        }
    }

    fn entry_finding(&self) -> String {
        match self {
            Self::AddNeighbour(key, _) => {
                format!("{} lacked the MAC of {}", key.dev, key.address)
            }
            Self::DelNeighbour(key) => {
                format!("{} had a MAC for {}", key.dev, key.address)
            }
            Self::AddFdb(key, remote) => {
                format!("{} did not lead {} to {remote}", key.dev, key.mac)
            }
            Self::DelFdb(key) => format!("{} led {} to a node", key.dev, key.mac),
            Self::AddFlood(key) => format!("{} did not flood to {}", key.dev, key.remote),
            Self::DelFlood(key) => format!("{} flooded to {}", key.dev, key.remote),
            Self::AddPortFdb(key) => format!("{} was not known behind {}", key.mac, key.port),
            Self::DelPortFdb(key) => format!("{} was taken to be behind {}", key.mac, key.port),
            _ => String::new(),
        }
    }

    fn nft_finding(&self) -> String {
        match self {
            Self::AddTable(family, _) => format!("nft table {family} was missing"),
            Self::DelTable(family) => format!("nft table {family} was left over or outdated"),
            Self::AddSet(key, _) => format!("nft set {} {} was missing", key.family, key.name),
            Self::DelSet(key) => format!("nft set {} {} was left over", key.family, key.name),
            Self::AddChain(key, _) => format!("nft chain {} {} was missing", key.family, key.name),
            Self::FlushChain(key) => {
                format!("nft chain {} {} had other rules", key.family, key.name)
            }
            Self::DelChain(key) => format!("nft chain {} {} was left over", key.family, key.name),
            Self::AddRule(key, _) => format!("nft chain {} {} lacked a rule", key.family, key.name),
            Self::AddElement(key, _) => {
                format!(
                    "nft set {} {} lacked an element",
                    key.set.family, key.set.name
                )
            }
            Self::DelElement(key) => {
                format!(
                    "nft set {} {} had a wrong element",
                    key.set.family, key.set.name
                )
            }
            _ => String::new(),
        }
    }
}

fn at(netns: &Netns) -> String {
    match netns {
        Netns::Node => String::new(),
        Netns::Target(target) => format!(" in {target}"),
    }
}

fn device(key: &LinkKey) -> String {
    format!("{}{}", key.name, at(&key.netns))
}

fn route_finding(key: &RouteKey, route: &Route) -> String {
    let (to, at) = (key.destination, at(&key.netns));
    match route {
        Route::Leads(way) => format!("the route to {to} by {}{at} was missing", way.dev),
        Route::Unreachable => format!("{to} was not unreachable{at} where no route leads"),
    }
}

fn link_finding(key: &LinkKey, change: &LinkChange) -> String {
    let device = device(key);
    match change {
        LinkChange::Up => format!("{device} was down"),
        LinkChange::Mac(mac) => format!("{device} had another MAC than {mac}"),
        LinkChange::Mtu(mtu) => format!("{device} had another MTU than {mtu}"),
        LinkChange::Alias(_) => format!("{device} had another alias"),
        LinkChange::Master(Some(master)) => format!("{device} was no port of {master}"),
        LinkChange::Master(None) => format!("{device} was a port of another bridge"),
        LinkChange::Hairpin(true) => format!("{device} had hairpin off"),
        LinkChange::Hairpin(false) => format!("{device} had hairpin on"),
        LinkChange::Suppress(true) => format!("{device} had neigh_suppress off"),
        LinkChange::Suppress(false) => format!("{device} had neigh_suppress on"),
    }
}
