//! A name server outside that knows one name.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

use testnet::Netns;

pub const NAME: &str = "name.test";
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);

/// Bytes of a message's header (RFC 1035 4.1.1), and of a question's type and class (4.1.2).
const HEADER: usize = 12;
const TYPE_AND_CLASS: usize = 4;
const MESSAGE_BYTES: usize = 512;
const TYPE_A: [u8; 2] = [0, 1];
/// Response, recursion desired and available, no error or no such name.
const ANSWERED: [u8; 2] = [0x81, 0x80];
const NO_SUCH_NAME: [u8; 2] = [0x81, 0x83];

/// Answers at `address` in that namespace until the test ends.
pub fn serve(netns: &Netns, address: SocketAddr) {
    let socket = netns
        .run(|| UdpSocket::bind(address))
        .unwrap_or_else(|error| panic!("cannot serve names at {address}: {error}"));
    thread::spawn(move || while answer_one(&socket).is_ok() {});
}

fn answer_one(socket: &UdpSocket) -> io::Result<()> {
    let mut query = [0; MESSAGE_BYTES];
    let (length, client) = socket.recv_from(&mut query)?;
    if let Some(answer) = answer(&query[..length]) {
        socket.send_to(&answer, client)?;
    }
    Ok(())
}

/// None for what is not a query with one whole question.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let name = wire_name();
    let known = query.get(HEADER..)?.starts_with(&name);
    let name_bytes = query.get(HEADER..)?.iter().position(|byte| *byte == 0)? + 1;
    let question = query.get(HEADER..HEADER + name_bytes + TYPE_AND_CLASS)?;
    // The name is there; it has no addresses but the one.
    let is_a = question[name_bytes..].starts_with(&TYPE_A);
    let answers = u8::from(known && is_a);
    let mut answer = query[..2].to_vec();
    answer.extend(if known { ANSWERED } else { NO_SUCH_NAME });
    answer.extend([0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(question);
    if answers == 1 {
        // A pointer to the question's name, type A, class IN, a minute, four bytes.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(ADDRESS.octets());
    }
    Some(answer)
}

fn wire_name() -> Vec<u8> {
    let mut wire = Vec::new();
    for label in NAME.split('.') {
        wire.push(u8::try_from(label.len()).expect("labels are short"));
        wire.extend(label.bytes());
    }
    wire.push(0);
    wire
}
