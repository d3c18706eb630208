//! Questions as they come from containers: read, or refused, or dropped.
//!
//! What is wrong is told from a few bytes of the header before anything is decoded.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name};

/// Bytes of a message's header (RFC 1035 section 4.1.1).
const HEADER: usize = 12;
/// The longest question looked at, in bytes: a name, and what resolvers add to it.
pub const QUESTION_MAX: usize = 4096;
/// The most records behind a question: EDNS, and a signature that nobody looks at.
const ADDITIONAL_MOST: u16 = 2;
/// What fits into any packet, with IPv6 and its headers (RFC 9715).
pub const UDP_PAYLOAD: u16 = 1232;
/// What may be sent to who does not say how much it takes (RFC 1035 section 4.2.1).
const UDP_PAYLOAD_LEAST: u16 = 512;

/// What a question came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    Udp,
    Tcp,
}

/// One question, and how to answer it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub id: u16,
    pub query: Query,
    pub recursion_desired: bool,
    pub checking_disabled: bool,
    pub edns: Option<Said>,
    pub carrier: Carrier,
}

/// What a question says about itself by EDNS (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    pub payload: u16,
    pub dnssec_ok: bool,
}

/// Bytes that are no question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoQuestion {
    /// Nobody is told: an answer to it might be a question to somebody else.
    Drop,
    /// The sender is told so.
    Refuse(Vec<u8>),
}

impl Question {
    /// # Errors
    /// What is to be done about bytes that are no question.
    pub fn read(bytes: &[u8], carrier: Carrier) -> Result<Self, NoQuestion> {
        let header = Header::of(bytes).ok_or(NoQuestion::Drop)?;
        if header.is_answer() {
            return Err(NoQuestion::Drop);
        }
        let refuse = |code| NoQuestion::Refuse(header.refusal(code));
        if header.op_code() != 0 {
            return Err(refuse(ResponseCode::NotImp));
        }
        let is_plain = header.counts[0] == 1 && header.counts[1] == 0 && header.counts[2] == 0;
        if !is_plain || header.counts[3] > ADDITIONAL_MOST || bytes.len() > QUESTION_MAX {
            return Err(refuse(ResponseCode::FormErr));
        }
        let message = Message::from_vec(bytes).map_err(|_| refuse(ResponseCode::FormErr))?;
        let query = message.queries.first().cloned();
        let question = Self {
            id: message.metadata.id,
            query: query.ok_or_else(|| refuse(ResponseCode::FormErr))?,
            recursion_desired: message.metadata.recursion_desired,
            checking_disabled: message.metadata.checking_disabled,
            edns: message.edns.as_ref().map(|edns| Said {
                payload: edns.max_payload(),
                dnssec_ok: edns.flags().dnssec_ok,
            }),
            carrier,
        };
        if message.version() > 0 {
            return Err(NoQuestion::Refuse(question.plain(ResponseCode::BADVERS)));
        }
        if question.query.query_class() != DNSClass::IN {
            return Err(NoQuestion::Refuse(question.plain(ResponseCode::Refused)));
        }
        Ok(question)
    }

    /// The most bytes of an answer.
    pub fn room(&self) -> usize {
        match self.carrier {
            Carrier::Tcp => usize::from(u16::MAX),
            Carrier::Udp => {
                let said = self.edns.map_or(UDP_PAYLOAD_LEAST, |said| said.payload);
                usize::from(said.clamp(UDP_PAYLOAD_LEAST, UDP_PAYLOAD))
            }
        }
    }

    /// The beginning of an answer.
    pub fn answer(&self, code: ResponseCode) -> Message {
        let mut message = Message::response(self.id, OpCode::Query);
        message.metadata.response_code = code;
        message.metadata.recursion_desired = self.recursion_desired;
        message.metadata.recursion_available = true;
        message.metadata.checking_disabled = self.checking_disabled;
        message.add_query(self.query.clone());
        message.edns = self.edns.map(|said| edns(said.dnssec_ok));
        message
    }

    /// An answer without records.
    pub fn plain(&self, code: ResponseCode) -> Vec<u8> {
        self.fitted(&self.answer(code))
    }

    /// An answer as bytes, cut where it is too long: who gets it then asks by TCP.
    pub fn fitted(&self, answer: &Message) -> Vec<u8> {
        match answer.to_vec() {
            Ok(bytes) if bytes.len() <= self.room() => bytes,
            Ok(_) if self.carrier == Carrier::Udp => answer.truncate().to_vec().unwrap_or_default(),
            _ => self
                .answer(ResponseCode::ServFail)
                .to_vec()
                .unwrap_or_default(),
        }
    }

    /// The name in lower case without its last dot; `None` where it can't be one of ours.
    pub fn name(&self) -> Option<String> {
        let mut text = String::new();
        for label in self.query.name().iter() {
            if !text.is_empty() {
                text.push('.');
            }
            for byte in label {
                if !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_') {
                    return None;
                }
                text.push(byte.to_ascii_lowercase().into());
            }
        }
        (!text.is_empty()).then_some(text)
    }

    /// The whole address that a name of the reverse trees stands for (RFC 1035 section 3.5, RFC
    /// 3596 section 2.5).
    pub fn address(&self) -> Option<IpAddr> {
        let name: &Name = self.query.name();
        let net = name.parse_arpa_name().ok()?;
        (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
    }
}

/// What we say by EDNS.
pub fn edns(dnssec_ok: bool) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD).set_dnssec_ok(dnssec_ok);
    edns
}

/// The header of a message.
struct Header {
    id: [u8; 2],
    flags: [u8; 2],
    /// Questions, answers, authorities, additional records.
    counts: [u16; 4],
}

impl Header {
    fn of(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let count = |n: usize| u16::from_be_bytes([header[4 + 2 * n], header[5 + 2 * n]]);
        Some(Self {
            id: [header[0], header[1]],
            flags: [header[2], header[3]],
            counts: [count(0), count(1), count(2), count(3)],
        })
    }

    fn is_answer(&self) -> bool {
        self.flags[0] & 0x80 != 0
    }

    fn op_code(&self) -> u8 {
        (self.flags[0] >> 3) & 0x0f
    }

    /// An answer that says nothing but why there is none.
    fn refusal(&self, code: ResponseCode) -> Vec<u8> {
        // An answer, with the operation and the wish for recursion as they came.
        let flags = [0x80 | (self.flags[0] & 0x79), code.low() & 0x0f];
        let mut bytes = [self.id, flags].concat();
        bytes.resize(HEADER, 0);
        bytes
    }
}
