//! Every hooked chain of every nft table, anybody's, by its name: foreign rules are not read.

use netstate::Netns;
use netstate::stack::StackChain;

use crate::error::{KernelError, Listed};
use crate::namespace::{Namespace, or_nothing};
use crate::netlink::{Attrs, Message, read_u32};
use crate::rtnl::REQUEST;

/// `include/uapi/linux/netfilter/nf_tables.h`.
const SUBSYSTEM: u16 = (libc::NFNL_SUBSYS_NFTABLES as u16) << 8;
const MSG_NEWCHAIN: u16 = SUBSYSTEM | 3;
const MSG_GETCHAIN: u16 = SUBSYSTEM | 4;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_HOOKNUM: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
/// Bytes of `struct nfgenmsg`.
const HEADER: usize = 4;

/// Families and the names of their hooks, by number (`enum nf_inet_hooks`, `nf_arp_hooks`,
/// `nf_dev_hooks`; the bridge's are numbered as the inet ones).
const INET_HOOKS: &[&str] = &[
    "prerouting",
    "input",
    "forward",
    "output",
    "postrouting",
    "ingress",
];
const FAMILIES: &[(u8, &str, &[&str])] = &[
    (1, "inet", INET_HOOKS),
    (2, "ip", INET_HOOKS),
    (3, "arp", &["input", "output", "forward"]),
    (5, "netdev", &["ingress", "egress"]),
    (7, "bridge", INET_HOOKS),
    (10, "ip6", INET_HOOKS),
];

pub fn base_chains(namespace: &mut Namespace) -> Result<Vec<StackChain>, KernelError> {
    let netns: Netns = namespace.netns().clone();
    let message = Message::new(MSG_GETCHAIN, REQUEST, &[0; HEADER]);
    let answer = namespace.netfilter()?.dump(&message, read);
    let mut chains = or_nothing(answer).map_err(Listed::Chains.failed(&netns))?;
    chains.sort();
    Ok(chains)
}

/// The name of the family with this number, as nft(8) has it.
pub fn family_name(number: u8) -> Option<&'static str> {
    family(number).map(|(_, name, _)| *name)
}

fn family(number: u8) -> Option<&'static (u8, &'static str, &'static [&'static str])> {
    FAMILIES.iter().find(|(family, ..)| *family == number)
}

/// `None` for a chain that is not hooked.
fn read(kind: u16, payload: &[u8]) -> Option<StackChain> {
    if kind != MSG_NEWCHAIN {
        return None;
    }
    let (_, family, hooks) = family(*payload.first()?)?;
    let attrs = Attrs::behind(payload, HEADER);
    let hook = attrs.nested(CHAIN_HOOK);
    let place = be_u32(hook.get(HOOK_HOOKNUM)?)? as usize;
    let drops = attrs.get(CHAIN_POLICY).and_then(be_u32) == Some(0);
    Some(StackChain {
        family: (*family).to_owned(),
        table: attrs.text(CHAIN_TABLE)?.to_owned(),
        chain: attrs.text(CHAIN_NAME)?.to_owned(),
        kind: attrs.text(CHAIN_TYPE).unwrap_or_default().to_owned(),
        hook: hooks.get(place).copied().unwrap_or("unknown").to_owned(),
        priority: be_u32(hook.get(HOOK_PRIORITY)?)?.cast_signed(),
        policy: if drops { "drop" } else { "accept" }.to_owned(),
    })
}

fn be_u32(bytes: &[u8]) -> Option<u32> {
    read_u32(bytes).map(u32::from_be)
}
