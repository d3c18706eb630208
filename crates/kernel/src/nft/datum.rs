//! Values in keys and data: their bytes in registers, their numbers among nft's types.

use model::{IfName, Mac, Proto};
use netstate::nft::{Datum, DatumType};

use super::lower::{IFNAMSIZ, ifname};
use crate::netlink::c_string;

/// Bits of one type in the number of a concatenation (`TYPE_BITS` of nft).
const TYPE_BITS: u32 = 6;
const TYPE_MASK: u32 = (1 << TYPE_BITS) - 1;
const ALL: [DatumType; 8] = [
    DatumType::Ifname,
    DatumType::EtherAddr,
    DatumType::Ipv4Addr,
    DatumType::Ipv6Addr,
    DatumType::InetProto,
    DatumType::InetService,
    DatumType::NdTarget,
    DatumType::VxlanEtherSaddr,
];

/// The number that user space calls a type by; the kernel only keeps it (`enum datatypes` of
/// nft). What has no name there is an integer: which one its width says.
fn number(datum: DatumType) -> u32 {
    match datum {
        DatumType::NdTarget | DatumType::VxlanEtherSaddr => 4,
        DatumType::Ipv4Addr => 7,
        DatumType::Ipv6Addr => 8,
        DatumType::EtherAddr => 9,
        DatumType::InetProto => 12,
        DatumType::InetService => 13,
        DatumType::Ifname => 41,
    }
}

/// Bytes of a value.
pub fn width(datum: DatumType) -> usize {
    match datum {
        DatumType::Ifname => IFNAMSIZ,
        DatumType::EtherAddr | DatumType::VxlanEtherSaddr => 6,
        DatumType::Ipv4Addr => 4,
        DatumType::Ipv6Addr | DatumType::NdTarget => 16,
        DatumType::InetProto => 1,
        DatumType::InetService => 2,
    }
}

/// Bytes of a value as a field of a concatenation.
pub fn padded_width(datum: DatumType) -> usize {
    width(datum).next_multiple_of(4)
}

/// Bytes of a whole key or of whole data.
pub fn total_width(types: &[DatumType]) -> usize {
    match types {
        [one] => width(*one),
        many => many.iter().map(|datum| padded_width(*datum)).sum(),
    }
}

pub fn number_of_all(types: &[DatumType]) -> u32 {
    types
        .iter()
        .fold(0, |all, datum| all << TYPE_BITS | number(*datum))
}

/// The types behind a number, of this width together; `None` where one is none of ours.
pub fn types_of(number: u32, width: usize) -> Option<Vec<DatumType>> {
    let mut types = named_types(number)?;
    if total_width(&types) != width {
        for integer in types.iter_mut().filter(|t| **t == DatumType::NdTarget) {
            *integer = DatumType::VxlanEtherSaddr;
        }
    }
    (total_width(&types) == width).then_some(types)
}

fn named_types(mut all: u32) -> Option<Vec<DatumType>> {
    let mut types = Vec::new();
    while all != 0 {
        let of_number = |datum: &DatumType| number(*datum) == all & TYPE_MASK;
        types.push(ALL.into_iter().find(of_number)?);
        all >>= TYPE_BITS;
    }
    types.reverse();
    Some(types)
}

/// Appends the bytes of one value.
pub fn put(to: &mut Vec<u8>, datum: &Datum) {
    match datum {
        Datum::Ifname(name) => to.extend(ifname(name)),
        Datum::EtherAddr(mac) | Datum::VxlanEtherSaddr(mac) => to.extend(mac.bytes()),
        Datum::Ipv4Addr(address) => to.extend(address.octets()),
        Datum::Ipv6Addr(address) | Datum::NdTarget(address) => to.extend(address.octets()),
        Datum::InetProto(proto) => to.push(proto.number()),
        Datum::InetService(port) => to.extend(port.to_be_bytes()),
    }
}

/// Joins fields to a key or data; `put` appends one.
pub fn join<T>(fields: &[T], put: impl Fn(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut joined = Vec::new();
    for field in fields {
        put(&mut joined, field);
        if fields.len() > 1 {
            joined.resize(joined.len().next_multiple_of(4), 0);
        }
    }
    joined
}

/// Takes a key or data apart; `None` where the length is another.
pub fn split<'a>(types: &[DatumType], joined: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    if joined.len() < total_width(types) {
        return None;
    }
    let mut rest = joined;
    let mut fields = Vec::new();
    for datum in types {
        fields.push(rest.get(..width(*datum))?);
        rest = rest.get(padded_width(*datum)..).unwrap_or_default();
    }
    Some(fields)
}

/// A value from its bytes; `None` where they are no value of ours.
pub fn parse(datum: DatumType, bytes: &[u8]) -> Option<Datum> {
    Some(match datum {
        DatumType::Ifname => Datum::Ifname(c_string(bytes)?.parse::<IfName>().ok()?),
        DatumType::EtherAddr => Datum::EtherAddr(Mac::from_bytes(array(bytes)?).ok()?),
        DatumType::VxlanEtherSaddr => Datum::VxlanEtherSaddr(Mac::from_bytes(array(bytes)?).ok()?),
        DatumType::Ipv4Addr => Datum::Ipv4Addr(array::<4>(bytes)?.into()),
        DatumType::Ipv6Addr => Datum::Ipv6Addr(array::<16>(bytes)?.into()),
        DatumType::NdTarget => Datum::NdTarget(array::<16>(bytes)?.into()),
        DatumType::InetService => Datum::InetService(u16::from_be_bytes(array(bytes)?)),
        DatumType::InetProto => Datum::InetProto(proto(*bytes.first()?)?),
    })
}

/// The values of a whole key or data; `None` where a byte of it says something else.
pub fn parse_all(types: &[DatumType], joined: &[u8]) -> Option<Vec<Datum>> {
    let fields = split(types, joined)?;
    let pairs = types.iter().zip(fields);
    let data: Option<Vec<Datum>> = pairs.map(|(datum, field)| parse(*datum, field)).collect();
    data.filter(|data| join(data, put) == joined)
}

fn proto(number: u8) -> Option<Proto> {
    [Proto::Tcp, Proto::Udp, Proto::Sctp]
        .into_iter()
        .find(|proto| proto.number() == number)
}

fn array<const LEN: usize>(bytes: &[u8]) -> Option<[u8; LEN]> {
    bytes.try_into().ok()
}
