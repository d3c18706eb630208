//! Numbers of nf_tables messages (`include/uapi/linux/netfilter/nf_tables.h`) and the few
//! encodings that all of them share. Integers are big endian here, unlike in rtnetlink.

use netstate::nft::NftFamily;
use netstate::nft::text::TABLE;

use crate::netlink::{Attrs, Message};

pub const NLM_F_CREATE: u16 = 0x400;
pub const NLM_F_APPEND: u16 = 0x800;

pub const NFNL_MSG_BATCH_BEGIN: u16 = 16;
pub const NFNL_MSG_BATCH_END: u16 = 17;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
/// Bytes of `struct nfgenmsg`.
const NFGENMSG: usize = 4;
const NFPROTO_INET: u8 = 1;
const NFPROTO_BRIDGE: u8 = 7;

/// Attributes of lists and data (`NFTA_LIST_*`, `NFTA_DATA_*`, `NFTA_VERDICT_*`).
pub const LIST_ELEM: u16 = 1;
const DATA_VALUE: u16 = 1;
pub const DATA_VERDICT: u16 = 2;

/// `enum nf_tables_msg_types`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    NewTable = 0,
    GetTable = 1,
    DelTable = 2,
    NewChain = 3,
    GetChain = 4,
    DelChain = 5,
    NewRule = 6,
    GetRule = 7,
    DelRule = 8,
    NewSet = 9,
    GetSet = 10,
    DelSet = 11,
    NewSetElem = 12,
    GetSetElem = 13,
    DelSetElem = 14,
    NewGen = 15,
    GetGen = 16,
    Trace = 17,
}

const NLM_F_REQUEST: u16 = 1;

/// A message about an object of our table.
pub fn message(kind: Kind, flags: u16, family: NftFamily) -> Message {
    message_of(TABLE, kind, flags, family)
}

/// A message about an object of a table, whose name is always attribute 1.
pub fn message_of(table: &str, kind: Kind, flags: u16, family: NftFamily) -> Message {
    let number = match family {
        NftFamily::Inet => NFPROTO_INET,
        NftFamily::Bridge => NFPROTO_BRIDGE,
    };
    let kind = NFNL_SUBSYS_NFTABLES << 8 | kind as u16;
    let mut message = Message::new(kind, NLM_F_REQUEST | flags, &[number, 0, 0, 0]);
    message.attr_str(1, table);
    message
}

/// The request for the generation of the whole ruleset.
pub fn generation_request() -> Message {
    let kind = NFNL_SUBSYS_NFTABLES << 8 | Kind::GetGen as u16;
    Message::new(kind, NLM_F_REQUEST, &[0; NFGENMSG])
}

/// `NFNL_MSG_BATCH_BEGIN` or `NFNL_MSG_BATCH_END`.
pub fn batch_border(kind: u16) -> Message {
    let subsystem = NFNL_SUBSYS_NFTABLES.to_be_bytes();
    Message::new(kind, NLM_F_REQUEST, &[0, 0, subsystem[0], subsystem[1]])
}

/// The attributes of an answer.
pub fn attrs(payload: &[u8]) -> Attrs<'_> {
    Attrs::behind(payload, NFGENMSG)
}

/// Whether an answer is about our table: dumps are of all tables of a family.
pub fn is_ours(attrs: Attrs<'_>) -> bool {
    attrs.text(1) == Some(TABLE)
}

/// Whether a notice is of a change to our tables. A new generation, behind every transaction, is
/// about no table.
pub fn is_change_of_ours(kind: u16, payload: &[u8]) -> bool {
    is_change(kind) && is_ours(attrs(payload))
}

/// Whether a message tells of a change of anybody's rules: the end of a transaction is none.
pub fn is_change(kind: u16) -> bool {
    const NEW_GENERATION: u16 = NFNL_SUBSYS_NFTABLES << 8 | Kind::NewGen as u16;
    kind >> 8 == NFNL_SUBSYS_NFTABLES && kind != NEW_GENERATION
}

/// Whether a message tells what a chain said of a packet.
pub fn is_trace(kind: u16) -> bool {
    kind == NFNL_SUBSYS_NFTABLES << 8 | Kind::Trace as u16
}

pub fn put_u32(message: &mut Message, kind: u16, value: u32) {
    message.attr(kind, &value.to_be_bytes());
}

pub fn put_value(message: &mut Message, kind: u16, value: &[u8]) {
    message.nest(kind, |m| {
        m.attr(DATA_VALUE, value);
    });
}

pub fn get_u32(attrs: Attrs<'_>, kind: u16) -> Option<u32> {
    attrs
        .get(kind)?
        .first_chunk()
        .map(|b| u32::from_be_bytes(*b))
}

pub fn get_u64(attrs: Attrs<'_>, kind: u16) -> Option<u64> {
    attrs
        .get(kind)?
        .first_chunk()
        .map(|b| u64::from_be_bytes(*b))
}

pub fn get_value(attrs: Attrs<'_>, kind: u16) -> Option<&[u8]> {
    attrs.nested(kind).get(DATA_VALUE)
}
