//! Every form of a rule that `nft` can write, as nft prints it.

use model::{IfName, Prefix};
use netstate::nft::{
    CtState, CtStatus, EtherType, Expr, Icmpv6Type, Ip6Source, L4proto, MatchOp, NatFamily,
    NftFamily, Right, Statement, Verdict,
};

use super::fixture::prefix;
use NftFamily::{Bridge, Inet};

fn matches(left: &[Expr], op: MatchOp, right: Right) -> Statement {
    let left = left.to_vec();
    Statement::Match { left, op, right }
}

pub fn is(left: Expr, right: Right) -> Statement {
    matches(&[left], MatchOp::Eq, right)
}

pub fn is_not(left: Expr, right: Right) -> Statement {
    matches(&[left], MatchOp::Ne, right)
}

pub fn within(left: &[Expr], set: &str) -> Statement {
    matches(left, MatchOp::Eq, Right::Set(set.into()))
}

fn start(text: &str) -> Right {
    Right::IfnameStart(text.into())
}

fn name(text: &str) -> Right {
    Right::Ifname(text.parse::<IfName>().unwrap())
}

fn net(text: &str) -> Right {
    Right::Prefix(prefix(text))
}

pub fn host(text: &str) -> Right {
    Right::Prefix(Prefix::host(text.parse().unwrap()))
}

fn goto(chain: &str) -> Statement {
    Statement::Verdict(Verdict::Goto(chain.into()))
}

pub const DROP: Statement = Statement::Verdict(Verdict::Drop);
const ACCEPT: Statement = Statement::Verdict(Verdict::Accept);
const COUNTER: Statement = Statement::Counter;

fn dnat(family: NatFamily, key: &[Expr], map: &str) -> Statement {
    Statement::Dnat {
        family,
        key: key.to_vec(),
        map: map.into(),
    }
}

/// Rules that nft prints as they are, each on its own, in a family.
pub fn of_family(family: NftFamily) -> Vec<Vec<Statement>> {
    match family {
        Inet => [inet_rules(), vxlan_rules(), ipip_rules(), rules_of_both()].concat(),
        Bridge => [bridge_rules(), rules_of_both()].concat(),
    }
}

fn inet_rules() -> Vec<Vec<Statement>> {
    use CtState::{Established, Invalid, Related};
    use Expr::{
        CtOriginalIp6Saddr, EtherDaddr, EtherSaddr, FibDaddrType, FibSaddrType, Iifname, Ip6Daddr,
        Ip6Saddr, IpDaddr, IpSaddr, L4proto, Oifname, ThDport,
    };
    let map = Ip6Source::Map {
        key: vec![Iifname],
        map: "gateway6".into(),
    };
    let state = |states: &[CtState]| Right::CtState(states.to_vec());
    let loopback = Ip6Source::Address("::1".parse().unwrap());
    vec![
        vec![within(&[Iifname], "bridges"), goto("next")],
        vec![within(&[Iifname, Oifname], "bridged"), ACCEPT],
        vec![is(IpDaddr, net("127.0.0.0/8")), COUNTER, DROP],
        vec![within(&[Iifname, EtherDaddr], "local"), Statement::Notrack],
        vec![within(&[EtherSaddr], "macs"), is(Ip6Daddr, host("::1"))],
        vec![is(Ip6Daddr, host("::1")), Statement::SetIp6Daddr(map)],
        vec![
            is(CtOriginalIp6Saddr, host("::1")),
            within(&[Iifname], "bridges"),
            Statement::SetIp6Daddr(loopback),
        ],
        vec![is(CtOriginalIp6Saddr, net("fd00::/63"))],
        vec![
            is(Expr::CtStatus, Right::CtStatus(CtStatus::Dnat)),
            is(FibSaddrType, Right::FibLocal),
            ACCEPT,
        ],
        vec![is(FibDaddrType, Right::FibLocal), goto("next")],
        vec![
            is(Expr::CtStatus, Right::CtStatus(CtStatus::Dnat)),
            within(&[IpSaddr, Oifname], "inside4"),
        ],
        vec![
            within(&[IpSaddr], "prefixes4"),
            matches(&[IpDaddr], MatchOp::Ne, Right::Set("prefixes4".into())),
        ],
        vec![within(&[Ip6Saddr], "prefixes6"), COUNTER],
        vec![within(&[L4proto, ThDport], "ports4"), COUNTER],
        vec![within(&[ThDport], "services"), COUNTER],
        vec![is(Expr::CtState, state(&[Established, Related])), ACCEPT],
        vec![is(Expr::CtState, state(&[Invalid])), DROP],
        vec![is_not(Expr::CtState, state(&[Established, Related])), DROP],
        vec![is_not(Expr::CtState, state(&[Invalid])), ACCEPT],
    ]
}

/// Packets of VXLAN, from nodes and from others.
fn vxlan_rules() -> Vec<Vec<Statement>> {
    use Expr::{Ip6Saddr, IpDaddr, IpSaddr, UdpDport, VxlanEtherSaddr, VxlanVni};
    let vni = |number: u32| Right::Vni(number.try_into().unwrap());
    let none_of = |left: Expr, set: &str| matches(&[left], MatchOp::Ne, Right::Set(set.into()));
    let port = || is(UdpDport, Right::Port(4789));
    vec![
        vec![port(), goto("next")],
        vec![is_not(UdpDport, Right::Port(53)), COUNTER],
        vec![is(IpDaddr, host("10.0.0.1")), port(), COUNTER, DROP],
        vec![port(), within(&[IpDaddr], "prefixes4"), COUNTER, DROP],
        vec![is(VxlanVni, vni(1)), COUNTER],
        vec![is_not(VxlanVni, vni(0xff_ffff)), COUNTER],
        vec![is(VxlanVni, vni(42)), none_of(IpSaddr, "prefixes4"), DROP],
        vec![is(VxlanVni, vni(42)), none_of(Ip6Saddr, "prefixes6"), DROP],
        vec![
            port(),
            is(VxlanVni, vni(0x12_3456)),
            none_of(IpSaddr, "prefixes4"),
            COUNTER,
            DROP,
        ],
        vec![
            port(),
            is(VxlanVni, vni(256)),
            none_of(Ip6Saddr, "prefixes6"),
        ],
        vec![is(Ip6Saddr, host("::1")), is(VxlanVni, vni(7)), port()],
        vec![
            is(VxlanVni, vni(42)),
            matches(
                &[IpSaddr, VxlanEtherSaddr],
                MatchOp::Ne,
                Right::Set("sources4".into()),
            ),
            COUNTER,
            DROP,
        ],
        vec![
            is(VxlanVni, vni(42)),
            within(&[Ip6Saddr, VxlanEtherSaddr], "sources6"),
            ACCEPT,
        ],
    ]
}

/// Packets in IP, from nodes and from others.
fn ipip_rules() -> Vec<Vec<Statement>> {
    use Expr::{Iifname, Ip6Daddr, IpDaddr, IpSaddr, L4proto as L4, Oifname};
    let inner = |proto| is(L4, Right::L4proto(proto));
    vec![
        vec![
            is(IpDaddr, host("192.0.2.1")),
            inner(L4proto::Ipv4),
            goto("next"),
        ],
        vec![
            is(IpDaddr, host("192.0.2.1")),
            inner(L4proto::Ipv6),
            goto("next"),
        ],
        vec![
            is(Ip6Daddr, host("2001:db8::1")),
            inner(L4proto::Ipv4),
            COUNTER,
        ],
        vec![
            is(Ip6Daddr, host("2001:db8::1")),
            inner(L4proto::Ipv6),
            DROP,
        ],
        vec![
            inner(L4proto::Ipv4),
            within(&[IpDaddr], "prefixes4"),
            COUNTER,
            DROP,
        ],
        vec![inner(L4proto::Ipv6), within(&[IpDaddr], "prefixes4"), DROP],
        vec![inner(L4proto::Ipv4), within(&[Ip6Daddr], "prefixes6"), DROP],
        vec![inner(L4proto::Ipv6), within(&[Ip6Daddr], "prefixes6"), DROP],
        vec![within(&[IpSaddr, Iifname, Oifname], "remote4"), ACCEPT],
    ]
}

fn bridge_rules() -> Vec<Vec<Statement>> {
    use Expr::{
        ArpSaddrEther, ArpSaddrIp, EtherSaddr, EtherType as Type, Iifname, IpSaddr, NdTarget,
    };
    let advert = is(
        Expr::Icmpv6Type,
        Right::Icmpv6Type(Icmpv6Type::NdNeighborAdvert),
    );
    vec![
        vec![is(Type, Right::EtherType(EtherType::Ip)), goto("next")],
        vec![is(Type, Right::EtherType(EtherType::Arp)), goto("next")],
        vec![is_not(Type, Right::EtherType(EtherType::Ip6)), DROP],
        vec![within(&[Iifname, EtherSaddr, IpSaddr], "addrs4"), ACCEPT],
        vec![within(&[Iifname, EtherSaddr, IpSaddr], "remotes4"), ACCEPT],
        vec![
            within(&[Iifname, EtherSaddr, ArpSaddrIp], "addrs4"),
            within(&[Iifname, ArpSaddrEther, ArpSaddrIp], "addrs4"),
        ],
        vec![is(ArpSaddrIp, host("0.0.0.0")), ACCEPT],
        vec![
            advert,
            within(&[Iifname, EtherSaddr, NdTarget], "targets6"),
            ACCEPT,
        ],
    ]
}

fn rules_of_both() -> Vec<Vec<Statement>> {
    use Expr::{Iifname, Ip6Saddr, IpSaddr};
    let mut rules = vec![
        vec![COUNTER, DROP],
        vec![Statement::Verdict(Verdict::Return)],
        vec![Statement::Verdict(Verdict::Jump("next".into()))],
        vec![is(Iifname, start("pt")), goto("next")],
        vec![is_not(Iifname, start("fourteen-bytes")), COUNTER],
        vec![is(Iifname, name("eth0")), COUNTER],
        vec![is_not(Iifname, name("fifteen-letters")), COUNTER],
        vec![is(Ip6Saddr, host("::")), COUNTER],
        vec![is(Ip6Saddr, net("fd00:1234:5678::/48")), COUNTER],
        vec![is_not(Ip6Saddr, net("fd00::/61")), COUNTER],
        vec![is(IpSaddr, net("10.0.0.0/12")), COUNTER],
        vec![is_not(IpSaddr, net("10.1.0.0/16")), COUNTER],
        vec![is(IpSaddr, net("0.0.0.0/0")), COUNTER],
        vec![is(Expr::L4proto, Right::L4proto(L4proto::Icmpv6)), ACCEPT],
        vec![
            is_not(Expr::L4proto, Right::L4proto(L4proto::Icmpv6)),
            ACCEPT,
        ],
        vec![is_not(Expr::FragOff, Right::FragOffZero), ACCEPT],
        vec![is(Expr::FragExists, Right::Exists), COUNTER, DROP],
        vec![is(Expr::UdpDport, Right::Port(4789)), DROP],
        vec![
            is(Ip6Saddr, host("::1")),
            is(Expr::FragExists, Right::Exists),
        ],
    ];
    let kinds = [
        Icmpv6Type::MldListenerQuery,
        Icmpv6Type::MldListenerReport,
        Icmpv6Type::MldListenerDone,
        Icmpv6Type::NdRouterAdvert,
        Icmpv6Type::NdNeighborSolicit,
        Icmpv6Type::NdNeighborAdvert,
        Icmpv6Type::NdRedirect,
        Icmpv6Type::RouterRenumbering,
        Icmpv6Type::Mld2ListenerReport,
    ];
    rules.extend(kinds.map(|kind| vec![is(Expr::Icmpv6Type, Right::Icmpv6Type(kind)), DROP]));
    rules
}

/// NAT statements stand in NAT chains only.
pub fn of_nat() -> Vec<Vec<Statement>> {
    use Expr::{CtProtocol, Ip6Daddr, Ip6Saddr, IpDaddr, IpSaddr, L4proto, ThDport};
    vec![
        vec![dnat(NatFamily::Ip, &[L4proto, ThDport], "ports4")],
        vec![dnat(
            NatFamily::Ip,
            &[IpDaddr, CtProtocol, ThDport],
            "ranges4",
        )],
        vec![dnat(
            NatFamily::Ip6,
            &[Ip6Daddr, L4proto, ThDport],
            "hostports6",
        )],
        vec![dnat(
            NatFamily::Ip6,
            &[Ip6Daddr, CtProtocol, ThDport],
            "ranges6",
        )],
        vec![within(&[IpSaddr], "prefixes4"), Statement::Masquerade],
        vec![within(&[Ip6Saddr], "prefixes6"), Statement::Masquerade],
    ]
}
