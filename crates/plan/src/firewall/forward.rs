//! Of `inet pontoon`: what is forwarded, in a network and between networks.

use model::{Family, IfName};
use netstate::nft::{ADMIN_CHAIN, CtState, CtStatus, Expr, Right, Rule};

use super::rules::{ACCEPT, COUNTER, DROP, goto, is, jump, rule, set};
use super::{Crossing, NAMES, Passage};

/// A network is open to itself, over its nodes too, and where `br_netfilter` shows us what is
/// bridged.
pub(super) fn forward(crossing: &Crossing) -> Vec<Rule> {
    let mut rules = match crossing.few_passages() {
        Some(few) => few.iter().flat_map(passage).collect(),
        None => Vec::from_iter(to_remote().into_iter().chain(from_remote())),
    };
    rules.extend(same(crossing));
    rules.extend(by_device(crossing, Expr::Iifname, "networks"));
    rules.extend(by_device(crossing, Expr::Oifname, "networks"));
    rules
}

fn same(crossing: &Crossing) -> Vec<Rule> {
    let pair = |(iif, oif): &(IfName, IfName)| {
        let at = |expr: Expr, name: &IfName| is([expr], Right::Ifname(name.clone()));
        rule([at(Expr::Iifname, iif), at(Expr::Oifname, oif), ACCEPT])
    };
    match crossing.few_pairs() {
        Some(few) => few.iter().map(pair).collect(),
        None => {
            let pair = [Expr::Iifname, Expr::Oifname];
            vec![rule([is(pair, set(NAMES.bridged)), ACCEPT])]
        }
    }
}

/// Both ways between a bridge and the same network's subnets on other nodes. The whole prefix keeps
/// networks apart whose packets cross by one device.
fn passage(passage: &Passage) -> [Rule; 2] {
    let (saddr, daddr, elsewhere) = match passage.whole.family() {
        Family::Ipv4 => (Expr::IpSaddr, Expr::IpDaddr, NAMES.elsewhere4),
        Family::Ipv6 => (Expr::Ip6Saddr, Expr::Ip6Daddr, NAMES.elsewhere6),
    };
    let (bridge, device) = (&passage.bridge, &passage.device);
    [(bridge, device, daddr), (device, bridge, saddr)].map(|(iif, oif, address)| {
        rule([
            is([Expr::Iifname], Right::Ifname(iif.clone())),
            is([Expr::Oifname], Right::Ifname(oif.clone())),
            is([address], Right::Prefix(passage.whole)),
            is([address], set(elsewhere)),
            ACCEPT,
        ])
    })
}

/// From a bridge to the same network's subnets on other nodes.
fn to_remote() -> [Rule; 2] {
    let to = |daddr: Expr, remote| {
        let way = [daddr, Expr::Oifname, Expr::Iifname];
        rule([is(way, set(remote)), ACCEPT])
    };
    [
        to(Expr::IpDaddr, NAMES.remote4),
        to(Expr::Ip6Daddr, NAMES.remote6),
    ]
}

/// The way back.
fn from_remote() -> [Rule; 2] {
    let from = |saddr: Expr, remote| {
        let way = [saddr, Expr::Iifname, Expr::Oifname];
        rule([is(way, set(remote)), ACCEPT])
    };
    [
        from(Expr::IpSaddr, NAMES.remote4),
        from(Expr::Ip6Saddr, NAMES.remote6),
    ]
}

/// One rule for each device while they are few.
pub(super) fn by_device(crossing: &Crossing, at: Expr, to: &str) -> Vec<Rule> {
    let leads = |devices: Right| rule([is([at], devices), goto(to)]);
    match crossing.few_devices() {
        Some(few) => few.iter().cloned().map(Right::Ifname).map(leads).collect(),
        None => vec![leads(set(NAMES.bridges))],
    }
}

/// What is forwarded between a network and anything else. The administrator has the first word;
/// then internal networks are closed, and the others open to the outside, to answers and to what
/// was published.
pub(super) fn networks(crossing: &Crossing) -> Vec<Rule> {
    let state = |states: &[CtState]| is([Expr::CtState], Right::CtState(states.to_vec()));
    let drop_at = |expr: Expr, name: &str| rule([is([expr], set(name)), COUNTER, DROP]);
    let mut rules = vec![rule([jump(ADMIN_CHAIN)])];
    if crossing.internal {
        rules.push(drop_at(Expr::Iifname, NAMES.internal));
        rules.push(drop_at(Expr::Oifname, NAMES.internal));
    }
    rules.extend([
        rule([state(&[CtState::Invalid]), COUNTER, DROP]),
        rule([state(&[CtState::Established, CtState::Related]), ACCEPT]),
        rule([
            is([Expr::CtStatus], Right::CtStatus(CtStatus::Dnat)),
            ACCEPT,
        ]),
        drop_at(Expr::Oifname, NAMES.bridges),
    ]);
    rules
}
