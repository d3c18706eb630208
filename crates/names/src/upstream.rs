//! One question on its way to the node's resolvers: by UDP, by TCP where the answer is longer, to
//! the next resolver where one is silent.
//!
//! Each try has a socket of its own at a port of the kernel's choice, connected, and a random
//! number: what does not come from who was asked, with the number and the question, is no answer.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use crate::frames::Frames;
use crate::question::{Question, edns};

/// How long one resolver has. All tries together end before the container's own resolver gives up
/// or asks again (5 seconds, resolv.conf(5)).
const TRY: Duration = Duration::from_millis(1_500);
/// How often a question is asked at most, of however many resolvers.
const TRIES: usize = 3;
/// The longest answer by UDP that is read, in bytes.
const DATAGRAM: usize = 4096;

/// Who waits for the answer: by which of the server's ways, and there who.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub way: u64,
    pub at: SocketAddr,
}

/// A question that was passed on.
#[derive(Debug)]
pub struct Upstream {
    pub waiting: Waiting,
    pub deadline: Instant,
    question: Question,
    resolvers: Vec<SocketAddr>,
    tried: usize,
    id: u16,
    wire: Wire,
    /// What a resolver said that could not help, in case none can.
    unhelpful: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream, Frames),
}

/// How a question goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Wait,
    /// It is asked by another socket now.
    Asked,
    Answer(Vec<u8>),
}

/// Bytes from a resolver, looked at.
enum Heard {
    /// It is no answer to this question.
    Other,
    /// The answer is longer than fits.
    Cut,
    Answer(Message),
}

impl Upstream {
    /// Asks the first of the resolvers that can be asked.
    ///
    /// # Errors
    /// The answer that says that there is nobody to ask.
    pub fn ask(
        question: Question,
        waiting: Waiting,
        resolvers: Vec<SocketAddr>,
    ) -> Result<Self, Vec<u8>> {
        for tried in 0..TRIES {
            let Some(asked) = turn(&resolvers, tried) else {
                break;
            };
            if let Ok((wire, id)) = by_udp(&question.query, &question, asked) {
                return Ok(Self {
                    waiting,
                    deadline: Instant::now() + TRY,
                    question,
                    resolvers,
                    tried,
                    id,
                    wire,
                    unhelpful: None,
                });
            }
        }
        Err(question.plain(ResponseCode::ServFail))
    }

    /// Who asked it.
    pub fn asker(&self) -> IpAddr {
        self.waiting.at.ip()
    }

    /// Whether it waits for room to send.
    pub fn has_more(&self) -> bool {
        matches!(&self.wire, Wire::Tcp(_, frames) if frames.has_more())
    }

    /// Its socket has something.
    pub fn go_on(&mut self) -> Step {
        let heard = match &mut self.wire {
            Wire::Udp(socket) => hear_datagram(socket),
            Wire::Tcp(stream, frames) => hear_stream(stream, frames),
        };
        match heard {
            Ok(None) => Step::Wait,
            Ok(Some(bytes)) => match self.look_at(&bytes) {
                Heard::Other => Step::Wait,
                Heard::Cut => self.ask_by_tcp(),
                Heard::Answer(answer) => self.answered(answer),
            },
            Err(_) => self.ask_next(),
        }
    }

    /// Its time is over.
    pub fn give_up(&mut self) -> Step {
        self.ask_next()
    }

    fn look_at(&self, bytes: &[u8]) -> Heard {
        let Ok(message) = Message::from_vec(bytes) else {
            return Heard::Other;
        };
        let metadata = &message.metadata;
        let asked = &self.question.query;
        let is_same = |query: &Query| {
            query.name() == asked.name()
                && query.query_type() == asked.query_type()
                && query.query_class() == asked.query_class()
        };
        let is_ours = metadata.id == self.id
            && metadata.message_type == MessageType::Response
            && metadata.op_code == OpCode::Query
            && matches!(message.queries.as_slice(), [query] if is_same(query));
        match (is_ours, metadata.truncation, &self.wire) {
            (false, ..) => Heard::Other,
            (true, true, Wire::Udp(_)) => Heard::Cut,
            (true, ..) => Heard::Answer(message),
        }
    }

    fn answered(&mut self, answer: Message) -> Step {
        let code = answer.metadata.response_code;
        let bytes = relayed(&self.question, answer);
        if matches!(code, ResponseCode::ServFail | ResponseCode::Refused) {
            self.unhelpful = Some(bytes);
            return self.ask_next();
        }
        Step::Answer(bytes)
    }

    fn ask_next(&mut self) -> Step {
        while self.tried + 1 < TRIES {
            self.tried += 1;
            let Some(asked) = turn(&self.resolvers, self.tried) else {
                break;
            };
            if let Ok((wire, id)) = by_udp(&self.question.query, &self.question, asked) {
                (self.wire, self.id) = (wire, id);
                self.deadline = Instant::now() + TRY;
                return Step::Asked;
            }
        }
        let unhelpful = self.unhelpful.take();
        Step::Answer(unhelpful.unwrap_or_else(|| self.question.plain(ResponseCode::ServFail)))
    }

    fn ask_by_tcp(&mut self) -> Step {
        let asked = turn(&self.resolvers, self.tried);
        let wire = asked.ok_or(ErrorKind::NotFound.into());
        match wire.and_then(|asked| by_tcp(&self.question, asked)) {
            Ok((wire, id)) => {
                (self.wire, self.id) = (wire, id);
                Step::Asked
            }
            Err(_) => self.ask_next(),
        }
    }
}

impl AsFd for Upstream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.wire {
            Wire::Udp(socket) => socket.as_fd(),
            Wire::Tcp(stream, _) => stream.as_fd(),
        }
    }
}

/// Each in its turn, from the first again after the last.
fn turn(resolvers: &[SocketAddr], tried: usize) -> Option<SocketAddr> {
    resolvers.get(tried % resolvers.len().max(1)).copied()
}

/// The question as we ask it: nothing but the name, type and class that were asked for.
fn asked(query: &Query, question: &Question) -> io::Result<(Vec<u8>, u16)> {
    let mut random = [0; 2];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let id = u16::from_ne_bytes(random);
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.checking_disabled = question.checking_disabled;
    message.add_query(query.clone());
    message.set_edns(edns(question.edns.is_some_and(|said| said.dnssec_ok)));
    Ok((message.to_vec().map_err(io::Error::other)?, id))
}

fn by_udp(query: &Query, question: &Question, to: SocketAddr) -> io::Result<(Wire, u16)> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(to)?;
    let (bytes, id) = asked(query, question)?;
    socket.send(&bytes)?;
    Ok((Wire::Udp(socket), id))
}

fn by_tcp(question: &Question, to: SocketAddr) -> io::Result<(Wire, u16)> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(errno) => return Err(errno.into()),
    }
    let (bytes, id) = asked(&question.query, question)?;
    let mut frames = Frames::new(u16::MAX.into());
    frames.push(&bytes);
    Ok((Wire::Tcp(TcpStream::from(socket), frames), id))
}

fn hear_datagram(socket: &UdpSocket) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = [0; DATAGRAM];
    match socket.recv(&mut bytes) {
        Ok(n) => Ok(Some(bytes[..n].to_vec())),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn hear_stream(stream: &mut TcpStream, frames: &mut Frames) -> io::Result<Option<Vec<u8>>> {
    frames.write(stream)?;
    let flow = frames.read(stream)?;
    match (frames.take(), flow) {
        (Some(message), _) => Ok(Some(message)),
        (None, crate::frames::Flow::Open) => Ok(None),
        (None, crate::frames::Flow::Ended) => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// A resolver's answer as the container gets it: with its own number, question and EDNS.
fn relayed(question: &Question, heard: Message) -> Vec<u8> {
    let code = heard.metadata.response_code;
    if code.high() > 0 && question.edns.is_none() {
        return question.plain(ResponseCode::ServFail);
    }
    let mut answer = question.answer(code);
    answer.metadata.authentic_data = heard.metadata.authentic_data;
    answer.metadata.recursion_available = heard.metadata.recursion_available;
    answer.answers = heard.answers;
    answer.authorities = heard.authorities;
    answer.additionals = heard.additionals;
    question.fitted(&answer)
}
