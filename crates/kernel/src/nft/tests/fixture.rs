//! A state with every form that `nft` can write, in both families. Its rules are in `rules`.

use model::{PortRange, Prefix};
use netstate::nft::{
    ADMIN_CHAIN, Chain, ChainKey, Datum, DatumType, ElementKey, Hook, HookPoint, HookType, Item,
    NftFamily, NftName, Rule, Rules, SetKey, SetSpec, Statement,
};
use netstate::{KernelState, Step};

use super::rules;
use NftFamily::{Bridge, Inet};

pub fn set_key(family: NftFamily, name: &str) -> SetKey {
    SetKey {
        family,
        name: name.into(),
    }
}

pub fn chain_key(family: NftFamily, name: &str) -> ChainKey {
    ChainKey {
        family,
        name: name.into(),
    }
}

pub fn ifname(name: &str) -> Datum {
    Datum::Ifname(name.parse().unwrap())
}

pub fn ip(text: &str) -> Datum {
    Datum::address(text.parse().unwrap())
}

pub fn port(number: u16) -> Datum {
    Datum::InetService(number)
}

pub fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

/// Every set: its name, key, data, whether it is of ranges, and elements.
type SetRow = (
    NftFamily,
    &'static str,
    &'static [DatumType],
    &'static [DatumType],
    bool,
);

const SETS: [SetRow; 21] = {
    use DatumType::{
        EtherAddr, Ifname, InetProto, InetService, Ipv4Addr, Ipv6Addr, NdTarget, VxlanEtherSaddr,
    };
    [
        (Inet, "bridges", &[Ifname], &[], false),
        (Inet, "bridged", &[Ifname, Ifname], &[], false),
        (Inet, "local", &[Ifname, EtherAddr], &[], false),
        (Inet, "macs", &[EtherAddr], &[], false),
        (Inet, "prefixes4", &[Ipv4Addr], &[], true),
        (Inet, "prefixes6", &[Ipv6Addr], &[], true),
        (Inet, "services", &[InetService], &[], true),
        (Inet, "inside4", &[Ipv4Addr, Ifname], &[], true),
        (Inet, "remote4", &[Ipv4Addr, Ifname, Ifname], &[], true),
        (Inet, "sources4", &[Ipv4Addr, VxlanEtherSaddr], &[], true),
        (Inet, "sources6", &[Ipv6Addr, VxlanEtherSaddr], &[], true),
        (Inet, "gateway6", &[Ifname], &[Ipv6Addr], false),
        (
            Inet,
            "ports4",
            &[InetProto, InetService],
            &[Ipv4Addr, InetService],
            false,
        ),
        (
            Inet,
            "hostports6",
            &[Ipv6Addr, InetProto, InetService],
            &[Ipv6Addr, InetService],
            false,
        ),
        (
            Inet,
            "ranges4",
            &[Ipv4Addr, InetProto, InetService],
            &[Ipv4Addr],
            true,
        ),
        (
            Inet,
            "ranges6",
            &[Ipv6Addr, InetProto, InetService],
            &[Ipv6Addr],
            true,
        ),
        (Bridge, "addrs4", &[Ifname, EtherAddr, Ipv4Addr], &[], false),
        (Bridge, "claims6", &[Ifname, NdTarget], &[Ipv6Addr], false),
        (
            Bridge,
            "targets6",
            &[Ifname, EtherAddr, NdTarget],
            &[],
            false,
        ),
        (
            Bridge,
            "remotes4",
            &[Ifname, EtherAddr, Ipv4Addr],
            &[],
            true,
        ),
        (
            Bridge,
            "remotetargets6",
            &[Ifname, EtherAddr, NdTarget],
            &[],
            true,
        ),
    ]
};

/// Every element: its set, key and data, written as nft does but for quotes and names.
const ELEMENTS: [(NftFamily, &str, &str, &str); 30] = [
    (Inet, "bridges", "brA", ""),
    (Inet, "bridges", "fifteen-letters", ""),
    (Inet, "bridged", "brA . brA", ""),
    (Inet, "local", "brA . 02:70:0a:01:00:02", ""),
    (Inet, "macs", "02:70:0a:01:00:02", ""),
    (Inet, "prefixes4", "10.1.0.0/24", ""),
    (Inet, "prefixes4", "10.1.1.0/24", ""),
    (Inet, "prefixes4", "10.9.9.9", ""),
    (Inet, "prefixes4", "240.0.0.0/4", ""),
    (Inet, "prefixes6", "fd00:a::/64", ""),
    (Inet, "prefixes6", "fd00:b::/63", ""),
    (Inet, "services", "80", ""),
    (Inet, "services", "60000-65535", ""),
    (Inet, "inside4", "10.1.0.0/24 . brA", ""),
    (Inet, "inside4", "10.7.0.1 . brB", ""),
    (Inet, "remote4", "10.8.0.0/24 . up0 . brA", ""),
    (
        Inet,
        "sources4",
        "192.0.2.2 . 02:70:0a:32:02:00-02:70:0a:32:02:ff",
        "",
    ),
    (
        Inet,
        "sources4",
        "192.0.2.3 . 02:70:0a:32:03:00-02:70:0a:32:03:ff",
        "",
    ),
    (
        Inet,
        "sources6",
        "2001:db8::2 . 02:70:0a:32:02:10-02:70:0a:32:02:1f",
        "",
    ),
    (Inet, "gateway6", "brA", "fd00:a::1"),
    (Inet, "ports4", "tcp . 8080", "10.1.0.2 . 80"),
    (Inet, "hostports6", "::1 . sctp . 9", "fd00:a::2 . 65535"),
    (Inet, "ranges4", "0.0.0.0/0 . tcp . 9000-9010", "10.1.0.2"),
    (Inet, "ranges4", "203.0.113.1 . udp . 1-65535", "10.1.0.2"),
    (Inet, "ranges6", "::/0 . tcp . 9000-9010", "fd00:a::2"),
    (Bridge, "addrs4", "pt0a . 02:70:0a:01:00:02 . 10.1.0.2", ""),
    (Bridge, "claims6", "pt0a . ff02::1", "fe80::1"),
    (
        Bridge,
        "targets6",
        "pt0a . 02:70:0a:01:00:02 . fd00:a::2",
        "",
    ),
    (
        Bridge,
        "remotes4",
        "pv-4096 . 02:70:0a:32:02:00-02:70:0a:32:02:ff . 10.50.2.0/24",
        "",
    ),
    (
        Bridge,
        "remotetargets6",
        "pv-4096 . 02:70:0a:32:02:00-02:70:0a:32:02:ff . fd00:a::-fd00:a::ffff",
        "",
    ),
];

fn item(datum: DatumType, text: &str) -> Item {
    if datum == DatumType::InetService && text.contains('-') {
        return Item::Ports(text.parse::<PortRange>().unwrap());
    }
    if text.contains('/') {
        return Item::Prefix(prefix(text));
    }
    if let (true, Some((first, last))) = (datum != DatumType::Ifname, text.split_once('-')) {
        return Item::Range(one(datum, first), one(datum, last));
    }
    Item::One(one(datum, text))
}

fn one(datum: DatumType, text: &str) -> Datum {
    match datum {
        DatumType::Ifname => ifname(text),
        DatumType::EtherAddr => Datum::EtherAddr(text.parse().unwrap()),
        DatumType::Ipv4Addr | DatumType::Ipv6Addr => ip(text),
        DatumType::InetProto => Datum::InetProto(text.parse().unwrap()),
        DatumType::InetService => port(text.parse().unwrap()),
        DatumType::NdTarget => Datum::NdTarget(text.parse().unwrap()),
        DatumType::VxlanEtherSaddr => Datum::VxlanEtherSaddr(text.parse().unwrap()),
    }
}

fn items(types: &[DatumType], text: &str) -> Vec<Item> {
    let fields = text.split(" . ").filter(|field| !field.is_empty());
    let pairs = types.iter().zip(fields);
    pairs.map(|(datum, text)| item(*datum, text)).collect()
}

fn value(item: Item) -> Datum {
    match item {
        Item::One(one) => one,
        range => panic!("data is no range: {range:?}"),
    }
}

fn hook(kind: HookType, point: HookPoint, priority: i32) -> Option<Hook> {
    Some(Hook {
        kind,
        point,
        priority,
    })
}

fn chain(hook: Option<Hook>, rules: Vec<Vec<Statement>>) -> Chain {
    let rules = Rules::Ours(rules.into_iter().map(Rule).collect());
    Chain { hook, rules }
}

/// The whole state.
pub fn state() -> KernelState {
    let mut state = KernelState::default();
    for family in [Inet, Bridge] {
        state.tables.insert(family, "pontoon: a mark".into());
    }
    for (family, name, key, data, interval) in SETS {
        let spec = SetSpec {
            key: key.to_vec(),
            data: data.to_vec(),
            interval,
        };
        state.sets.insert(set_key(family, name), spec);
    }
    for (family, set, key, data) in ELEMENTS {
        let set = set_key(family, set);
        let spec = &state.sets[&set];
        let key = items(&spec.key, key);
        let data = items(&spec.data, data).into_iter().map(value).collect();
        state.elements.insert(ElementKey { set, key }, data);
    }
    add_chains(&mut state);
    add_priorities(&mut state);
    state
}

fn add_chains(state: &mut KernelState) {
    use HookPoint::{Input, Output, Postrouting, Prerouting};
    use HookType::{Filter, Nat, Route};
    let (plain, nat) = (rules::of_family(Inet), rules::of_nat());
    let (dnat, snat) = nat.split_at(4);
    let guard = rules::of_family(Bridge);
    let admin = Chain {
        hook: None,
        rules: Rules::Admin,
    };
    let mut add = |family, name: &str, chain| state.chains.insert(chain_key(family, name), chain);
    add(Inet, ADMIN_CHAIN, admin);
    add(Inet, "next", chain(None, vec![]));
    add(Inet, "on_raw", chain(hook(Filter, Prerouting, -300), plain));
    let on_dnat = |point| chain(hook(Nat, point, -100), dnat.to_vec());
    add(Inet, "on_dnat", on_dnat(Prerouting));
    add(Inet, "on_dnat_out", on_dnat(Output));
    let on_snat = chain(hook(Nat, Postrouting, 100), snat.to_vec());
    add(Inet, "on_snat", on_snat);
    add(Inet, "rerouted", chain(hook(Route, Output, -150), vec![]));
    add(Inet, "input", chain(hook(Filter, Input, 110), vec![]));
    add(Bridge, "next", chain(None, vec![]));
    add(Bridge, "port", chain(hook(Filter, Prerouting, -300), guard));
}

/// Chains at priorities around those that nft names.
fn add_priorities(state: &mut KernelState) {
    use HookPoint::{Forward, Input, Output, Postrouting, Prerouting};
    const INET: [i32; 12] = [-161, -160, -155, -150, -90, -89, 0, 7, 10, 11, 60, 100];
    const BRIDGE: [i32; 7] = [-310, -200, -190, 0, 95, 100, 300];
    let points = [
        (Inet, "forward", Forward),
        (Inet, "prerouting", Prerouting),
        (Bridge, "in", Input),
        (Bridge, "out", Output),
        (Bridge, "post", Postrouting),
    ];
    for (family, word, point) in points {
        let priorities = match family {
            Inet => INET.as_slice(),
            Bridge => BRIDGE.as_slice(),
        };
        for priority in priorities {
            let name = format!("{word}{}", priority + 1000);
            let empty = chain(hook(HookType::Filter, point, *priority), vec![]);
            state.chains.insert(chain_key(family, &name), empty);
        }
    }
}

/// The steps that make the whole state from nothing.
pub fn steps() -> Vec<Step> {
    let mut steps = netstate::diff(&KernelState::default(), &state()).steps;
    steps.retain(Step::is_nft);
    steps
}

/// Which maps of the state lead to an address and a port.
pub fn leads_to_port(name: &NftName) -> bool {
    ["ports4", "hostports6"].contains(&name.as_str())
}
