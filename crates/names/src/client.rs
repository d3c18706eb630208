//! A container's connection: questions one after the other, answers as they come.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::frames::{Flow, Frames};
use crate::question::QUESTION_MAX;

/// How long a connection may take for its next question, and for taking an answer. What trickles in
/// does not prolong it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many of its questions may be at resolvers at once; the next ones are read later.
const PENDING_MOST: usize = 16;

#[derive(Debug)]
pub struct Client {
    pub peer: SocketAddr,
    /// The address that was asked.
    pub gateway: IpAddr,
    pub deadline: Instant,
    stream: TcpStream,
    frames: Frames,
    pending: usize,
    flow: Flow,
}

impl Client {
    /// # Errors
    /// A socket that can't be made to never wait.
    pub fn new(stream: TcpStream, peer: SocketAddr, gateway: IpAddr) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            peer,
            gateway,
            deadline: Instant::now() + PATIENCE,
            stream,
            frames: Frames::new(QUESTION_MAX),
            pending: 0,
            flow: Flow::Open,
        })
    }

    /// Takes what came and gives what is there to give.
    ///
    /// # Errors
    /// A connection that broke, or talks nonsense.
    pub fn go_on(&mut self) -> io::Result<()> {
        self.frames.write(&mut self.stream)?;
        if self.reads() {
            self.flow = self.frames.read(&mut self.stream)?;
        }
        Ok(())
    }

    /// Its next question.
    pub fn question(&mut self) -> Option<Vec<u8>> {
        if self.pending >= PENDING_MOST || self.frames.has_more() {
            return None;
        }
        let question = self.frames.take()?;
        self.deadline = Instant::now() + PATIENCE;
        Some(question)
    }

    /// A question of it went to a resolver.
    pub fn forwarded(&mut self) {
        self.pending += 1;
    }

    /// # Errors
    /// A connection that broke.
    pub fn relay(&mut self, answer: &[u8]) -> io::Result<()> {
        self.pending = self.pending.saturating_sub(1);
        self.answer(answer)
    }

    /// # Errors
    /// A connection that broke.
    pub fn answer(&mut self, answer: &[u8]) -> io::Result<()> {
        self.frames.push(answer);
        self.frames.write(&mut self.stream)
    }

    /// Whether it waits for questions, rather than for answers to be taken.
    pub fn reads(&self) -> bool {
        self.flow == Flow::Open && !self.frames.has_more() && self.pending < PENDING_MOST
    }

    pub fn has_more(&self) -> bool {
        self.frames.has_more()
    }

    /// Whether nothing will come of it any more.
    pub fn is_over(&self) -> bool {
        self.flow == Flow::Ended && self.pending == 0 && !self.frames.has_more()
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
