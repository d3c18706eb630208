//! Sets and maps: their declarations, to and from `NFT_MSG_NEWSET`.

use netstate::nft::{DatumType, NftFamily, NftName, SetKey, SetSpec};

use super::datum;
use super::wire::{self, Kind, LIST_ELEM, NLM_F_CREATE, get_u32, message, put_u32};
use crate::netlink::{Attrs, Message};

/// `enum nft_set_attributes`.
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LEN: u16 = 5;
const SET_DATA_TYPE: u16 = 6;
const SET_DATA_LEN: u16 = 7;
const SET_DESC: u16 = 9;
const SET_ID: u16 = 10;
const SET_USERDATA: u16 = 13;
const DESC_CONCAT: u16 = 2;
const FIELD_LEN: u16 = 1;

/// `enum nft_set_flags`.
const ANONYMOUS: u32 = 0x1;
const INTERVAL: u32 = 0x4;
const MAP: u32 = 0x8;
const CONCAT: u32 = 0x80;

/// What nft notes of a set for its own listings (`enum nftnl_udata_set_types` of libnftnl).
const UDATA_KEY_BYTEORDER: u8 = 0;
const UDATA_DATA_BYTEORDER: u8 = 1;
const UDATA_KEY_TYPEOF: u8 = 3;
const UDATA_DATA_TYPEOF: u8 = 4;
const UDATA_DATA_INTERVAL: u8 = 6;
/// `enum expr_types` of nft.
const EXPR_PAYLOAD: u32 = 7;
const EXPR_META: u32 = 9;
const EXPR_CONCAT: u32 = 13;

/// Declares a set. `id` is any number that no other set of the transaction has.
pub fn add(key: &SetKey, spec: &SetSpec, id: u32) -> Message {
    let mut m = message(Kind::NewSet, NLM_F_CREATE, key.family);
    m.attr_str(SET_NAME, key.name.as_str());
    put_u32(&mut m, SET_FLAGS, flags(spec));
    put_u32(&mut m, SET_KEY_TYPE, datum::number_of_all(&spec.key));
    put_u32(&mut m, SET_KEY_LEN, datum::total_width(&spec.key) as u32);
    if !spec.data.is_empty() {
        put_u32(&mut m, SET_DATA_TYPE, datum::number_of_all(&spec.data));
        put_u32(&mut m, SET_DATA_LEN, datum::total_width(&spec.data) as u32);
    }
    put_u32(&mut m, SET_ID, id);
    if is_concat_of_ranges(spec) {
        m.nest(SET_DESC, |m| put_field_widths(m, &spec.key));
    }
    m.attr(SET_USERDATA, &userdata(spec));
    m
}

pub fn delete(key: &SetKey) -> Message {
    let mut m = message(Kind::DelSet, 0, key.family);
    m.attr_str(SET_NAME, key.name.as_str());
    m
}

/// The request for one set's declaration.
pub fn get(key: &SetKey) -> Message {
    let mut m = message(Kind::GetSet, 0, key.family);
    m.attr_str(SET_NAME, key.name.as_str());
    m
}

/// The request for all sets of our table of a family.
pub fn get_all(family: NftFamily) -> Message {
    message(Kind::GetSet, 0, family)
}

/// Whether keys are ranges in several dimensions, which the kernel must be told apart.
pub fn is_concat_of_ranges(spec: &SetSpec) -> bool {
    spec.interval && spec.key.len() > 1
}

fn flags(spec: &SetSpec) -> u32 {
    let when = |condition: bool, flag: u32| if condition { flag } else { 0 };
    when(spec.interval, INTERVAL)
        | when(!spec.data.is_empty(), MAP)
        | when(is_concat_of_ranges(spec), CONCAT)
}

fn put_field_widths(m: &mut Message, key: &[DatumType]) {
    m.nest(DESC_CONCAT, |m| {
        for field in key {
            m.nest(LIST_ELEM, |m| {
                put_u32(m, FIELD_LEN, datum::width(*field) as u32);
            });
        }
    });
}

/// The declaration in a `NFT_MSG_NEWSET`; `None` for another table's, a rule's own anonymous
/// set, or one without a name. A set of a kind that none of ours is has no key types.
pub fn parse(attrs: Attrs<'_>) -> Option<(NftName, SetSpec)> {
    let flags = get_u32(attrs, SET_FLAGS).unwrap_or(0);
    if !wire::is_ours(attrs) || flags & ANONYMOUS != 0 {
        return None;
    }
    let spec = parse_spec(attrs, flags).unwrap_or_else(unreadable);
    Some((NftName::from(attrs.text(SET_NAME)?), spec))
}

/// What stands for a set that none of ours can be.
pub fn unreadable() -> SetSpec {
    SetSpec {
        key: Vec::new(),
        data: Vec::new(),
        interval: false,
    }
}

fn parse_spec(attrs: Attrs<'_>, seen_flags: u32) -> Option<SetSpec> {
    let types = |kind: u16, len: u16| {
        let width = usize::try_from(get_u32(attrs, len)?).ok()?;
        datum::types_of(get_u32(attrs, kind)?, width)
    };
    let key = types(SET_KEY_TYPE, SET_KEY_LEN)?;
    let data = if seen_flags & MAP == 0 {
        Vec::new()
    } else {
        types(SET_DATA_TYPE, SET_DATA_LEN)?
    };
    let spec = SetSpec {
        interval: seen_flags & INTERVAL != 0,
        key,
        data,
    };
    (!spec.key.is_empty() && flags(&spec) == seen_flags).then_some(spec)
}

fn tlv(out: &mut Vec<u8>, kind: u8, data: &[u8]) {
    out.extend([kind, data.len() as u8]);
    out.extend_from_slice(data);
}

fn nested(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    fill(&mut out);
    out
}

/// Numbers here are in the machine's byte order: nft writes them so.
fn tlv_u32(out: &mut Vec<u8>, kind: u8, value: u32) {
    tlv(out, kind, &value.to_ne_bytes());
}

fn userdata(spec: &SetSpec) -> Vec<u8> {
    let is_raw = |t: &DatumType| matches!(t, DatumType::NdTarget | DatumType::VxlanEtherSaddr);
    let typeof_keys = spec.key.iter().any(is_raw);
    nested(|out| {
        tlv_u32(out, UDATA_KEY_BYTEORDER, byteorder(&spec.key));
        if !spec.data.is_empty() {
            tlv_u32(out, UDATA_DATA_BYTEORDER, byteorder(&spec.data));
        }
        put_typeof(out, UDATA_KEY_TYPEOF, &spec.key, typeof_keys);
        if !spec.data.is_empty() {
            put_typeof(out, UDATA_DATA_TYPEOF, &spec.data, typeof_keys);
            tlv_u32(out, UDATA_DATA_INTERVAL, 0);
        }
    })
}

/// `enum byteorder` of nft: 0 for a concatenation, 1 host, 2 network.
fn byteorder(types: &[DatumType]) -> u32 {
    match types {
        [DatumType::Ifname] => 1,
        [_] => 2,
        _ => 0,
    }
}

/// The expressions of a `typeof` declaration. Of one with `type`, nft still notes that it is a
/// concatenation.
fn put_typeof(out: &mut Vec<u8>, kind: u8, types: &[DatumType], spelled: bool) {
    if let [one] = types {
        if spelled {
            tlv(out, kind, &typeof_one(*one));
        }
        return;
    }
    let fields = nested(|out| {
        for (index, datum) in types.iter().enumerate().filter(|_| spelled) {
            tlv(out, index as u8, &typeof_one(*datum));
        }
    });
    let concat = nested(|out| {
        tlv_u32(out, 0, EXPR_CONCAT);
        tlv(out, 1, &fields);
    });
    tlv(out, kind, &concat);
}

/// The expression that stands for a type in `netstate`'s text: its kind and its numbers.
fn typeof_one(datum: DatumType) -> Vec<u8> {
    /// Keys of nft's meta template, protocol numbers and their fields of its header templates.
    const IIFNAME: &[u32] = &[6];
    const L4PROTO: &[u32] = &[16];
    const ETHER_SADDR: &[u32] = &[17, 2];
    const IP_SADDR: &[u32] = &[12, 11];
    const IP6_SADDR: &[u32] = &[13, 8];
    const TH_DPORT: &[u32] = &[11, 2];
    /// No protocol, no field: transport header, bit 64, 128 bits.
    const ND_TARGET: &[u32] = &[0, 0, 3, 64, 128];
    const VXLAN_ETHER_SADDR: &[u32] = &[0, 0, 3, 176, 48];
    let (kind, numbers) = match datum {
        DatumType::Ifname => (EXPR_META, IIFNAME),
        DatumType::InetProto => (EXPR_META, L4PROTO),
        DatumType::EtherAddr => (EXPR_PAYLOAD, ETHER_SADDR),
        DatumType::Ipv4Addr => (EXPR_PAYLOAD, IP_SADDR),
        DatumType::Ipv6Addr => (EXPR_PAYLOAD, IP6_SADDR),
        DatumType::InetService => (EXPR_PAYLOAD, TH_DPORT),
        DatumType::NdTarget => (EXPR_PAYLOAD, ND_TARGET),
        DatumType::VxlanEtherSaddr => (EXPR_PAYLOAD, VXLAN_ETHER_SADDR),
    };
    let data = nested(|out| {
        for (index, number) in numbers.iter().enumerate() {
            tlv_u32(out, index as u8, *number);
        }
    });
    nested(|out| {
        tlv_u32(out, 0, kind);
        tlv(out, 1, &data);
    })
}
