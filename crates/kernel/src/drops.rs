//! How many packets the rules of our tables dropped. Each such rule counts them; what the
//! administrator's own chain does is not ours to tell.

use netstate::Netns;
use netstate::nft::NftFamily;
use netstate::nft::text::TABLE;
use rustix::io::Errno;

use crate::error::{KernelError, Listed};
use crate::namespace::Namespace;
use crate::netlink::{Attrs, Message, NetlinkError};

/// `include/uapi/linux/netfilter/nf_tables.h` and `nfnetlink.h`.
const GET_RULE: u16 = 10 << 8 | 7;
const REQUEST: u16 = 1;
const HEADER: usize = 4;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const COUNTER_PACKETS: u16 = 2;
const IMMEDIATE_DATA: u16 = 2;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
/// `NF_DROP`.
const DROP: u32 = 0;
/// The administrator's.
const ADMIN: &str = "admin";

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
        let rules = match node.netfilter()?.dump(&rules_of(family), read) {
            Err(NetlinkError {
                errno: Errno::NOENT | Errno::OPNOTSUPP | Errno::AFNOSUPPORT,
                ..
            }) => Vec::new(),
            rules => rules.map_err(Listed::Tables.failed(&Netns::Node))?,
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

fn rules_of(family: NftFamily) -> Message {
    let number = match family {
        NftFamily::Inet => 1,
        NftFamily::Bridge => 7,
    };
    let mut message = Message::new(GET_RULE, REQUEST, &[number, 0, 0, 0]);
    message.attr_str(RULE_TABLE, TABLE);
    message
}

/// The chain of a rule that drops, and how many packets it did.
fn read(_: u16, payload: &[u8]) -> Option<(String, u64)> {
    let rule = Attrs::behind(payload, HEADER);
    let chain = rule.text(RULE_CHAIN)?;
    if rule.text(RULE_TABLE) != Some(TABLE) || chain == ADMIN {
        return None;
    }
    let mut packets = None;
    let mut drops = false;
    for (_, expression) in rule.nested(RULE_EXPRESSIONS) {
        let expression = Attrs::new(expression);
        let data = expression.nested(EXPRESSION_DATA);
        match expression.text(EXPRESSION_NAME)? {
            "counter" => packets = data.get(COUNTER_PACKETS).and_then(read_be64),
            "immediate" => drops |= verdict(data) == Some(DROP),
            _ => {}
        }
    }
    Some((chain.to_owned(), packets.filter(|_| drops)?))
}

fn verdict(immediate: Attrs<'_>) -> Option<u32> {
    let verdict = immediate.nested(IMMEDIATE_DATA).nested(DATA_VERDICT);
    let code = verdict.get(VERDICT_CODE)?.first_chunk()?;
    Some(u32::from_be_bytes(*code))
}

fn read_be64(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|b| u64::from_be_bytes(*b))
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
