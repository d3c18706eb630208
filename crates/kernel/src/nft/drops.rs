//! How many packets the rules of our tables dropped. Each such rule counts them; what the
//! administrator's own chain does is not ours to tell.

use model::Vni;
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
/// Bytes of a VNI in a VXLAN header (RFC 7348 section 5); our rules compare nothing else so long.
const VNI_BYTES: usize = 3;

/// What the rules of a chain dropped, since they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub family: NftFamily,
    pub chain: String,
    /// The network that the packets were for, where the rules are about one VNI.
    pub vni: Option<Vni>,
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
        for Drops {
            chain,
            vni,
            packets,
        } in rules
        {
            let known = all.iter_mut().rev().find(|known| {
                let of = (known.family, &known.chain, known.vni);
                of == (family, &chain, vni)
            });
            match known {
                Some(known) => known.packets = known.packets.saturating_add(packets),
                None => all.push(Dropped {
                    family,
                    chain,
                    vni,
                    packets,
                }),
            }
        }
    }
    Ok(all)
}

/// A rule that drops.
struct Drops {
    chain: String,
    vni: Option<Vni>,
    packets: u64,
}

/// `None` for a rule of another kind.
fn read(_: u16, payload: &[u8]) -> Option<Drops> {
    let rule = wire::attrs(payload);
    let chain = rule.text(RULE_CHAIN)?;
    if !wire::is_ours(rule) || chain == ADMIN_CHAIN {
        return None;
    }
    let (mut packets, mut vni) = (None, None);
    let mut drops = false;
    for (_, expression) in rule.nested(RULE_EXPRESSIONS) {
        let expression = Attrs::new(expression);
        let data = expression.nested(EXPR_DATA);
        match decode::get(expression.text(EXPR_NAME)?, data) {
            Some(Instruction::Counter) => packets = wire::get_u64(data, COUNTER_PACKETS),
            Some(Instruction::Verdict(Verdict::Drop)) => drops = true,
            Some(Instruction::Cmp {
                equal: true, data, ..
            }) if data.len() == VNI_BYTES => {
                let bits = data
                    .iter()
                    .fold(0, |bits, byte| bits << 8 | u32::from(*byte));
                vni = Vni::try_from(bits).ok();
            }
            _ => {}
        }
    }
    Some(Drops {
        chain: chain.to_owned(),
        vni,
        packets: packets.filter(|_| drops)?,
    })
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
