//! A client that asks for names, and a resolver to be asked. What it cannot send or read is a fault
//! of the test.

#![allow(clippy::unwrap_used, reason = "a test's own ground")]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::{Netns, wait_until};

/// How long a server may take to notice, and an answer to come.
pub const SOON: Duration = Duration::from_secs(10);
/// How long nothing must come.
const NEVER: Duration = Duration::from_millis(700);

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

/// What the server at `server` answers in a namespace; `None` where it does not.
pub fn ask(from: &str, server: &str, name: &str, kind: RecordType) -> Option<Message> {
    ask_within(NEVER * 8, &Netns::named(from), server, name, kind)
}

pub fn ask_within(
    bound: Duration,
    from: &Netns,
    server: &str,
    name: &str,
    kind: RecordType,
) -> Option<Message> {
    let question = question(name, kind);
    let server = SocketAddr::new(server.parse().unwrap(), 53);
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let heard = from.run(|| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.set_read_timeout(Some(bound)).ok()?;
        socket.connect(server).ok()?;
        socket.send(&question.to_vec().ok()?).ok()?;
        let mut bytes = [0; 4096];
        let n = socket.recv(&mut bytes).ok()?;
        Some(bytes[..n].to_vec())
    })?;
    let answer = Message::from_vec(&heard).unwrap();
    assert_eq!(answer.metadata.id, question.metadata.id);
    Some(answer)
}

/// That nobody answers, from a namespace.
pub fn is_silent(from: &Netns, server: &str, name: &str) -> bool {
    ask_within(NEVER, from, server, name, RecordType::A).is_none()
}

/// The same by TCP.
pub fn ask_by_tcp(from: &str, server: &str, name: &str, kind: RecordType) -> Message {
    let question = question(name, kind).to_vec().unwrap();
    let server = SocketAddr::new(server.parse().unwrap(), 53);
    let heard = Netns::named(from).run(|| {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let length = u16::try_from(question.len()).unwrap().to_be_bytes();
        stream
            .write_all(&[&length[..], &question].concat())
            .unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut bytes = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    });
    Message::from_vec(&heard).unwrap()
}

/// The addresses of an answer, sorted.
pub fn addresses(answer: &Message) -> Vec<String> {
    let of = |record: &Record| match &record.data {
        RData::A(a) => Some(a.0.to_string()),
        RData::AAAA(a) => Some(a.0.to_string()),
        _ => None,
    };
    let mut all: Vec<String> = answer.answers.iter().filter_map(of).collect();
    all.sort();
    all
}

/// Waits until a name has exactly these IPv4 addresses.
pub fn wait_for(from: &str, server: &str, name: &str, expected: &[&str]) {
    wait_until(&format!("{name} is {expected:?}"), SOON, || {
        ask(from, server, name, RecordType::A).is_some_and(|a| addresses(&a) == expected)
    });
}

/// A resolver that answers as `with` makes of each question, by UDP and TCP, until the test ends.
pub fn resolver(netns: &Netns, address: &str, with: fn(&Message, By) -> Vec<Message>) {
    let address: IpAddr = address.parse().unwrap();
    let udp = netns.run(|| UdpSocket::bind((address, 53)).unwrap());
    let tcp = netns.run(|| TcpListener::bind((address, 53)).unwrap());
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok((n, from)) = udp.recv_from(&mut bytes) {
            for answer in with(&Message::from_vec(&bytes[..n]).unwrap(), By::Udp) {
                udp.send_to(&answer.to_vec().unwrap(), from).unwrap();
            }
        }
    });
    thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut bytes = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut bytes).unwrap();
            for answer in with(&Message::from_vec(&bytes).unwrap(), By::Tcp) {
                let bytes = answer.to_vec().unwrap();
                let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length[..], &bytes].concat()).unwrap();
            }
        }
    });
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Udp,
    Tcp,
}

/// An answer to a question, with this address.
pub fn reply(question: &Message, address: &str) -> Message {
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.response_code = ResponseCode::NoError;
    answer.metadata.recursion_available = true;
    let query = question.queries[0].clone();
    let data = RData::A(address.parse().unwrap());
    answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    answer.add_query(query);
    answer
}
