//! Following one flow through the firewall: the table that marks its packets, and what every
//! chain said of them.
//!
//! The table is no part of a desired state. It belongs to the socket that made it (`flags owner`,
//! nft(8)) and goes with it, whatever ends its process.

mod finding;

use std::fmt;
use std::net::IpAddr;

use model::Family;
use serde::Serialize;

use crate::nft::{HookPoint, NftFamily};

pub use finding::{Finding, finding, first_each_way};

/// What a probe is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeProto {
    /// An echo request of ICMP or ICMPv6 (RFC 792, RFC 4443 section 4.1).
    Echo,
    /// The first packet of a connection to this port.
    Tcp(u16),
    /// A datagram to this port.
    Udp(u16),
}

/// Packets of one sender, and what answers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracedFlow {
    pub family: Family,
    pub proto: ProbeProto,
    pub by: KnownBy,
}

/// What a flow's packets have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// What its sender chose, and address translation leaves alone where it can: a port, or the
    /// identifier of echo requests.
    Tag(u16),
    /// Its sender, who is somewhere else: of its own packets those to the protocol's port, and all
    /// that goes to it by the protocol.
    Sender(IpAddr),
}

/// Before all other chains of a hook, or behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    First,
    Last,
}

impl Place {
    /// In front of defragmentation (-400), and behind source translation (100; 300 in bridges)
    /// and whatever people add (`enum nf_ip_hook_priorities`, linux/netfilter_ipv4.h).
    pub fn priority(self) -> i32 {
        match self {
            Self::First => -450,
            Self::Last => 1000,
        }
    }
}

/// One of the table's chains. All accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceChain {
    pub family: NftFamily,
    pub point: HookPoint,
    pub place: Place,
}

impl TraceChain {
    pub fn name(self) -> String {
        let place = match self.place {
            Place::First => "first",
            Place::Last => "last",
        };
        format!("{place}-{}", self.point)
    }
}

/// What marks a packet as one of the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceMatch {
    /// Its protocol, and these bytes at this offset behind the IP header.
    Transport { offset: u32, value: u16 },
    /// Its protocol, and who it is from and to which port, where the protocol has ports.
    From(IpAddr, Option<u16>),
    /// Its protocol, and who it is for.
    To(IpAddr),
}

const SOURCE_PORT: u32 = 0;
/// In bytes behind the IP header.
pub const DESTINATION_PORT: u32 = 2;
const ECHO_IDENTIFIER: u32 = 4;

impl TraceMatch {
    /// As nft(8) writes it.
    fn text(self, proto: &str) -> String {
        let ip = |address: IpAddr| match address {
            IpAddr::V4(_) => "ip",
            IpAddr::V6(_) => "ip6",
        };
        match self {
            Self::Transport { offset, value } => match offset {
                SOURCE_PORT => format!("meta l4proto {proto} th sport {value}"),
                DESTINATION_PORT => format!("meta l4proto {proto} th dport {value}"),
                offset => format!("meta l4proto {proto} @th,{},16 {value:#x}", offset * 8),
            },
            Self::From(address, port) => {
                let port = port.map_or(String::new(), |port| format!(" th dport {port}"));
                format!("{} saddr {address} meta l4proto {proto}{port}", ip(address))
            }
            Self::To(address) => {
                format!("{} daddr {address} meta l4proto {proto}", ip(address))
            }
        }
    }
}

/// A step to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceStep {
    Table(NftFamily),
    Chain(TraceChain),
    Mark(TraceChain, TraceMatch),
}

/// What the names of these tables begin with.
pub const TABLE_START: &str = "pontoon-trace-";

/// The table for one flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracePlan {
    /// Its name in both families.
    pub table: String,
    pub flow: TracedFlow,
}

impl TracePlan {
    /// For the process with this number: each has a table of its own.
    pub fn new(pid: u32, flow: TracedFlow) -> Self {
        let table = format!("{TABLE_START}{pid}");
        Self { table, flow }
    }

    /// Where packets enter they are marked; where they leave, the last chain tells that they came
    /// so far.
    pub fn steps(&self) -> Vec<TraceStep> {
        use HookPoint::{Forward, Input, Output, Postrouting, Prerouting};
        let mut steps = Vec::new();
        for family in [NftFamily::Bridge, NftFamily::Inet] {
            steps.push(TraceStep::Table(family));
            for point in [Prerouting, Output] {
                let place = Place::First;
                let chain = TraceChain {
                    family,
                    point,
                    place,
                };
                steps.push(TraceStep::Chain(chain));
                steps.extend(self.matches().map(|what| TraceStep::Mark(chain, what)));
            }
            steps.extend([Input, Forward, Postrouting].map(|point| {
                let place = Place::Last;
                TraceStep::Chain(TraceChain {
                    family,
                    point,
                    place,
                })
            }));
        }
        steps
    }

    fn matches(&self) -> impl Iterator<Item = TraceMatch> {
        let port = match self.flow.proto {
            ProbeProto::Echo => None,
            ProbeProto::Tcp(port) | ProbeProto::Udp(port) => Some(port),
        };
        let transport = |offset, value| TraceMatch::Transport { offset, value };
        match (self.flow.by, port) {
            (KnownBy::Tag(tag), None) => vec![transport(ECHO_IDENTIFIER, tag)],
            (KnownBy::Tag(tag), Some(_)) => {
                vec![
                    transport(SOURCE_PORT, tag),
                    transport(DESTINATION_PORT, tag),
                ]
            }
            (KnownBy::Sender(sender), port) => {
                vec![TraceMatch::From(sender, port), TraceMatch::To(sender)]
            }
        }
        .into_iter()
    }

    /// The number of the protocol over IP (IANA, Protocol Numbers).
    pub fn l4proto(&self) -> u8 {
        match (self.flow.proto, self.flow.family) {
            (ProbeProto::Echo, Family::Ipv4) => 1,
            (ProbeProto::Echo, Family::Ipv6) => 58,
            (ProbeProto::Tcp(_), _) => 6,
            (ProbeProto::Udp(_), _) => 17,
        }
    }

    /// The lines that a person would type into one `nft -i`.
    pub fn lines(&self) -> Vec<String> {
        self.steps().iter().map(|step| self.line(step)).collect()
    }

    fn line(&self, step: &TraceStep) -> String {
        let table = &self.table;
        match step {
            TraceStep::Table(family) => {
                format!("nft add table {family} {table} {{ flags owner ; }}")
            }
            TraceStep::Chain(chain) => format!(
                "nft add chain {} {table} {} {{ type filter hook {} priority {} ; policy accept ; }}",
                chain.family,
                chain.name(),
                chain.point,
                chain.place.priority()
            ),
            TraceStep::Mark(chain, what) => {
                let proto = match self.l4proto() {
                    1 => "icmp",
                    6 => "tcp",
                    17 => "udp",
                    _ => "ipv6-icmp",
                };
                format!(
                    "nft add rule {} {table} {} {} meta nftrace set 1",
                    chain.family,
                    chain.name(),
                    what.text(proto)
                )
            }
        }
    }
}

/// Which way a packet of the flow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Heading {
    There,
    Back,
}

/// What a chain did to a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceVerdict {
    Accept,
    Drop,
    /// On to the next rule.
    Continue,
    Return,
    Jump(String),
    Goto(String),
    /// Given to a program, stolen, or what no kernel has yet.
    Other(i32),
}

impl fmt::Display for TraceVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Continue => f.write_str("continue"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
            Self::Other(code) => write!(f, "verdict {code}"),
        }
    }
}

/// What in a chain decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceBy {
    /// The rule with this handle, and its text where it can be read.
    Rule(u64, Option<String>),
    /// The chain's policy: no rule did.
    Policy,
    /// The end of a chain that was jumped to.
    End,
}

/// Where one packet was, and what was said of it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sighting {
    pub heading: Heading,
    /// As the packet was when the hook began; translation changes it behind.
    pub source: Option<IpAddr>,
    pub destination: Option<IpAddr>,
    /// The devices that it came by and leaves by, as far as they are known there.
    pub input: Option<String>,
    pub output: Option<String>,
    pub family: String,
    pub table: String,
    pub chain: String,
    pub by: TraceBy,
    pub verdict: TraceVerdict,
}

impl Sighting {
    /// The hook, where a chain of the tracing table itself saw it.
    pub fn passage(&self, plan: &TracePlan) -> Option<TraceChain> {
        if self.table != plan.table {
            return None;
        }
        let chains = plan.steps().into_iter().filter_map(|step| match step {
            TraceStep::Chain(chain) => Some(chain),
            _ => None,
        });
        let is_it = |chain: &TraceChain| {
            chain.name() == self.chain && chain.family.to_string() == self.family
        };
        chains.into_iter().find(is_it)
    }
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Answered,
    /// The other side said that nothing takes it: a reset, or port unreachable.
    Refused,
    /// Its sender's kernel could not send it, or was told so on the way; in the kernel's words.
    Unreachable(String),
    Silence,
    /// Somebody else sent it, who alone knows what came back.
    NotOurs,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(proto: ProbeProto, family: Family) -> TracePlan {
        let by = KnownBy::Tag(40001);
        let flow = TracedFlow { family, proto, by };
        TracePlan::new(7, flow)
    }

    #[test]
    fn ports_are_looked_for_on_either_side() {
        let lines = plan(ProbeProto::Tcp(80), Family::Ipv4).lines();
        let rules: Vec<_> = lines
            .iter()
            .filter(|l| l.contains("add rule inet"))
            .collect();
        assert_eq!(rules.len(), 4, "{lines:#?}");
        assert_eq!(
            rules[0],
            "nft add rule inet pontoon-trace-7 first-prerouting meta l4proto tcp th sport 40001 meta nftrace set 1"
        );
        assert!(rules[1].contains("th dport 40001"));
    }

    #[test]
    fn an_echo_has_one_identifier_both_ways() {
        let lines = plan(ProbeProto::Echo, Family::Ipv6).lines();
        let rules: Vec<_> = lines
            .iter()
            .filter(|l| l.contains("add rule bridge"))
            .collect();
        assert_eq!(rules.len(), 2, "{lines:#?}");
        assert!(rules[0].contains("meta l4proto ipv6-icmp @th,32,16 0x9c41"));
    }

    #[test]
    fn an_outsider_is_known_by_its_address() {
        let flow = TracedFlow {
            family: Family::Ipv6,
            proto: ProbeProto::Udp(53),
            by: KnownBy::Sender("2001:db8::7".parse().unwrap()),
        };
        let lines = TracePlan::new(7, flow).lines();
        let has = |rule: &str| lines.iter().any(|line| line.contains(rule));
        assert!(
            has("ip6 saddr 2001:db8::7 meta l4proto udp th dport 53 meta nftrace set 1"),
            "{lines:#?}"
        );
        assert!(
            has("first-output ip6 daddr 2001:db8::7 meta l4proto udp meta nftrace set 1"),
            "{lines:#?}"
        );
    }
}
