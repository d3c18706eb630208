//! One change of a kernel, and the ordered list of them.

use std::net::IpAddr;

use model::{IfName, Mac, Mtu, PortRange};
use serde::Serialize;

use crate::nft::{Chain, ChainKey, Datum, ElementKey, NftFamily, Rule, SetKey, SetSpec};
use crate::{
    AddressKey, Alias, FdbKey, FloodKey, Link, LinkKey, NeighbourKey, Netns, PortFdbKey, Queue,
    Route, RouteKey, SysctlKey,
};

/// One change. Its `Display` is the command line that does the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A named namespace, marked as ours before it can be seen.
    AddNetns(String, Alias),
    DelNetns(String),
    AddLink(LinkKey, Link),
    DelLink(LinkKey),
    SetLink(LinkKey, LinkChange),
    SetSysctl(SysctlKey, String),
    AddAddress(AddressKey),
    DelAddress(AddressKey),
    /// Adds a neighbour or replaces the one with its key, also one that is not permanent.
    AddNeighbour(NeighbourKey, Mac),
    DelNeighbour(NeighbourKey),
    /// Adds a forwarding entry or leads the one with its key elsewhere.
    AddFdb(FdbKey, IpAddr),
    DelFdb(FdbKey),
    AddFlood(FloodKey),
    DelFlood(FloodKey),
    /// Adds a bridge's entry, or makes it of the one that was learnt.
    AddPortFdb(PortFdbKey),
    DelPortFdb(PortFdbKey),
    /// Adds a route or replaces the one with its key.
    SetRoute(RouteKey, Route),
    DelRoute(RouteKey),
    /// Puts a queue at a device's way out, in place of what is there.
    SetQueue(IfName, Queue),
    DelQueue(IfName),
    /// Leads what comes in by the first device through the way out of the second.
    AddDetour(IfName, IfName),
    DelDetour(IfName),
    AddTable(NftFamily, String),
    DelTable(NftFamily),
    AddSet(SetKey, SetSpec),
    DelSet(SetKey),
    /// The chain alone; its rules are steps of their own.
    AddChain(ChainKey, Chain),
    FlushChain(ChainKey),
    DelChain(ChainKey),
    AddRule(ChainKey, Rule),
    AddElement(ElementKey, Vec<Datum>),
    DelElement(ElementKey),
    /// Ends the connections that connection tracking leads to this address: one whose port is no
    /// longer published would go on, to the next endpoint that has the address.
    ForgetFlows(IpAddr),
    /// Ends the UDP connections to ports of the node that were there before a port was published:
    /// connection tracking would go on to pass by the translation that is new.
    ForgetEarlyFlows(NodePorts),
}

/// Ports at the node's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodePorts {
    /// Unspecified for every address of its family.
    pub bind: IpAddr,
    pub ports: PortRange,
}

/// What changes in place on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkChange {
    Up,
    Mac(Mac),
    Mtu(Mtu),
    Alias(Alias),
    Master(Option<IfName>),
    Hairpin(bool),
    /// See [`crate::Vxlan`].
    Suppress(bool),
}

/// What a step makes or needs: when it fails, what needs it is not tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Netns(String),
    Link(LinkKey),
}

impl Step {
    /// Whether this is one of the steps that are applied together in one nft transaction.
    pub fn is_nft(&self) -> bool {
        matches!(
            self,
            Self::AddTable(..)
                | Self::DelTable(_)
                | Self::AddSet(..)
                | Self::DelSet(_)
                | Self::AddChain(..)
                | Self::FlushChain(_)
                | Self::DelChain(_)
                | Self::AddRule(..)
                | Self::AddElement(..)
                | Self::DelElement(_)
        )
    }

    /// The objects this step makes.
    pub fn makes(&self) -> Vec<Object> {
        match self {
            Self::AddNetns(name, _) => vec![Object::Netns(name.clone())],
            Self::AddLink(key, link) => {
                let mut made = vec![Object::Link(key.clone())];
                made.extend(link.peer().map(|peer| Object::Link(peer.at.clone())));
                made
            }
            _ => Vec::new(),
        }
    }

    /// The objects without which this step can't succeed.
    pub fn needs(&self) -> Vec<Object> {
        match self {
            Self::AddLink(_, link) => {
                let master = link.master().cloned().map(LinkKey::on_node);
                let netns = link.peer().and_then(|peer| netns_object(&peer.at.netns));
                master.map(Object::Link).into_iter().chain(netns).collect()
            }
            Self::SetLink(key, _) => vec![Object::Link(key.clone())],
            Self::SetSysctl(key, _) => {
                let link = |name: &IfName| LinkKey {
                    netns: key.netns.clone(),
                    name: name.clone(),
                };
                key.device()
                    .map(|name| Object::Link(link(name)))
                    .into_iter()
                    .collect()
            }
            Self::AddAddress(key) => vec![Object::Link(key.link.clone())],
            Self::AddNeighbour(key, _) => vec![Object::Link(key.link())],
            Self::AddFdb(key, _) => vec![Object::Link(key.link())],
            Self::AddFlood(key) => vec![Object::Link(key.link())],
            Self::AddPortFdb(key) => vec![Object::Link(key.link())],
            Self::SetRoute(key, route) => route.link(key).into_iter().map(Object::Link).collect(),
            Self::SetQueue(dev, _) => vec![Object::Link(LinkKey::on_node(dev.clone()))],
            Self::AddDetour(dev, through) => [dev, through]
                .map(|name| Object::Link(LinkKey::on_node(name.clone())))
                .into(),
            _ => Vec::new(),
        }
    }
}

fn netns_object(netns: &Netns) -> Option<Object> {
    match netns {
        Netns::Target(model::Target::Named(name)) => Some(Object::Netns(name.clone())),
        Netns::Target(_) | Netns::Node => None,
    }
}

/// Steps in the order in which they are applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub steps: Vec<Step>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// This plan, and then another.
    #[must_use]
    pub fn then(mut self, more: Plan) -> Plan {
        self.steps.extend(more.steps);
        self
    }

    /// Each step as its command line.
    pub fn lines(&self) -> Vec<String> {
        self.steps.iter().map(ToString::to_string).collect()
    }
}

impl Serialize for Plan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.lines())
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
