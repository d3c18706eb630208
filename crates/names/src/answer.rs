//! Answers: of our own names from the book, of all others as the asker's networks allow.

use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use model::Family;

use crate::book::{Addresses, Asker, Book, Others, Owner};
use crate::question::{Carrier, NoQuestion, Question};

/// How long an answer may be kept, in seconds: containers come and go.
const TTL_SECS: u32 = 5;
/// The most addresses in one answer; who asks again gets others.
const ADDRESSES_MOST: usize = 256;
/// Bytes of a header; of a question's type and class; of our EDNS record.
const FIXED: usize = 12 + 4 + 11;
/// Bytes of a record whose name points to the question's, without its data.
const RECORD: usize = 12;

/// What becomes of bytes that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Drop,
    Answer(Vec<u8>),
    /// The node's resolvers may know.
    Forward(Question),
}

/// Answers, each time with another address first.
#[derive(Debug, Default)]
pub struct Answering {
    turn: usize,
}

impl Answering {
    pub fn outcome(
        &mut self,
        book: &Book,
        asker: &Asker,
        bytes: &[u8],
        carrier: Carrier,
    ) -> Outcome {
        let question = match Question::read(bytes, carrier) {
            Ok(question) => question,
            Err(NoQuestion::Drop) => return Outcome::Drop,
            Err(NoQuestion::Refuse(bytes)) => return Outcome::Answer(bytes),
        };
        if let Some(answer) = self.own(book, asker, &question) {
            return Outcome::Answer(question.fitted(&answer));
        }
        match asker.others {
            Others::Forwarded => Outcome::Forward(question),
            // Not "refused": a resolver goes on with its other suffixes, and a program is told at
            // once that there is no such name, which inside this network is the truth.
            Others::Missing => Outcome::Answer(question.plain(ResponseCode::NXDomain)),
            Others::Refused => Outcome::Answer(question.plain(ResponseCode::Refused)),
        }
    }

    /// The answer where the name is ours.
    fn own(&mut self, book: &Book, asker: &Asker, question: &Question) -> Option<Message> {
        if let Some(address) = question.address() {
            return reverse(book.owner(asker, address), question);
        }
        let addresses = book.addresses(asker, &question.name()?)?;
        let mut answer = ours(question, ResponseCode::NoError);
        let wanted = self.turned(of_type(question.query.query_type(), addresses));
        let most = room_for(question, &wanted).min(ADDRESSES_MOST);
        answer.metadata.truncation = question.carrier == Carrier::Udp && most < wanted.len();
        for address in wanted.into_iter().take(most) {
            answer.add_answer(record(question, data(address)));
        }
        Some(answer)
    }

    /// This node's own first: what is near costs the underlay nothing.
    fn turned(&mut self, addresses: Addresses) -> Vec<IpAddr> {
        let mut all = Vec::new();
        for mut group in [addresses.near, addresses.far] {
            if !group.is_empty() {
                let first = self.turn % group.len();
                group.rotate_left(first);
            }
            all.append(&mut group);
        }
        if !all.is_empty() {
            self.turn = self.turn.wrapping_add(1);
        }
        all
    }
}

fn ours(question: &Question, code: ResponseCode) -> Message {
    let mut answer = question.answer(code);
    answer.metadata.authoritative = true;
    answer
}

fn record(question: &Question, data: RData) -> Record {
    Record::from_rdata(question.query.name().clone(), TTL_SECS, data)
}

fn data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    }
}

fn of_type(kind: RecordType, mut addresses: Addresses) -> Addresses {
    let fits = |address: &IpAddr| match (kind, Family::of(*address)) {
        (RecordType::ANY, _) | (RecordType::A, Family::Ipv4) | (RecordType::AAAA, Family::Ipv6) => {
            true
        }
        // There is the name, and it has no such record.
        _ => false,
    };
    addresses.near.retain(fits);
    addresses.far.retain(fits);
    addresses
}

/// How many of the addresses the answer has room for: a resolver that can't ask by TCP makes do
/// with these.
fn room_for(question: &Question, addresses: &[IpAddr]) -> usize {
    let bytes = |address: &IpAddr| match Family::of(*address) {
        Family::Ipv4 => RECORD + 4,
        Family::Ipv6 => RECORD + 16,
    };
    let longest = addresses.iter().map(bytes).max().unwrap_or(RECORD);
    let name = question.query.name().len() + 1;
    question.room().saturating_sub(FIXED + name) / longest
}

fn reverse(owner: Owner<'_>, question: &Question) -> Option<Message> {
    let name = match owner {
        Owner::Elsewhere => return None,
        // Never asked outside: whose addresses these are, only this node knows.
        Owner::Nobody => return Some(ours(question, ResponseCode::NXDomain)),
        Owner::Named(name) => name,
    };
    let mut answer = ours(question, ResponseCode::NoError);
    let asked = matches!(
        question.query.query_type(),
        RecordType::PTR | RecordType::ANY
    );
    if let (true, Ok(name)) = (asked, Name::from_ascii(format!("{name}."))) {
        answer.add_answer(record(question, RData::PTR(PTR(name))));
    }
    Some(answer)
}

#[cfg(test)]
mod tests;
