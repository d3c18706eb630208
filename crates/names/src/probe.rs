//! Asking the server whether it is there.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};

use crate::resolvers::PORT;

/// How long an answer may take that comes from memory, on the same machine.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether questions to this address of the node are answered, asked from the node.
pub fn answers(gateway: IpAddr) -> bool {
    asked(gateway).unwrap_or(false)
}

fn asked(gateway: IpAddr) -> io::Result<bool> {
    let socket = UdpSocket::bind((gateway, 0))?;
    socket.connect((gateway, PORT))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut question = Message::query();
    question.add_query(Query::query(Name::root(), RecordType::NS));
    let id = question.metadata.id;
    socket.send(&question.to_vec().map_err(io::Error::other)?)?;
    let mut bytes = [0; 512];
    let n = socket.recv(&mut bytes)?;
    Ok(bytes[..n].starts_with(&id.to_be_bytes()))
}
