//! Bytes from the kernel may be anybody's: no decoder panics on any.

use netstate::nft::{DatumType, NftFamily, SetSpec};
use proptest::prelude::*;

use super::super::{chain, decode, element, lift, set, table, transaction};
use super::fixture;
use super::kernel::in_fresh_netns;
use crate::netlink::{Attrs, Socket};

fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(((data.len() + 4) as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Attributes nested at random, with the numbers and names that the readers look for.
fn attributes() -> impl Strategy<Value = Vec<u8>> {
    let names = [
        "meta",
        "payload",
        "cmp",
        "bitwise",
        "lookup",
        "immediate",
        "ct",
        "fib",
        "nat",
        "exthdr",
        "masq",
        "byteorder",
        "pontoon",
        "filter",
    ];
    let word = proptest::sample::select(names.to_vec());
    let word = word.prop_map(|name| format!("{name}\0").into_bytes());
    let small = (0u32..30).prop_map(|number| number.to_be_bytes().to_vec());
    let leaf = prop_oneof![small, word, proptest::collection::vec(any::<u8>(), 0..40)];
    leaf.prop_recursive(5, 64, 8, |inner| {
        proptest::collection::vec((1u16..12, inner), 0..8).prop_map(|attributes| {
            let bytes = attributes.iter().map(|(kind, data)| attribute(*kind, data));
            bytes.collect::<Vec<_>>().concat()
        })
    })
}

fn read_all(bytes: &[u8]) {
    let attrs = Attrs::new(bytes);
    let any_map = |_: &_| true;
    let _ = (table::parse(attrs), set::parse(attrs), chain::parse(attrs));
    let _ = decode::names(attrs);
    for family in [NftFamily::Inet, NftFamily::Bridge] {
        let _ = chain::parse_rule(family, attrs, &any_map);
        if let Some(instructions) = decode::get_all(attrs) {
            let _ = lift::lift(family, &instructions, &any_map);
        }
    }
    if let Some((_, elements)) = element::parse_list(attrs) {
        for spec in specs() {
            let _ = element::lift(&spec, elements.clone());
        }
    }
}

fn specs() -> Vec<SetSpec> {
    let spec = |key: &[DatumType], data: &[DatumType], interval| SetSpec {
        key: key.to_vec(),
        data: data.to_vec(),
        interval,
    };
    vec![
        spec(&[], &[], false),
        spec(&[DatumType::Ipv4Addr], &[], true),
        spec(&[DatumType::Ifname], &[DatumType::Ipv6Addr], false),
        spec(
            &[
                DatumType::Ipv4Addr,
                DatumType::InetProto,
                DatumType::InetService,
            ],
            &[DatumType::Ipv4Addr],
            true,
        ),
    ]
}

/// Every message about our tables, as the kernel sent it, without its fixed header.
fn real_messages(socket: &mut Socket) -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    for family in [NftFamily::Inet, NftFamily::Bridge] {
        requests.extend([
            table::get(family),
            set::get_all(family),
            chain::get_all(family),
        ]);
    }
    let state = fixture::state();
    requests.extend(state.chains.keys().map(chain::get_rules));
    requests.extend(state.sets.keys().map(element::get_all));
    let mut messages = Vec::new();
    for request in requests {
        let body = |_, payload: &[u8]| Some(payload.get(4..)?.to_vec());
        messages.extend(socket.dump(&request, body).unwrap());
    }
    messages
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_attributes_make_a_reader_panic(bytes in attributes()) {
        read_all(&bytes);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
        read_all(&bytes);
    }
}

#[test]
fn no_damage_to_a_real_message_makes_a_reader_panic() {
    in_fresh_netns(|socket| {
        transaction(socket, &fixture::steps()).unwrap();
        let messages = real_messages(socket);
        let count = messages.len();
        assert!(count > 100, "{count}");
        let damage = proptest::collection::vec((any::<usize>(), any::<u8>()), 0..4);
        let cases = ProptestConfig::with_cases(20_000);
        proptest!(cases, |(which in 0..count, damage in damage, cut: u16)| {
            let mut bytes = messages[which].clone();
            for (at, byte) in damage {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            bytes.truncate(usize::from(cut).max(8));
            read_all(&bytes);
        });
    });
}
