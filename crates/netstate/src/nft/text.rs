//! nftables objects as text: as commands of `nft`, and as `nft --stateless list table` prints
//! them (nft 1.0.6). Rules are in `rule`.

mod rule;

use std::fmt::Write;

use super::{
    Chain, ChainKey, Datum, DatumType, Hook, HookPoint, HookType, Item, NftFamily, Rule, SetKey,
    SetSpec,
};
use crate::{KernelState, Step};

use rule::rule;

/// The name of our table, in each of its families.
pub const TABLE: &str = "pontoon";

/// The words behind `nft` that do an nft step; `None` for any other step.
pub fn command(step: &Step) -> Option<String> {
    Some(match step {
        Step::AddTable(family, mark) => {
            format!("add table {family} {TABLE} {{ comment \"{mark}\" ; }}")
        }
        Step::DelTable(family) => format!("delete table {family} {TABLE}"),
        Step::AddSet(key, spec) => {
            let body = set_lines(spec).join(" ; ");
            format!("add {} {} {{ {body} ; }}", set_word(spec), set_path(key))
        }
        Step::DelSet(key) => format!("delete set {}", set_path(key)),
        Step::AddChain(key, chain) => add_chain(key, chain),
        Step::FlushChain(key) => format!("flush chain {}", chain_path(key)),
        Step::DelChain(key) => format!("delete chain {}", chain_path(key)),
        Step::AddRule(key, Rule(statements)) => {
            format!("add rule {} {}", chain_path(key), rule(statements))
        }
        Step::AddElement(key, data) => {
            format!(
                "add element {} {{ {} }}",
                set_path(&key.set),
                element(&key.key, data)
            )
        }
        Step::DelElement(key) => {
            format!(
                "delete element {} {{ {} }}",
                set_path(&key.set),
                element(&key.key, &[])
            )
        }
        _ => return None,
    })
}

/// A rule as `nft list` prints it.
pub fn rule_text(Rule(statements): &Rule) -> String {
    rule(statements)
}

/// One of our tables as `nft --stateless list table` prints it; nothing where there is none.
pub fn table(family: NftFamily, state: &KernelState) -> String {
    let Some(mark) = state.tables.get(&family) else {
        return String::new();
    };
    let mut out = format!("table {family} {TABLE} {{\n\tcomment \"{mark}\"\n");
    for (key, spec) in state.sets.iter().filter(|(key, _)| key.family == family) {
        block(
            &mut out,
            &format!("{} {}", set_word(spec), key.name),
            &set_body(key, spec, state),
        );
    }
    for (key, chain) in state.chains.iter().filter(|(key, _)| key.family == family) {
        block(
            &mut out,
            &format!("chain {}", key.name),
            &chain_lines(family, chain),
        );
    }
    out.push_str("}\n");
    out
}

fn block(out: &mut String, head: &str, lines: &[String]) {
    // Writing to a String can't fail.
    let _ = writeln!(out, "\n\t{head} {{");
    for line in lines {
        let _ = writeln!(out, "\t\t{line}");
    }
    out.push_str("\t}\n");
}

fn set_word(spec: &SetSpec) -> &'static str {
    if spec.data.is_empty() { "set" } else { "map" }
}

fn set_path(key: &SetKey) -> String {
    format!("{} {TABLE} {}", key.family, key.name)
}

fn chain_path(key: &ChainKey) -> String {
    format!("{} {TABLE} {}", key.family, key.name)
}

fn concat<T>(fields: &[T], print: impl Fn(&T) -> String) -> String {
    fields.iter().map(print).collect::<Vec<_>>().join(" . ")
}

fn set_lines(spec: &SetSpec) -> Vec<String> {
    let (word, name): (_, fn(DatumType) -> &'static str) =
        if spec.key.iter().any(|datum| is_raw(*datum)) {
            ("typeof", type_of)
        } else {
            ("type", type_name)
        };
    let names = |types: &[DatumType]| concat(types, |t| name(*t).to_owned());
    let mut lines = vec![if spec.data.is_empty() {
        format!("{word} {}", names(&spec.key))
    } else {
        format!("{word} {} : {}", names(&spec.key), names(&spec.data))
    }];
    if spec.interval {
        lines.push("flags interval".to_owned());
    }
    lines
}

/// Whether nft has no name for a type but an expression of it.
fn is_raw(datum: DatumType) -> bool {
    matches!(datum, DatumType::NdTarget | DatumType::VxlanEtherSaddr)
}

fn set_body(key: &SetKey, spec: &SetSpec, state: &KernelState) -> Vec<String> {
    let mut lines = set_lines(spec);
    let elements: Vec<String> = state
        .elements
        .iter()
        .filter(|(element, _)| element.set == *key)
        .map(|(key, data)| element(&key.key, data))
        .collect();
    if !elements.is_empty() {
        lines.push(format!("elements = {{ {} }}", elements.join(", ")));
    }
    lines
}

fn type_name(datum: DatumType) -> &'static str {
    match datum {
        DatumType::Ifname => "ifname",
        DatumType::EtherAddr => "ether_addr",
        DatumType::Ipv4Addr => "ipv4_addr",
        DatumType::Ipv6Addr => "ipv6_addr",
        DatumType::InetProto => "inet_proto",
        DatumType::InetService => "inet_service",
        DatumType::NdTarget | DatumType::VxlanEtherSaddr => "integer",
    }
}

/// The expression that stands for a type where the set is declared by `typeof`.
fn type_of(datum: DatumType) -> &'static str {
    match datum {
        DatumType::Ifname => "iifname",
        DatumType::EtherAddr => "ether saddr",
        DatumType::Ipv4Addr => "ip saddr",
        DatumType::Ipv6Addr => "ip6 saddr",
        DatumType::InetProto => "meta l4proto",
        DatumType::InetService => "th dport",
        DatumType::NdTarget => "@th,64,128",
        DatumType::VxlanEtherSaddr => "@th,176,48",
    }
}

fn element(key: &[Item], data: &[Datum]) -> String {
    let key = concat(key, item);
    if data.is_empty() {
        key
    } else {
        format!("{key} : {}", concat(data, datum))
    }
}

fn item(item: &Item) -> String {
    match item {
        Item::One(one) => datum(one),
        Item::Ports(range) => range.to_string(),
        Item::Prefix(prefix) => prefix.to_string(),
        Item::Range(first, last) => format!("{}-{}", datum(first), datum(last)),
    }
}

fn datum(datum: &Datum) -> String {
    match datum {
        Datum::Ifname(name) => format!("\"{name}\""),
        Datum::EtherAddr(mac) => mac.to_string(),
        Datum::Ipv4Addr(address) => address.to_string(),
        Datum::Ipv6Addr(address) => address.to_string(),
        Datum::InetProto(proto) => proto.to_string(),
        Datum::InetService(port) => port.to_string(),
        Datum::NdTarget(address) => format!("0x{:x}", u128::from(*address)),
        Datum::VxlanEtherSaddr(mac) => {
            let number = mac.bytes().into_iter();
            let number = number.fold(0u64, |number, byte| number << 8 | u64::from(byte));
            format!("0x{number:x}")
        }
    }
}

fn add_chain(key: &ChainKey, chain: &Chain) -> String {
    match chain.hook {
        Some(hook) => format!(
            "add chain {} {{ {} }}",
            chain_path(key),
            hook_line(key.family, hook)
        ),
        None => format!("add chain {}", chain_path(key)),
    }
}

fn chain_lines(family: NftFamily, chain: &Chain) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(chain.hook.map(|hook| hook_line(family, hook)));
    match &chain.rules {
        super::Rules::Ours(rules) => lines.extend(rules.iter().map(|Rule(s)| rule(s))),
        super::Rules::Admin => {}
    }
    lines
}

fn hook_line(family: NftFamily, hook: Hook) -> String {
    let kind = match hook.kind {
        HookType::Filter => "filter",
        HookType::Nat => "nat",
        HookType::Route => "route",
        HookType::Foreign => "foreign",
    };
    format!(
        "type {kind} hook {} priority {}; policy accept;",
        hook.point,
        priority(family, hook)
    )
}

/// The priorities that have a name in a family, at any hook or only at one.
fn named_priorities(family: NftFamily) -> &'static [(&'static str, i32, Option<HookPoint>)] {
    match family {
        NftFamily::Inet => &[
            ("raw", -300, None),
            ("mangle", -150, None),
            ("dstnat", -100, Some(HookPoint::Prerouting)),
            ("filter", 0, None),
            ("security", 50, None),
            ("srcnat", 100, Some(HookPoint::Postrouting)),
        ],
        NftFamily::Bridge => &[
            ("dstnat", -300, Some(HookPoint::Prerouting)),
            ("filter", -200, None),
            ("out", 100, Some(HookPoint::Output)),
            ("srcnat", 300, Some(HookPoint::Postrouting)),
        ],
    }
}

/// nft names a priority up to this far from one that has a name.
const NAMED_REACH: i32 = 10;

fn priority(family: NftFamily, hook: Hook) -> String {
    let near = named_priorities(family).iter().find(|(_, named, point)| {
        let offset = i64::from(hook.priority) - i64::from(*named);
        offset.abs() <= i64::from(NAMED_REACH) && point.is_none_or(|point| point == hook.point)
    });
    match near {
        None => hook.priority.to_string(),
        Some((name, named, _)) => match hook.priority - named {
            0 => (*name).to_owned(),
            offset if offset > 0 => format!("{name} + {offset}"),
            offset => format!("{name} - {}", -offset),
        },
    }
}
