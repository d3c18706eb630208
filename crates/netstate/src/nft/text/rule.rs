//! Rules as nft prints them.

use model::Prefix;

use super::concat;
use crate::nft::{
    CtState, CtStatus, EtherType, Expr, Icmpv6Type, Ip6Source, L4proto, MatchOp, NatFamily, Right,
    Statement, Verdict,
};

pub(super) fn rule(statements: &[Statement]) -> String {
    statements
        .iter()
        .map(statement)
        .collect::<Vec<_>>()
        .join(" ")
}

fn statement(statement: &Statement) -> String {
    match statement {
        Statement::Match {
            left,
            op: relation,
            right,
        } => {
            let op = match relation {
                MatchOp::Eq => "",
                MatchOp::Ne => "!= ",
            };
            format!("{} {op}{}", exprs(left), right_side(right, *relation))
        }
        Statement::Counter => "counter".to_owned(),
        Statement::Verdict(verdict) => verdict_text(verdict),
        Statement::Dnat { family, key, map } => {
            let family = match family {
                NatFamily::Ip => "ip",
                NatFamily::Ip6 => "ip6",
            };
            format!("dnat {family} to {} map @{map}", exprs(key))
        }
        Statement::SetIp6Daddr(Ip6Source::Address(address)) => format!("ip6 daddr set {address}"),
        Statement::SetIp6Daddr(Ip6Source::Map { key, map }) => {
            format!("ip6 daddr set {} map @{map}", exprs(key))
        }
        Statement::Masquerade => "masquerade".to_owned(),
        Statement::Notrack => "notrack".to_owned(),
        Statement::Foreign(text) => text.clone(),
    }
}

fn verdict_text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Return => "return".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
    }
}

fn exprs(exprs: &[Expr]) -> String {
    concat(exprs, |e| expr(*e).to_owned())
}

fn expr(expr: Expr) -> &'static str {
    match expr {
        Expr::Iifname => "iifname",
        Expr::Oifname => "oifname",
        Expr::EtherSaddr => "ether saddr",
        Expr::EtherDaddr => "ether daddr",
        Expr::EtherType => "ether type",
        Expr::IpSaddr => "ip saddr",
        Expr::IpDaddr => "ip daddr",
        Expr::Ip6Saddr => "ip6 saddr",
        Expr::Ip6Daddr => "ip6 daddr",
        Expr::ArpSaddrEther => "arp saddr ether",
        Expr::ArpSaddrIp => "arp saddr ip",
        Expr::Icmpv6Type => "icmpv6 type",
        Expr::NdTarget => "@th,64,128",
        Expr::L4proto => "meta l4proto",
        Expr::ThDport => "th dport",
        Expr::UdpDport => "udp dport",
        Expr::VxlanVni => "@th,96,24",
        Expr::VxlanEtherSaddr => "@th,176,48",
        Expr::FragOff => "frag frag-off",
        Expr::FragExists => "exthdr frag",
        Expr::CtState => "ct state",
        Expr::CtStatus => "ct status",
        Expr::CtProtocol => "ct protocol",
        Expr::CtOriginalIp6Saddr => "ct original ip6 saddr",
        Expr::FibSaddrType => "fib saddr type",
        Expr::FibDaddrType => "fib daddr type",
    }
}

fn right_side(right: &Right, op: MatchOp) -> String {
    match right {
        Right::Set(name) => format!("@{name}"),
        Right::Ifname(name) => format!("\"{name}\""),
        Right::IfnameStart(start) => format!("\"{start}*\""),
        Right::Prefix(prefix) => prefix_text(*prefix),
        Right::EtherType(kind) => match kind {
            EtherType::Ip => "ip",
            EtherType::Arp => "arp",
            EtherType::Ip6 => "ip6",
        }
        .to_owned(),
        Right::Icmpv6Type(kind) => match kind {
            Icmpv6Type::MldListenerQuery => "mld-listener-query",
            Icmpv6Type::MldListenerReport => "mld-listener-report",
            Icmpv6Type::MldListenerDone => "mld-listener-done",
            Icmpv6Type::NdRouterAdvert => "nd-router-advert",
            Icmpv6Type::NdNeighborSolicit => "nd-neighbor-solicit",
            Icmpv6Type::NdNeighborAdvert => "nd-neighbor-advert",
            Icmpv6Type::NdRedirect => "nd-redirect",
            Icmpv6Type::RouterRenumbering => "router-renumbering",
            Icmpv6Type::Mld2ListenerReport => "mld2-listener-report",
        }
        .to_owned(),
        Right::CtState(states) => states
            .iter()
            .map(|s| ct_state(*s))
            .collect::<Vec<_>>()
            // Any of them, but not exactly all of them.
            .join(match op {
                MatchOp::Eq => ",",
                MatchOp::Ne => " | ",
            }),
        Right::CtStatus(CtStatus::Dnat) => "dnat".to_owned(),
        Right::FibLocal => "local".to_owned(),
        Right::L4proto(proto) => match proto {
            L4proto::Icmpv6 => "ipv6-icmp",
            L4proto::Ipv4 => "ipencap",
            L4proto::Ipv6 => "ipv6",
        }
        .to_owned(),
        Right::Port(port) => port.to_string(),
        Right::Vni(vni) => format!("0x{:x}", vni.number()),
        Right::FragOffZero => "0".to_owned(),
        Right::Exists => "exists".to_owned(),
    }
}

fn ct_state(state: CtState) -> &'static str {
    match state {
        CtState::Invalid => "invalid",
        CtState::Established => "established",
        CtState::Related => "related",
    }
}

/// A host prefix prints as its address.
fn prefix_text(prefix: Prefix) -> String {
    if prefix == Prefix::host(prefix.address()) {
        prefix.address().to_string()
    } else {
        prefix.to_string()
    }
}
