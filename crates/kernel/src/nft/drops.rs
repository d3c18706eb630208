//! How many packets the rules of our tables dropped. Each such rule counts them; what the
//! administrator's own chain does is not ours to tell.

use netstate::Netns;
use netstate::nft::{ADMIN_CHAIN, NftFamily, Verdict};
use rustix::io::Errno;

use super::chain::{RULE_CHAIN, RULE_EXPRESSIONS};
use super::decode;
use super::expr::{EXPR_DATA, EXPR_NAME, Instruction};
use super::wire::{self, Kind};
use crate::error::{KernelError, Listed};
use crate::namespace::{Namespace, or_nothing};
use crate::netlink::{Attrs, NetlinkError};

const COUNTER_PACKETS: u16 = 2;

/// What the rules of a chain dropped, since they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub family: NftFamily,
    pub chain: String,
    pub packets: u64,
}

/// Of the namespace of the calling thread, chain by chain; nothing where there are no tables of
/// ours.
///
/// # Errors
/// `OpenSocket`, `List`.
pub fn dropped() -> Result<Vec<Dropped>, KernelError> {
    let mut node = Namespace::of_node();
    let mut all: Vec<Dropped> = Vec::new();
    for family in [NftFamily::Inet, NftFamily::Bridge] {
        let request = wire::message(Kind::GetRule, 0, family);
        let rules = match node.netfilter()?.dump(&request, read) {
            Err(NetlinkError {
                errno: Errno::NOENT,
                ..
            }) => Vec::new(),
            rules => or_nothing(rules).map_err(Listed::Tables.failed(&Netns::Node))?,
        };
        for (chain, packets) in rules {
            match all.last_mut() {
                Some(last) if last.family == family && last.chain == chain => {
                    last.packets = last.packets.saturating_add(packets);
                }
                _ => all.push(Dropped {
                    family,
                    chain,
                    packets,
                }),
            }
        }
    }
    Ok(all)
}

/// The chain of a rule that drops, and how many packets it did.
fn read(_: u16, payload: &[u8]) -> Option<(String, u64)> {
    let rule = wire::attrs(payload);
    let chain = rule.text(RULE_CHAIN)?;
    if !wire::is_ours(rule) || chain == ADMIN_CHAIN {
        return None;
    }
    let mut packets = None;
    let mut drops = false;
    for (_, expression) in rule.nested(RULE_EXPRESSIONS) {
        let expression = Attrs::new(expression);
        let data = expression.nested(EXPR_DATA);
        match decode::get(expression.text(EXPR_NAME)?, data) {
            Some(Instruction::Counter) => packets = wire::get_u64(data, COUNTER_PACKETS),
            Some(Instruction::Verdict(Verdict::Drop)) => drops = true,
            _ => {}
        }
    }
    Some((chain.to_owned(), packets.filter(|_| drops)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = super::read(0, &bytes);
        }
    }
}
