//! Questions against a book: what is answered, cut, refused, dropped.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::op::{Edns, MessageType, OpCode, Query};
use model::{Names, Reach};
use proptest::prelude::*;

use super::*;
use crate::fixture::{endpoint, network};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A network with `alone`, and so many containers that share the alias `all`.
fn book(reach: Reach, shared: u32) -> (Book, Asker) {
    let mut endpoints = vec![endpoint(1, 2, "alone", &[])];
    for host in 3..3 + shared {
        endpoints.push(endpoint(1, host, &format!("c{host}"), &["all"]));
    }
    let book = Book::new(&[network(1, "web", Names::On, reach)], &endpoints, None);
    let asker = book.asker(ip("10.1.0.2"), ip("10.1.0.1")).unwrap().clone();
    (book, asker)
}

fn asked(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(77, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn outcome(reach: Reach, bytes: &[u8], carrier: Carrier) -> Outcome {
    let (book, asker) = book(reach, 60);
    Answering::default().outcome(&book, &asker, bytes, carrier)
}

fn answered(message: &Message, carrier: Carrier) -> Message {
    match outcome(Reach::Outside, &message.to_vec().unwrap(), carrier) {
        Outcome::Answer(bytes) => Message::from_vec(&bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn addresses(message: &Message) -> Vec<IpAddr> {
    let of = |record: &Record| match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(a) => Some(IpAddr::V6(a.0)),
        _ => None,
    };
    message.answers.iter().filter_map(of).collect()
}

#[test]
fn a_name_has_its_address_of_either_family() {
    for (kind, address) in [(RecordType::A, "10.1.0.2"), (RecordType::AAAA, "fd00:1::2")] {
        let answer = answered(&asked("aLONE.", kind), Carrier::Udp);
        assert_eq!(addresses(&answer), [ip(address)]);
        assert_eq!(answer.metadata.id, 77);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert!(answer.metadata.authoritative && answer.metadata.recursion_available);
        // As it was written: resolvers may compare it.
        assert!(
            answer.queries[0]
                .name()
                .eq_case(&Name::from_ascii("aLONE.").unwrap())
        );
    }
    let none = answered(&asked("alone.", RecordType::MX), Carrier::Udp);
    assert_eq!(none.metadata.response_code, ResponseCode::NoError);
    assert!(none.answers.is_empty());
}

#[test]
fn addresses_take_turns() {
    let (book, asker) = book(Reach::Outside, 3);
    let question = asked("all.", RecordType::A).to_vec().unwrap();
    let mut answering = Answering::default();
    let firsts = (0..3).map(
        |_| match answering.outcome(&book, &asker, &question, Carrier::Udp) {
            Outcome::Answer(bytes) => addresses(&Message::from_vec(&bytes).unwrap())[0],
            other => panic!("{other:?}"),
        },
    );
    assert_eq!(firsts.collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn what_does_not_fit_is_cut_and_whole_by_tcp() {
    let question = asked("all.", RecordType::AAAA);
    let short = answered(&question, Carrier::Udp);
    assert!(short.metadata.truncation);
    assert!(short.to_vec().unwrap().len() <= 512 && short.answers.len() > 10);
    let mut with_edns = question.clone();
    with_edns.set_edns(crate::question::edns(false));
    let longer = answered(&with_edns, Carrier::Udp);
    assert!(longer.metadata.truncation && longer.edns.is_some());
    assert!(longer.answers.len() > short.answers.len());
    assert!(longer.to_vec().unwrap().len() <= 1232);
    let whole = answered(&question, Carrier::Tcp);
    assert!(!whole.metadata.truncation);
    assert_eq!(addresses(&whole).len(), 60);
}

#[test]
fn addresses_have_their_names_and_nobody_is_asked_for_them_outside() {
    let answer = answered(
        &asked("2.0.1.10.in-addr.arpa.", RecordType::PTR),
        Carrier::Udp,
    );
    let [
        Record {
            data: RData::PTR(name),
            ..
        },
    ] = answer.answers.as_slice()
    else {
        panic!("{answer:?}");
    };
    assert_eq!(name.0.to_ascii(), "alone.");
    let v6 = format!("2.{}1.0.0.0.0.0.d.f.ip6.arpa.", "0.".repeat(23));
    assert_eq!(
        answered(&asked(&v6, RecordType::PTR), Carrier::Udp)
            .answers
            .len(),
        1
    );
    let free = answered(
        &asked("250.0.1.10.in-addr.arpa.", RecordType::PTR),
        Carrier::Udp,
    );
    assert_eq!(free.metadata.response_code, ResponseCode::NXDomain);
    let foreign = asked("1.2.0.192.in-addr.arpa.", RecordType::PTR)
        .to_vec()
        .unwrap();
    let forwarded = outcome(Reach::Outside, &foreign, Carrier::Udp);
    assert!(matches!(forwarded, Outcome::Forward(_)), "{forwarded:?}");
}

#[test]
fn others_names_are_asked_for_but_not_of_internal_networks() {
    let question = asked("example.org.", RecordType::A).to_vec().unwrap();
    let open = outcome(Reach::Outside, &question, Carrier::Udp);
    assert!(matches!(open, Outcome::Forward(_)), "{open:?}");
    let Outcome::Answer(bytes) = outcome(Reach::Internal, &question, Carrier::Udp) else {
        panic!("an internal network's question went out");
    };
    let answer = Message::from_vec(&bytes).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn what_is_no_question_of_ours_is_refused_or_dropped() {
    let good = asked("alone.", RecordType::A);
    let code = |bytes: &[u8]| match outcome(Reach::Outside, bytes, Carrier::Udp) {
        Outcome::Answer(bytes) => Some(Message::from_vec(&bytes).unwrap().metadata.response_code),
        Outcome::Drop => None,
        other => panic!("{other:?}"),
    };
    let bytes = good.to_vec().unwrap();
    assert_eq!(code(&[]), None);
    assert_eq!(code(&bytes[..11]), None);
    let mut reply = good.clone();
    reply.metadata.message_type = MessageType::Response;
    assert_eq!(
        code(&reply.to_vec().unwrap()),
        None,
        "an answer is never answered"
    );
    let mut status = good.clone();
    status.metadata.op_code = OpCode::Status;
    assert_eq!(code(&status.to_vec().unwrap()), Some(ResponseCode::NotImp));
    assert_eq!(code(&bytes[..12]), Some(ResponseCode::FormErr));
    let mut two = good.clone();
    two.add_query(good.queries[0].clone());
    assert_eq!(code(&two.to_vec().unwrap()), Some(ResponseCode::FormErr));
    let mut chaos = good.clone();
    chaos.queries[0].set_query_class(hickory_proto::rr::DNSClass::CH);
    assert_eq!(code(&chaos.to_vec().unwrap()), Some(ResponseCode::Refused));
    let mut newer = good.clone();
    let mut edns = Edns::new();
    edns.set_version(1);
    newer.set_edns(edns);
    let version = code(&newer.to_vec().unwrap()).map(u16::from);
    assert_eq!(version, Some(ResponseCode::BADVERS.into()));
    // A name that points to itself; a count of questions that would fill the memory.
    let mut looping = bytes[..12].to_vec();
    looping.extend([0xc0, 0x0c, 0, 1, 0, 1]);
    assert_eq!(code(&looping), Some(ResponseCode::FormErr));
    let mut many = bytes.clone();
    many[4..6].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(code(&many), Some(ResponseCode::FormErr));
    let mut huge = bytes;
    huge.resize(crate::question::QUESTION_MAX + 1, 0);
    assert_eq!(code(&huge), Some(ResponseCode::FormErr));
}

proptest! {
    /// Whatever comes, what goes back is a message of its number, and no longer than it may be.
    #[test]
    fn any_bytes_are_survived(
        mut bytes in prop::collection::vec(any::<u8>(), 0..600),
        is_question in any::<bool>(),
    ) {
        if is_question && bytes.len() > 12 {
            bytes[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        }
        match outcome(Reach::Internal, &bytes, Carrier::Udp) {
            Outcome::Drop => {}
            Outcome::Answer(answer) => {
                prop_assert!(answer.len() <= 1232);
                prop_assert_eq!(&answer[..2], &bytes[..2]);
                prop_assert!(Message::from_vec(&answer).is_ok());
            }
            Outcome::Forward(question) => prop_assert!(false, "{:?}", question),
        }
    }

    /// Any bit of a good question may be another one.
    #[test]
    fn damaged_questions_are_survived(at in 0_usize..40, bit in 0_u8..8) {
        let mut bytes = asked("all.", RecordType::A);
        bytes.set_edns(crate::question::edns(true));
        let mut bytes = bytes.to_vec().unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Outcome::Answer(answer) = outcome(Reach::Internal, &bytes, Carrier::Udp) {
            prop_assert!(Message::from_vec(&answer).is_ok());
        }
    }
}
