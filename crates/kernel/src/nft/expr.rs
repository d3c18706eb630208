//! Instructions of the nf_tables virtual machine: the few that our rules are made of, and how
//! they become `NFTA_RULE_EXPRESSIONS`; `decode` is the way back. What they mean together is
//! the business of `lower` and `lift`. Attribute numbers are those of the enumeration that
//! `nf_tables.h` has for each name.

use netstate::nft::{NatFamily, NftName, Verdict};

use super::wire::{self, LIST_ELEM, put_u32, put_value};
use crate::netlink::Message;

pub const EXPR_NAME: u16 = 1;
pub const EXPR_DATA: u16 = 2;
/// The verdict register, and the first of the sixteen 4-byte ones (`enum nft_registers`).
pub const REG_VERDICT: u32 = 0;
pub const REG32_00: u32 = 8;
pub const SLOTS: u32 = 16;

pub const NFT_CMP_EQ: u32 = 0;
pub const NFT_CMP_NEQ: u32 = 1;
pub const NFT_LOOKUP_F_INV: u32 = 1;
pub const NFT_NAT_DNAT: u32 = 1;
pub const NFPROTO_IPV4: u32 = 2;
pub const NFPROTO_IPV6: u32 = 10;

pub const NF_DROP: i32 = 0;
pub const NF_ACCEPT: i32 = 1;
pub const NFT_JUMP: i32 = -3;
pub const NFT_GOTO: i32 = -4;
pub const NFT_RETURN: i32 = -5;

/// A 4-byte register, 0 to 15. Wider values take several in a row.
pub type Slot = u32;

/// What a load reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Meta {
        key: u32,
    },
    Payload {
        base: u32,
        offset: u32,
        len: u32,
    },
    Ct {
        key: u32,
        direction: Option<u8>,
    },
    Fib {
        flags: u32,
        result: u32,
    },
    Exthdr {
        kind: u8,
        offset: u32,
        len: u32,
        flags: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instruction {
    Load {
        source: Source,
        to: Slot,
    },
    Cmp {
        from: Slot,
        equal: bool,
        data: Vec<u8>,
    },
    /// `to = from & mask ^ xor`.
    Bitwise {
        from: Slot,
        to: Slot,
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    Lookup {
        from: Slot,
        set: NftName,
        to: Option<Slot>,
        inverted: bool,
    },
    Byteorder {
        from: Slot,
        to: Slot,
        size: u32,
        len: u32,
    },
    Immediate {
        to: Slot,
        data: Vec<u8>,
    },
    MetaWrite {
        from: Slot,
        key: u32,
    },
    PayloadWrite {
        from: Slot,
        base: u32,
        offset: u32,
        len: u32,
        checksum_flags: u32,
    },
    Dnat {
        family: NatFamily,
        address: Slot,
        port: Option<Slot>,
    },
    Verdict(Verdict),
    Masquerade,
    Notrack,
    Counter,
}

/// Appends all instructions as one list attribute.
pub fn put_all(message: &mut Message, kind: u16, instructions: &[Instruction]) {
    message.nest(kind, |m| {
        for instruction in instructions {
            put(m, instruction);
        }
    });
}

fn named(m: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    m.nest(LIST_ELEM, |m| {
        m.attr_str(EXPR_NAME, name).nest(EXPR_DATA, fill);
    });
}

fn put_slot(m: &mut Message, kind: u16, slot: Slot) {
    put_u32(m, kind, REG32_00 + slot);
}

fn put_slots(m: &mut Message, slots: [(u16, Slot); 2]) {
    for (kind, slot) in slots {
        put_slot(m, kind, slot);
    }
}

fn put(m: &mut Message, instruction: &Instruction) {
    match instruction {
        Instruction::Load { source, to } => put_load(m, *source, *to),
        Instruction::Cmp { from, equal, data } => named(m, "cmp", |m| {
            put_slot(m, 1, *from);
            put_u32(m, 2, if *equal { NFT_CMP_EQ } else { NFT_CMP_NEQ });
            put_value(m, 3, data);
        }),
        Instruction::Bitwise {
            from,
            to,
            mask,
            xor,
        } => named(m, "bitwise", |m| {
            put_slots(m, [(1, *from), (2, *to)]);
            put_u32(m, 3, mask.len() as u32);
            put_value(m, 4, mask);
            put_value(m, 5, xor);
        }),
        Instruction::Lookup {
            from,
            set,
            to,
            inverted,
        } => named(m, "lookup", |m| {
            m.attr_str(1, set.as_str());
            put_slot(m, 2, *from);
            if let Some(to) = to {
                put_slot(m, 3, *to);
            }
            if *inverted {
                put_u32(m, 5, NFT_LOOKUP_F_INV);
            }
        }),
        Instruction::Byteorder {
            from,
            to,
            size,
            len,
        } => named(m, "byteorder", |m| {
            put_slots(m, [(1, *from), (2, *to)]);
            // NFT_BYTEORDER_HTON
            put_u32(m, 3, 1);
            put_u32(m, 4, *len);
            put_u32(m, 5, *size);
        }),
        action => put_action(m, action),
    }
}

fn put_load(m: &mut Message, source: Source, to: Slot) {
    match source {
        Source::Meta { key } => named(m, "meta", |m| {
            put_slot(m, 1, to);
            put_u32(m, 2, key);
        }),
        Source::Payload { base, offset, len } => named(m, "payload", |m| {
            put_slot(m, 1, to);
            put_u32(m, 2, base);
            put_u32(m, 3, offset);
            put_u32(m, 4, len);
        }),
        Source::Ct { key, direction } => named(m, "ct", |m| {
            put_slot(m, 1, to);
            put_u32(m, 2, key);
            if let Some(direction) = direction {
                m.attr(3, &[direction]);
            }
        }),
        Source::Fib { flags, result } => named(m, "fib", |m| {
            put_slot(m, 1, to);
            put_u32(m, 2, result);
            put_u32(m, 3, flags);
        }),
        Source::Exthdr {
            kind,
            offset,
            len,
            flags,
        } => named(m, "exthdr", |m| {
            put_slot(m, 1, to);
            m.attr(2, &[kind]);
            put_u32(m, 3, offset);
            put_u32(m, 4, len);
            put_u32(m, 5, flags);
        }),
    }
}

fn put_action(m: &mut Message, action: &Instruction) {
    match action {
        Instruction::Immediate { to, data } => named(m, "immediate", |m| {
            put_slot(m, 1, *to);
            put_value(m, 2, data);
        }),
        Instruction::Verdict(verdict) => named(m, "immediate", |m| {
            put_u32(m, 1, REG_VERDICT);
            m.nest(2, |m| put_verdict(m, verdict));
        }),
        Instruction::MetaWrite { from, key } => named(m, "meta", |m| {
            put_u32(m, 2, *key);
            put_slot(m, 3, *from);
        }),
        Instruction::PayloadWrite {
            from,
            base,
            offset,
            len,
            checksum_flags,
        } => named(m, "payload", |m| {
            for (kind, value) in [(2, *base), (3, *offset), (4, *len)] {
                put_u32(m, kind, value);
            }
            put_slot(m, 5, *from);
            // IPv6 has no header checksum (NFT_PAYLOAD_CSUM_NONE).
            for (kind, value) in [(6, 0), (7, 0), (8, *checksum_flags)] {
                put_u32(m, kind, value);
            }
        }),
        Instruction::Dnat {
            family,
            address,
            port,
        } => named(m, "nat", |m| {
            put_u32(m, 1, NFT_NAT_DNAT);
            let family = match family {
                NatFamily::Ip => NFPROTO_IPV4,
                NatFamily::Ip6 => NFPROTO_IPV6,
            };
            put_u32(m, 2, family);
            put_slot(m, 3, *address);
            if let Some(port) = port {
                put_slot(m, 5, *port);
            }
        }),
        Instruction::Masquerade => named(m, "masq", |_| {}),
        Instruction::Notrack => named(m, "notrack", |_| {}),
        Instruction::Counter => named(m, "counter", |_| {}),
        Instruction::Load { .. }
        | Instruction::Cmp { .. }
        | Instruction::Bitwise { .. }
        | Instruction::Lookup { .. }
        | Instruction::Byteorder { .. } => {}
    }
}

fn put_verdict(m: &mut Message, verdict: &Verdict) {
    let (code, chain) = match verdict {
        Verdict::Accept => (NF_ACCEPT, None),
        Verdict::Drop => (NF_DROP, None),
        Verdict::Return => (NFT_RETURN, None),
        Verdict::Jump(chain) => (NFT_JUMP, Some(chain)),
        Verdict::Goto(chain) => (NFT_GOTO, Some(chain)),
    };
    m.nest(wire::DATA_VERDICT, |m| {
        m.attr(1, &code.to_be_bytes());
        if let Some(chain) = chain {
            m.attr_str(2, chain.as_str());
        }
    });
}
