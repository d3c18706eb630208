//! Elements of sets and maps, to and from `NFT_MSG_NEWSETELEM`.
//!
//! The kernel has three forms of a key: a value, in a concatenation of ranges both ends, and in
//! a set of plain ranges two elements: where the range starts, and where it no longer is.

use model::PortRange;
use netstate::nft::{Datum, Item, NftName, SetKey, SetSpec};

use super::datum;
use super::set::is_concat_of_ranges;
use super::wire::{self, Kind, LIST_ELEM, NLM_F_CREATE, get_u32, get_value, message, put_u32};
use crate::netlink::{Attrs, Message};

/// `enum nft_set_elem_list_attributes`.
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
/// `enum nft_set_elem_attributes`.
const ELEM_KEY: u16 = 1;
const ELEM_DATA: u16 = 2;
const ELEM_FLAGS: u16 = 3;
const ELEM_TIMEOUT: u16 = 4;
const ELEM_EXPR: u16 = 7;
const ELEM_OBJREF: u16 = 9;
const ELEM_KEY_END: u16 = 10;
const ELEM_EXPRESSIONS: u16 = 11;
const INTERVAL_END: u32 = 1;

/// One element as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawElement {
    key: Vec<u8>,
    key_end: Option<Vec<u8>>,
    data: Vec<u8>,
    /// In a set of plain ranges: the first key behind a range.
    is_end: bool,
    /// Timeouts, expressions, verdicts, catch-all: nothing that ours have.
    is_foreign: bool,
}

/// Whether a key is written the same whatever its set: of one field it is not, for a value may be
/// one of a set of plain ranges. A concatenation without ranges is a value also in a set of them,
/// where none of ours stands: nft 1.0.6 would list it wrong.
pub fn tells_its_form(key: &[Item]) -> bool {
    key.len() > 1
}

/// The kernel's elements for one of ours, in the form that its set has, or where that is not known
/// in the form that the key tells.
pub fn raw(spec: Option<&SetSpec>, key: &[Item], data: &[Datum]) -> Vec<RawElement> {
    let element = |key: Vec<u8>| RawElement {
        key,
        key_end: None,
        data: datum::join(data, datum::put),
        is_end: false,
        is_foreign: false,
    };
    let has_range = key.iter().any(|item| !matches!(item, Item::One(_)));
    let is_of_ranges = spec.map_or(has_range, |spec| spec.interval);
    let mut start = element(datum::join(key, put_first));
    if !is_of_ranges {
        return vec![start];
    }
    let last = datum::join(key, put_last);
    if tells_its_form(key) {
        start.key_end = Some(last);
        return vec![start];
    }
    let behind = successor(&last).map(|key| RawElement {
        is_end: true,
        data: Vec::new(),
        ..element(key)
    });
    [start].into_iter().chain(behind).collect()
}

/// Whether the kernel has two elements for each of ours.
pub fn is_of_plain_ranges(spec: &SetSpec) -> bool {
    spec.interval && !is_concat_of_ranges(spec)
}

/// Appends the first value of an item.
fn put_first(to: &mut Vec<u8>, item: &Item) {
    match item {
        Item::One(first) | Item::Range(first, _) => datum::put(to, first),
        Item::Ports(range) => datum::put(to, &Datum::InetService(range.first())),
        Item::Prefix(prefix) => datum::put(to, &Datum::address(prefix.address())),
    }
}

/// Appends the last value of an item.
fn put_last(to: &mut Vec<u8>, item: &Item) {
    match item {
        Item::One(last) | Item::Range(_, last) => datum::put(to, last),
        Item::Ports(range) => datum::put(to, &Datum::InetService(range.last())),
        Item::Prefix(prefix) => datum::put(to, &Datum::address(prefix.last())),
    }
}

/// The next value; none behind the highest.
fn successor(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut next = bytes.to_vec();
    for byte in next.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(next);
        }
    }
    None
}

/// The value before; none before the lowest.
fn predecessor(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut before = bytes.to_vec();
    for byte in before.iter_mut().rev() {
        *byte = byte.wrapping_sub(1);
        if *byte != 0xff {
            return Some(before);
        }
    }
    None
}

pub fn add(set: &SetKey, elements: &[RawElement]) -> Message {
    list(Kind::NewSetElem, NLM_F_CREATE, set, elements)
}

pub fn delete(set: &SetKey, elements: &[RawElement]) -> Message {
    list(Kind::DelSetElem, 0, set, elements)
}

/// The request for one element.
pub fn get(set: &SetKey, element: &RawElement) -> Message {
    let wanted = RawElement {
        data: Vec::new(),
        ..element.clone()
    };
    list(Kind::GetSetElem, 0, set, &[wanted])
}

/// The request for all elements of a set.
pub fn get_all(set: &SetKey) -> Message {
    let mut m = message(Kind::GetSetElem, 0, set.family);
    m.attr_str(LIST_SET, set.name.as_str());
    m
}

fn list(kind: Kind, flags: u16, set: &SetKey, elements: &[RawElement]) -> Message {
    let mut m = message(kind, flags, set.family);
    m.attr_str(LIST_SET, set.name.as_str());
    m.nest(LIST_ELEMENTS, |m| {
        for element in elements {
            m.nest(LIST_ELEM, |m| put(m, element));
        }
    });
    m
}

fn put(m: &mut Message, element: &RawElement) {
    if element.is_end {
        put_u32(m, ELEM_FLAGS, INTERVAL_END);
    }
    wire::put_value(m, ELEM_KEY, &element.key);
    if let Some(end) = &element.key_end {
        wire::put_value(m, ELEM_KEY_END, end);
    }
    if !element.data.is_empty() {
        wire::put_value(m, ELEM_DATA, &element.data);
    }
}

/// The elements in one `NFT_MSG_NEWSETELEM`, and whose they are; `None` for another table's.
pub fn parse_list(attrs: Attrs<'_>) -> Option<(NftName, Vec<RawElement>)> {
    wire::is_ours(attrs).then_some(())?;
    let elements = attrs.nested(LIST_ELEMENTS);
    let parsed = elements.map(|(_, element)| parse(Attrs::new(element)));
    Some((NftName::from(attrs.text(LIST_SET)?), parsed.collect()))
}

fn parse(attrs: Attrs<'_>) -> RawElement {
    let value = |kind| get_value(attrs, kind).map(<[u8]>::to_vec);
    let flags = get_u32(attrs, ELEM_FLAGS).unwrap_or(0);
    let has = |kind| attrs.get(kind).is_some();
    let is_foreign = flags & !INTERVAL_END != 0
        || [ELEM_TIMEOUT, ELEM_EXPR, ELEM_OBJREF, ELEM_EXPRESSIONS]
            .into_iter()
            .any(has);
    RawElement {
        is_foreign: is_foreign || !has(ELEM_KEY),
        key: value(ELEM_KEY).unwrap_or_default(),
        key_end: value(ELEM_KEY_END),
        data: value(ELEM_DATA).unwrap_or_default(),
        is_end: flags & INTERVAL_END != 0,
    }
}

/// An element in our words.
pub type Lifted = (Vec<Item>, Vec<Datum>);

/// A set's elements in our words: those that can be said in them, and whether that is all.
pub fn lift(spec: &SetSpec, raw: Vec<RawElement>) -> (Vec<Lifted>, bool) {
    let raw = if is_of_plain_ranges(spec) {
        close_ranges(raw, datum::total_width(&spec.key))
    } else {
        raw
    };
    let count = raw.len();
    let lifted: Vec<_> = raw.iter().filter_map(|one| lift_one(spec, one)).collect();
    let all_readable = lifted.len() == count;
    (lifted, all_readable)
}

/// Turns starts and ends of plain ranges into elements with both.
fn close_ranges(mut raw: Vec<RawElement>, width: usize) -> Vec<RawElement> {
    raw.sort_by(|a, b| (&a.key, !a.is_end).cmp(&(&b.key, !b.is_end)));
    let mut ranges: Vec<RawElement> = Vec::new();
    for element in raw {
        if let Some(open) = ranges.last_mut().filter(|last| last.key_end.is_none()) {
            open.key_end = predecessor(&element.key);
        }
        if !element.is_end {
            ranges.push(RawElement {
                key_end: None,
                ..element
            });
        }
    }
    if let Some(open) = ranges.last_mut().filter(|last| last.key_end.is_none()) {
        open.key_end = Some(vec![0xff; width]);
    }
    ranges
}

fn lift_one(spec: &SetSpec, raw: &RawElement) -> Option<Lifted> {
    if raw.is_foreign || raw.is_end {
        return None;
    }
    let first = datum::parse_all(&spec.key, &raw.key)?;
    let key = match (&raw.key_end, spec.interval) {
        (Some(end), true) => {
            let last = datum::parse_all(&spec.key, end)?;
            let pairs = first.into_iter().zip(last);
            pairs.map(item).collect::<Option<Vec<Item>>>()?
        }
        (None, _) => first.into_iter().map(Item::One).collect(),
        (Some(_), false) => return None,
    };
    Some((key, datum::parse_all(&spec.data, &raw.data)?))
}

/// One value where both ends are the same, what its type has for several otherwise.
fn item((first, last): (Datum, Datum)) -> Option<Item> {
    if first == last {
        return Some(Item::One(first));
    }
    match (&first, &last) {
        (Datum::InetService(first), Datum::InetService(last)) => {
            PortRange::new(*first, *last).ok().map(Item::Ports)
        }
        (Datum::Ipv4Addr(first), Datum::Ipv4Addr(last)) => {
            Some(Item::addresses((*first).into(), (*last).into()))
        }
        (Datum::Ipv6Addr(first), Datum::Ipv6Addr(last)) => {
            Some(Item::addresses((*first).into(), (*last).into()))
        }
        (Datum::EtherAddr(_), Datum::EtherAddr(_))
        | (Datum::VxlanEtherSaddr(_), Datum::VxlanEtherSaddr(_))
        | (Datum::NdTarget(_), Datum::NdTarget(_)) => Some(Item::Range(first, last)),
        _ => None,
    }
}
