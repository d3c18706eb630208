//! The server: waits for whatever comes, at all gateways at once, in one thread.
//!
//! Everything that could be made to grow has a bound, in all and for one asker, so that one
//! container can't take the server from the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::answer::{Answering, Outcome};
use crate::book::Book;
use crate::error::{Complaint, NamesError};
use crate::pace::{Pace, Verdict};
use crate::question::{Carrier, QUESTION_MAX, Question};
use crate::report::Report;
use crate::resolvers::Resolvers;
use crate::upstream::{Step, Upstream, Waiting};
use crate::watch::Watch;
use crate::ways::{Bound, Count, Way, fd_of, wanted};
use crate::wires::listen_at;

/// Questions at resolvers at once, and of one container.
const FORWARDS: Bound = Bound { all: 384, one: 48 };
/// Questions taken from one socket before the others have their turn.
const BATCH: usize = 64;
const EVENTS: usize = 64;
/// How long until what failed is tried again: listening, and taking connections.
const AGAIN: Duration = Duration::from_secs(2);

mod streams;

pub(crate) struct Server<'t> {
    epoll: OwnedFd,
    /// By a number that is never used twice: what the kernel still tells of one that is gone is
    /// nobody else's.
    ways: HashMap<u64, Way>,
    next: u64,
    watch: Watch,
    pub(crate) book: Book,
    posts: HashMap<IpAddr, [u64; 2]>,
    complained: BTreeSet<IpAddr>,
    resolvers: Resolvers,
    answering: Answering,
    forwards: Count,
    clients: Count,
    pace: Pace,
    /// As it was left beside the records last.
    reported: Report,
    dir: PathBuf,
    again: Instant,
    tell: &'t dyn Fn(&Complaint),
}

impl<'t> Server<'t> {
    pub(crate) fn new(dir: &Path, tell: &'t dyn Fn(&Complaint)) -> Result<Self, NamesError> {
        let refuse = |source: rustix::io::Errno| NamesError::Watch {
            dir: dir.to_owned(),
            source: source.into(),
        };
        let watch = Watch::new(dir).map_err(refuse)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|e| NamesError::Poll(e.into()))?;
        let mut server = Self {
            epoll,
            ways: HashMap::new(),
            next: 0,
            watch,
            book: Book::default(),
            posts: HashMap::new(),
            complained: BTreeSet::new(),
            resolvers: Resolvers::default(),
            answering: Answering::default(),
            forwards: Count::default(),
            clients: Count::default(),
            pace: Pace::default(),
            reported: Report {
                pid: std::process::id(),
                refused: BTreeMap::new(),
            },
            dir: dir.to_owned(),
            again: Instant::now() + AGAIN,
            tell,
        };
        server.add(Way::Records).map_err(NamesError::Poll)?;
        server.look();
        Ok(server)
    }

    /// Waits for the next things to happen, and does what they ask for.
    pub(crate) fn turn(&mut self) -> Result<(), NamesError> {
        let mut events = Vec::with_capacity(EVENTS);
        let wait = self.due().saturating_duration_since(Instant::now());
        // A clock that counts seconds beyond i64 is no machine's.
        let wait = Timespec::try_from(wait).ok();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), wait.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(NamesError::Poll(errno.into())),
        }
        for Event { data, flags } in events {
            self.happened(data.u64(), flags);
        }
        self.on_time(Instant::now());
        Ok(())
    }

    fn due(&self) -> Instant {
        let ways = self.ways.values().filter_map(|way| match way {
            Way::Client(client) => Some(client.deadline),
            Way::Upstream(upstream) => Some(upstream.deadline),
            Way::Records | Way::Udp(..) | Way::Tcp(..) => None,
        });
        let always = [self.watch.due, self.again];
        ways.chain(always).min().unwrap_or(self.again)
    }

    fn happened(&mut self, number: u64, flags: EventFlags) {
        let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
        match self.ways.get(&number) {
            None => {}
            Some(Way::Records) => self.watch.noticed(),
            Some(Way::Udp(..)) => self.datagrams(number),
            Some(Way::Tcp(..)) => self.connections(number),
            Some(Way::Client(_)) if broken => self.remove(number),
            Some(Way::Client(_)) => self.client(number),
            Some(Way::Upstream(_)) => self.upstream(number, Upstream::go_on),
        }
    }

    fn on_time(&mut self, now: Instant) {
        if self.watch.due <= now {
            self.look();
        }
        if self.again <= now {
            self.again = now + AGAIN;
            self.listen();
            self.report(now);
            let posts: Vec<u64> = self.posts.values().flatten().copied().collect();
            posts.into_iter().for_each(|number| self.wait_for(number));
        }
        let late = self.ways.iter().filter_map(|(number, way)| match way {
            Way::Client(client) if client.deadline <= now => Some((*number, false)),
            Way::Upstream(upstream) if upstream.deadline <= now => Some((*number, true)),
            _ => None,
        });
        for (number, is_asking) in late.collect::<Vec<_>>() {
            match is_asking {
                true => self.upstream(number, Upstream::give_up),
                false => self.remove(number),
            }
        }
    }

    /// Leaves word of what was refused. Where it can't be written, nobody is worse off.
    fn report(&mut self, now: Instant) {
        let book = &self.book;
        self.pace.forget(now, |asker| book.knows(asker));
        let refused = self.pace.refused();
        if refused != self.reported.refused {
            self.reported.refused = refused;
            let _ = self.reported.write(&self.dir);
        }
    }

    fn look(&mut self) {
        match self.watch.look() {
            Ok(Some(book)) => {
                self.book = book;
                self.listen();
            }
            Ok(None) => {}
            Err(error) => (self.tell)(&Complaint::Records(error)),
        }
    }

    /// Listens at the gateways of the book, and at these alone.
    fn listen(&mut self) {
        let wanted = self.book.gateways();
        let over: Vec<IpAddr> = self.posts.keys().copied().collect();
        for address in over.into_iter().filter(|a| !wanted.contains(a)) {
            let numbers = self.posts.remove(&address).unwrap_or_default();
            numbers.into_iter().for_each(|number| self.remove(number));
        }
        self.complained.retain(|address| wanted.contains(address));
        for address in wanted {
            if self.posts.contains_key(&address) {
                continue;
            }
            match self.post(address) {
                Ok(numbers) => {
                    self.posts.insert(address, numbers);
                    self.complained.remove(&address);
                }
                Err(source) => {
                    if self.complained.insert(address) {
                        (self.tell)(&Complaint::Listen { address, source });
                    }
                }
            }
        }
    }

    fn post(&mut self, address: IpAddr) -> io::Result<[u64; 2]> {
        let (udp, tcp) = listen_at(address)?;
        let udp = self.add(Way::Udp(udp, address))?;
        match self.add(Way::Tcp(tcp, address)) {
            Ok(tcp) => Ok([udp, tcp]),
            Err(error) => {
                self.remove(udp);
                Err(error)
            }
        }
    }

    /// Begins to wait for something.
    fn add(&mut self, way: Way) -> io::Result<u64> {
        let number = self.next;
        self.next += 1;
        let flags = wanted(&way);
        let fd = fd_of(&way, &self.watch);
        epoll::add(&self.epoll, fd, EventData::new_u64(number), flags)?;
        match &way {
            Way::Client(client) => self.clients.add(client.peer.ip()),
            Way::Upstream(upstream) => self.forwards.add(upstream.asker()),
            Way::Records | Way::Udp(..) | Way::Tcp(..) => {}
        }
        self.ways.insert(number, way);
        Ok(number)
    }

    /// Closes its socket, which the kernel then forgets by itself.
    fn remove(&mut self, number: u64) {
        match self.ways.remove(&number) {
            Some(Way::Client(client)) => self.clients.remove(client.peer.ip()),
            Some(Way::Upstream(upstream)) => self.forwards.remove(upstream.asker()),
            _ => {}
        }
    }

    /// Tells the kernel what is waited for now.
    fn wait_for(&mut self, number: u64) {
        let Some(way) = self.ways.get(&number) else {
            return;
        };
        let (fd, data) = (fd_of(way, &self.watch), EventData::new_u64(number));
        if epoll::modify(&self.epoll, fd, data, wanted(way)).is_err() {
            self.remove(number);
        }
    }

    fn datagrams(&mut self, number: u64) {
        let mut bytes = [0; QUESTION_MAX + 1];
        for _ in 0..BATCH {
            let Some(Way::Udp(socket, gateway)) = self.ways.get(&number) else {
                return;
            };
            let Ok((n, from)) = socket.recv_from(&mut bytes) else {
                // Nothing more, or what the kernel says of an answer that nobody took.
                return;
            };
            let waiting = Waiting {
                way: number,
                at: from,
            };
            let gateway = *gateway;
            if !self.admits(from.ip(), gateway) {
                continue;
            }
            if let Some(answer) = self.answer(&bytes[..n], Carrier::Udp, gateway, waiting) {
                self.send(waiting, &answer);
            }
        }
    }

    /// Whether a question of this source is one to be answered, at this gateway and now.
    fn admits(&mut self, source: IpAddr, gateway: IpAddr) -> bool {
        if self.book.asker(source, gateway).is_none() {
            return false;
        }
        let verdict = self.pace.take(source, Instant::now());
        if verdict == Verdict::Complained {
            (self.tell)(&Complaint::Flood { asker: source });
        }
        verdict == Verdict::Answered
    }

    /// The answer, where there is one at once.
    fn answer(
        &mut self,
        bytes: &[u8],
        carrier: Carrier,
        gateway: IpAddr,
        waiting: Waiting,
    ) -> Option<Vec<u8>> {
        let asker = self.book.asker(waiting.at.ip(), gateway)?;
        match self.answering.outcome(&self.book, asker, bytes, carrier) {
            Outcome::Drop => None,
            Outcome::Answer(answer) => Some(answer),
            Outcome::Forward(question) => self.forward(question, waiting),
        }
    }

    /// Passes a question on; an answer is that it can't be.
    fn forward(&mut self, question: Question, waiting: Waiting) -> Option<Vec<u8>> {
        let failed = question.plain(ResponseCode::ServFail);
        if !self.forwards.has_room(waiting.at.ip(), FORWARDS) {
            return Some(failed);
        }
        let resolvers = self.resolvers.look(&self.book.gateways());
        match Upstream::ask(question, waiting, resolvers) {
            Ok(upstream) => match self.add(Way::Upstream(Box::new(upstream))) {
                Ok(_) => {
                    if let Some(Way::Client(client)) = self.ways.get_mut(&waiting.way) {
                        client.forwarded();
                    }
                    None
                }
                Err(_) => Some(failed),
            },
            Err(answer) => Some(answer),
        }
    }

    fn send(&mut self, waiting: Waiting, answer: &[u8]) {
        if let Some(Way::Udp(socket, _)) = self.ways.get(&waiting.way) {
            // Where it can't be sent, the container asks again.
            let _ = socket.send_to(answer, waiting.at);
        }
    }

    fn upstream(&mut self, number: u64, go_on: impl FnOnce(&mut Upstream) -> Step) {
        let Some(Way::Upstream(upstream)) = self.ways.get_mut(&number) else {
            return;
        };
        let step = go_on(upstream);
        let waiting = upstream.waiting;
        match step {
            Step::Wait => self.wait_for(number),
            Step::Asked => self.asked_anew(number),
            Step::Answer(answer) => {
                self.remove(number);
                self.relay(waiting, &answer);
            }
        }
    }

    /// It has another socket, under another number.
    fn asked_anew(&mut self, number: u64) {
        let Some(Way::Upstream(upstream)) = self.ways.remove(&number) else {
            return;
        };
        self.forwards.remove(upstream.asker());
        // Where it can't be waited for, the container asks again.
        let _ = self.add(Way::Upstream(upstream));
    }

    fn relay(&mut self, waiting: Waiting, answer: &[u8]) {
        match self.ways.get_mut(&waiting.way) {
            Some(Way::Client(client)) => match client.relay(answer) {
                Ok(()) => self.converse(waiting.way),
                Err(_) => self.remove(waiting.way),
            },
            _ => self.send(waiting, answer),
        }
    }
}
