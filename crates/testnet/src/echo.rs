//! Servers that answer with the client's address as they see it, and clients that ask them.
//!
//! Any answer proves that traffic passes both ways; the answer itself proves whether the client's
//! address was kept. Every wait has a bound.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use crate::netns::Netns;
use crate::patience::{patient, silent};

/// How long a client waits for what should come.
const ANSWER_BOUND: Duration = Duration::from_secs(2);
/// How long a client waits for what must not come.
const SILENCE_BOUND: Duration = Duration::from_millis(300);
/// How often a datagram that should arrive is sent. The first may be lost to neighbour discovery.
const UDP_TRIES: u32 = 2;
/// The longest answer: an IPv6 address with a zone and a port.
const ANSWER_BYTES: usize = 128;

/// What the tests' servers and clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
}

/// A server that lives until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    clients: Arc<Mutex<Vec<SocketAddr>>>,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens, with the port the kernel chose where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The clients it has seen so far, in order.
    #[must_use]
    pub fn clients(&self) -> Vec<SocketAddr> {
        self.clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The serving thread sees the other end hang up.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Netns {
    /// Starts a server inside; it is ready when this returns. An unspecified IPv6 address serves
    /// IPv4 too.
    ///
    /// # Panics
    /// When the address cannot be bound.
    #[must_use]
    pub fn serve(&self, transport: Transport, address: SocketAddr) -> Server {
        // A socket stays in the namespace it was made in, so only the binding is a visit.
        self.run(|| Listener::bind(transport, address))
            .and_then(Listener::serve)
            .unwrap_or_else(|error| {
                panic!(
                    "cannot serve {transport:?} {address} in {}: {error}",
                    self.label()
                )
            })
    }

    /// Asks a server from inside, and gives the client's address as the server saw it.
    ///
    /// # Errors
    /// What the kernel says when refused, `TimedOut` or `WouldBlock` when nothing comes.
    pub fn ask(&self, transport: Transport, server: SocketAddr) -> io::Result<SocketAddr> {
        self.run(|| match transport {
            Transport::Tcp => ask_tcp(server, patient(ANSWER_BOUND)),
            Transport::Udp => ask_udp(server, patient(ANSWER_BOUND) / UDP_TRIES, UDP_TRIES),
        })
    }

    /// Asks where no answer may come from: a refusal and silence are both right.
    ///
    /// # Panics
    /// When an answer comes.
    pub fn assert_unreachable(&self, transport: Transport, server: SocketAddr) {
        let answer = self.run(|| match transport {
            Transport::Tcp => ask_tcp(server, silent(SILENCE_BOUND)),
            Transport::Udp => ask_udp(server, silent(SILENCE_BOUND), 1),
        });
        if let Ok(client) = answer {
            panic!(
                "{transport:?} {server} answers in {}, and sees {client}",
                self.label()
            );
        }
    }
}

fn ask_tcp(server: SocketAddr, bound: Duration) -> io::Result<SocketAddr> {
    let deadline = Instant::now() + bound;
    let mut stream = TcpStream::connect_timeout(&server, bound)?;
    let left = deadline.saturating_duration_since(Instant::now());
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
    let mut answer = String::new();
    Read::by_ref(&mut stream)
        .take(ANSWER_BYTES as u64)
        .read_to_string(&mut answer)?;
    parse_answer(&answer)
}

fn ask_udp(server: SocketAddr, bound: Duration, tries: u32) -> io::Result<SocketAddr> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(bound))?;
    let mut outcome = Err(io::ErrorKind::TimedOut.into());
    for _ in 0..tries {
        outcome = ask_datagram(&socket);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn ask_datagram(socket: &UdpSocket) -> io::Result<SocketAddr> {
    socket.send(b"who am I?")?;
    let mut answer = [0; ANSWER_BYTES];
    let length = socket.recv(&mut answer)?;
    parse_answer(&String::from_utf8_lossy(&answer[..length]))
}

fn parse_answer(text: &str) -> io::Result<SocketAddr> {
    text.parse().map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("not an answer: {text:?}"),
        )
    })
}

/// A bound socket of either kind.
enum Listener {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Listener {
    fn bind(transport: Transport, address: SocketAddr) -> io::Result<Self> {
        let listener = match transport {
            Transport::Tcp => Self::Tcp(TcpListener::bind(address)?),
            Transport::Udp => Self::Udp(UdpSocket::bind(address)?),
        };
        match &listener {
            Self::Tcp(listener) => listener.set_nonblocking(true)?,
            Self::Udp(socket) => socket.set_nonblocking(true)?,
        }
        Ok(listener)
    }

    fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Udp(socket) => socket.local_addr(),
        }
    }

    fn serve(self) -> io::Result<Server> {
        let (stop, stopped) = UnixStream::pair()?;
        let address = self.address()?;
        let clients = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&clients);
        let thread = thread::spawn(move || {
            while wait_for_client(self.as_fd(), stopped.as_fd()) {
                // A client that gives up midway is that client's affair.
                let _ = self.answer_one(&seen);
            }
        });
        Ok(Server {
            address,
            clients,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
        }
    }

    fn answer_one(&self, seen: &Mutex<Vec<SocketAddr>>) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => {
                let (mut stream, client) = listener.accept()?;
                stream.set_write_timeout(Some(patient(ANSWER_BOUND)))?;
                stream.write_all(note(seen, client).as_bytes())
            }
            Self::Udp(socket) => {
                let (_, client) = socket.recv_from(&mut [0; ANSWER_BYTES])?;
                socket.send_to(note(seen, client).as_bytes(), client)?;
                Ok(())
            }
        }
    }
}

/// Remembers a client and gives the answer for it.
fn note(seen: &Mutex<Vec<SocketAddr>>, client: SocketAddr) -> String {
    // A dual-stack socket shows an IPv4 client as ::ffff:a.b.c.d.
    let client = SocketAddr::new(client.ip().to_canonical(), client.port());
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(client);
    client.to_string()
}

/// True when a client is there, false when the server is to stop.
fn wait_for_client(listener: BorrowedFd<'_>, stopped: BorrowedFd<'_>) -> bool {
    let mut polled = [
        PollFd::from_borrowed_fd(listener, PollFlags::IN),
        PollFd::from_borrowed_fd(stopped, PollFlags::IN),
    ];
    poll(&mut polled, None).is_ok() && polled[1].revents().is_empty()
}
