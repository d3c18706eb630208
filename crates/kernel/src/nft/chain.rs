//! Chains and their rules, to and from `NFT_MSG_NEWCHAIN` and `NFT_MSG_NEWRULE`.

use netstate::nft::{ChainKey, Hook, HookPoint, HookType, NftFamily, NftName, Rule, Statement};

use super::decode;
use super::expr::{self, Instruction};
use super::lift::lift;
use super::wire::{self, Kind, NLM_F_APPEND, NLM_F_CREATE, get_u32, message, put_u32};
use crate::netlink::{Attrs, Message};

/// `enum nft_chain_attributes`, `enum nft_hook_attributes`.
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const CHAIN_FLAGS: u16 = 10;
const HOOK_NUM: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const HOOK_DEV: u16 = 3;
const HOOK_DEVS: u16 = 4;
/// `enum nft_rule_attributes`.
pub const RULE_CHAIN: u16 = 2;
pub const RULE_EXPRESSIONS: u16 = 4;
const NF_ACCEPT: u32 = 1;
/// `NFT_CHAIN_BASE`, `NFT_CHAIN_BINDING`.
const CHAIN_BASE: u32 = 1;
const CHAIN_BINDING: u32 = 4;

const POINTS: [HookPoint; 5] = [
    HookPoint::Prerouting,
    HookPoint::Input,
    HookPoint::Forward,
    HookPoint::Output,
    HookPoint::Postrouting,
];

pub fn add(key: &ChainKey, hook: Option<Hook>) -> Message {
    let mut m = message(Kind::NewChain, NLM_F_CREATE, key.family);
    describe(&mut m, key.name.as_str(), hook);
    m
}

/// What a chain is to be, in a message about its table.
pub fn describe(m: &mut Message, name: &str, hook: Option<Hook>) {
    m.attr_str(CHAIN_NAME, name);
    if let Some(hook) = hook {
        m.attr_str(CHAIN_TYPE, type_name(hook.kind));
        put_u32(m, CHAIN_POLICY, NF_ACCEPT);
        m.nest(CHAIN_HOOK, |m| {
            put_u32(m, HOOK_NUM, number(hook.point));
            put_u32(m, HOOK_PRIORITY, hook.priority as u32);
        });
    }
}

pub fn delete(key: &ChainKey) -> Message {
    let mut m = message(Kind::DelChain, 0, key.family);
    m.attr_str(CHAIN_NAME, key.name.as_str());
    m
}

/// Deletes all rules of a chain.
pub fn flush(key: &ChainKey) -> Message {
    let mut m = message(Kind::DelRule, 0, key.family);
    m.attr_str(RULE_CHAIN, key.name.as_str());
    m
}

pub fn append_rule(key: &ChainKey, instructions: &[Instruction]) -> Message {
    let mut m = message(Kind::NewRule, NLM_F_CREATE | NLM_F_APPEND, key.family);
    m.attr_str(RULE_CHAIN, key.name.as_str());
    expr::put_all(&mut m, RULE_EXPRESSIONS, instructions);
    m
}

/// The request for all chains of a family.
pub fn get_all(family: NftFamily) -> Message {
    message(Kind::GetChain, 0, family)
}

/// The request for all rules of a chain.
pub fn get_rules(key: &ChainKey) -> Message {
    let mut m = message(Kind::GetRule, 0, key.family);
    m.attr_str(RULE_CHAIN, key.name.as_str());
    m
}

/// The hook's number, of inet and bridge alike (`enum nf_inet_hooks`, `NF_BR_*`).
fn number(point: HookPoint) -> u32 {
    match point {
        HookPoint::Prerouting => 0,
        HookPoint::Input => 1,
        HookPoint::Forward => 2,
        HookPoint::Output => 3,
        HookPoint::Postrouting => 4,
    }
}

fn type_name(kind: HookType) -> &'static str {
    match kind {
        HookType::Filter => "filter",
        HookType::Nat => "nat",
        HookType::Route => "route",
        // No type of the kernel: it refuses the chain.
        HookType::Foreign => "foreign",
    }
}

/// The name and hook in a `NFT_MSG_NEWCHAIN`; `None` for another table's, and for one that is
/// part of a rule.
pub fn parse(attrs: Attrs<'_>) -> Option<(NftName, Option<Hook>)> {
    let flags = get_u32(attrs, CHAIN_FLAGS).unwrap_or(0);
    if !wire::is_ours(attrs) || flags & CHAIN_BINDING != 0 {
        return None;
    }
    let name = NftName::from(attrs.text(CHAIN_NAME)?);
    let hook = attrs.get(CHAIN_HOOK).map(|_| parse_hook(attrs, flags));
    Some((name, hook))
}

fn parse_hook(attrs: Attrs<'_>, flags: u32) -> Hook {
    let hook = attrs.nested(CHAIN_HOOK);
    let point = POINTS
        .into_iter()
        .find(|point| get_u32(hook, HOOK_NUM) == Some(number(*point)));
    let kind = [HookType::Filter, HookType::Nat, HookType::Route]
        .into_iter()
        .find(|kind| attrs.text(CHAIN_TYPE) == Some(type_name(*kind)));
    let accepts = get_u32(attrs, CHAIN_POLICY) == Some(NF_ACCEPT);
    let on_device = hook.get(HOOK_DEV).is_some() || hook.get(HOOK_DEVS).is_some();
    let is_plain = point.is_some() && accepts && !on_device && flags & !CHAIN_BASE == 0;
    Hook {
        kind: kind.filter(|_| is_plain).unwrap_or(HookType::Foreign),
        point: point.unwrap_or(HookPoint::Prerouting),
        priority: get_u32(hook, HOOK_PRIORITY).map_or(0, |priority| priority as i32),
    }
}

/// The rule in a `NFT_MSG_NEWRULE`; `None` for another table's. `leads_to_port` as in `lift`.
pub fn parse_rule(
    family: NftFamily,
    attrs: Attrs<'_>,
    leads_to_port: &dyn Fn(&NftName) -> bool,
) -> Option<Rule> {
    wire::is_ours(attrs).then_some(())?;
    let list = attrs.nested(RULE_EXPRESSIONS);
    let statements = decode::get_all(list)
        .and_then(|instructions| lift(family, &instructions, leads_to_port))
        .unwrap_or_else(|| vec![Statement::Foreign(decode::names(list))]);
    Some(Rule(statements))
}
