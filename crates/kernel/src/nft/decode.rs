//! Instructions of the nf_tables virtual machine from `NFTA_RULE_EXPRESSIONS`. What the kernel
//! sends may be anybody's: whatever is none of ours is `None`.

use netstate::nft::{NatFamily, NftName, Verdict};

use super::expr::{
    EXPR_DATA, EXPR_NAME, Instruction, NF_ACCEPT, NF_DROP, NFPROTO_IPV4, NFPROTO_IPV6, NFT_CMP_EQ,
    NFT_CMP_NEQ, NFT_GOTO, NFT_JUMP, NFT_LOOKUP_F_INV, NFT_NAT_DNAT, NFT_RETURN, REG_VERDICT,
    REG32_00, SLOTS, Slot, Source,
};
use super::wire::{self, get_u32, get_value};
use crate::netlink::Attrs;

/// `NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED`: what the registers imply.
const NAT_IMPLIED_FLAGS: u32 = 3;

/// The instructions in a list attribute; `None` where one is none of ours.
pub fn get_all(list: Attrs<'_>) -> Option<Vec<Instruction>> {
    list.map(|(_, element)| {
        let attrs = Attrs::new(element);
        get(attrs.text(EXPR_NAME)?, attrs.nested(EXPR_DATA))
    })
    .collect()
}

/// The names of the instructions in a list attribute, for a person to read.
pub fn names(list: Attrs<'_>) -> String {
    let name = |(_, element)| Attrs::new(element).text(EXPR_NAME).unwrap_or("?");
    list.map(name).collect::<Vec<_>>().join(" ")
}

/// One instruction; `None` for one that is none of ours.
pub fn get(name: &str, data: Attrs<'_>) -> Option<Instruction> {
    match name {
        "meta" | "ct" | "fib" | "exthdr" => get_load(name, data),
        "payload" if data.get(5).is_some() => get_payload_write(data),
        "payload" => get_load(name, data),
        "cmp" => Some(Instruction::Cmp {
            from: get_slot(data, 1)?,
            equal: match get_u32(data, 2)? {
                NFT_CMP_EQ => true,
                NFT_CMP_NEQ => false,
                _ => return None,
            },
            data: get_value(data, 3)?.to_vec(),
        }),
        // Attribute 6 is the operation: 0 for mask and xor.
        "bitwise" if get_u32(data, 6).unwrap_or(0) == 0 => Some(Instruction::Bitwise {
            from: get_slot(data, 1)?,
            to: get_slot(data, 2)?,
            mask: get_value(data, 4)?.to_vec(),
            xor: get_value(data, 5)?.to_vec(),
        }),
        "lookup" => get_lookup(data),
        "byteorder" => Some(Instruction::Byteorder {
            from: get_slot(data, 1)?,
            to: get_slot(data, 2)?,
            len: get_u32(data, 4)?,
            size: get_u32(data, 5)?,
        }),
        "immediate" => get_immediate(data),
        "nat" => get_nat(data),
        "masq" => (1..=3)
            .all(|kind| get_u32(data, kind).unwrap_or(0) == 0)
            .then_some(Instruction::Masquerade),
        "notrack" => Some(Instruction::Notrack),
        "counter" => Some(Instruction::Counter),
        _ => None,
    }
}

fn get_slot(data: Attrs<'_>, kind: u16) -> Option<Slot> {
    match get_u32(data, kind)? {
        wide @ 1..=4 => Some((wide - 1) * 4),
        narrow if (REG32_00..REG32_00 + SLOTS).contains(&narrow) => Some(narrow - REG32_00),
        _ => None,
    }
}

fn get_load(name: &str, data: Attrs<'_>) -> Option<Instruction> {
    let source = match name {
        "meta" => Source::Meta {
            key: get_u32(data, 2)?,
        },
        "payload" => Source::Payload {
            base: get_u32(data, 2)?,
            offset: get_u32(data, 3)?,
            len: get_u32(data, 4)?,
        },
        "ct" => Source::Ct {
            key: get_u32(data, 2)?,
            direction: data.get(3).and_then(|d| d.first().copied()),
        },
        "fib" => Source::Fib {
            result: get_u32(data, 2)?,
            flags: get_u32(data, 3)?,
        },
        // Attribute 6 is the operation: 0 for IPv6 extension headers.
        "exthdr" if get_u32(data, 6).unwrap_or(0) == 0 => Source::Exthdr {
            kind: *data.get(2)?.first()?,
            offset: get_u32(data, 3)?,
            len: get_u32(data, 4)?,
            flags: get_u32(data, 5).unwrap_or(0),
        },
        _ => return None,
    };
    // Without a destination it is `meta set` or `ct set`.
    let to = get_slot(data, 1)?;
    Some(Instruction::Load { source, to })
}

fn get_payload_write(data: Attrs<'_>) -> Option<Instruction> {
    let header_checksum = get_u32(data, 6).unwrap_or(0);
    (header_checksum == 0).then_some(())?;
    Some(Instruction::PayloadWrite {
        from: get_slot(data, 5)?,
        base: get_u32(data, 2)?,
        offset: get_u32(data, 3)?,
        len: get_u32(data, 4)?,
        checksum_flags: get_u32(data, 8).unwrap_or(0),
    })
}

fn get_lookup(data: Attrs<'_>) -> Option<Instruction> {
    let flags = get_u32(data, 5).unwrap_or(0);
    (flags & !NFT_LOOKUP_F_INV == 0).then_some(())?;
    // A destination of the verdict register is a verdict map.
    let to = match data.get(3) {
        Some(_) => Some(get_slot(data, 3)?),
        None => None,
    };
    Some(Instruction::Lookup {
        from: get_slot(data, 2)?,
        set: NftName::from(data.text(1)?),
        to,
        inverted: flags & NFT_LOOKUP_F_INV != 0,
    })
}

fn get_immediate(data: Attrs<'_>) -> Option<Instruction> {
    if get_u32(data, 1)? != REG_VERDICT {
        return Some(Instruction::Immediate {
            to: get_slot(data, 1)?,
            data: get_value(data, 2)?.to_vec(),
        });
    }
    let verdict = data.nested(2).nested(wire::DATA_VERDICT);
    let code = get_u32(verdict, 1)? as i32;
    let chain = || verdict.text(2).map(NftName::from);
    Some(Instruction::Verdict(match code {
        NF_DROP => Verdict::Drop,
        NF_ACCEPT => Verdict::Accept,
        NFT_RETURN => Verdict::Return,
        NFT_JUMP => Verdict::Jump(chain()?),
        NFT_GOTO => Verdict::Goto(chain()?),
        _ => return None,
    }))
}

fn get_nat(data: Attrs<'_>) -> Option<Instruction> {
    let family = match get_u32(data, 2)? {
        NFPROTO_IPV4 => NatFamily::Ip,
        NFPROTO_IPV6 => NatFamily::Ip6,
        _ => return None,
    };
    let flags = get_u32(data, 7).unwrap_or(0);
    let same_end = |min, max| data.get(max).is_none_or(|end| data.get(min) == Some(end));
    let plain = flags & !NAT_IMPLIED_FLAGS == 0 && same_end(3, 4) && same_end(5, 6);
    (get_u32(data, 1)? == NFT_NAT_DNAT && plain).then_some(())?;
    Some(Instruction::Dnat {
        family,
        address: get_slot(data, 3)?,
        port: match data.get(5) {
            Some(_) => Some(get_slot(data, 5)?),
            None => None,
        },
    })
}
