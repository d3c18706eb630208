//! Listening: a thread a client, few clients at once, each within a time.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_peercred;

use super::reply::{Desk, Reply};
use super::request::{Bounded, read};

/// Clients at once. The next one is told to come again.
const CLIENTS_MAX: usize = 16;
/// From the first byte to the last one.
const CLIENT_BOUND: Duration = Duration::from_secs(5);
/// Of an answer to somebody too many, for which nobody waits.
const SHED_BOUND: Duration = Duration::from_millis(100);
/// After accept(2) failed, for want of descriptors as a rule.
const FAILED_PAUSE: Duration = Duration::from_millis(200);

/// Where clients come from.
pub trait Listener: Sync {
    type Client: Client + Send;
    fn accept_one(&self) -> io::Result<Self::Client>;
}

/// A client, and whether it may ask.
pub trait Client: Bounded + Write {
    fn write_within(&self, bound: Duration) -> io::Result<()>;
    fn is_welcome(&self) -> bool;
}

/// Answers clients for as long as the process lives.
pub fn serve<L: Listener>(listener: &L, desk: &Desk) {
    let busy = AtomicUsize::new(0);
    thread::scope(|scope| {
        loop {
            let Ok(mut client) = listener.accept_one() else {
                thread::sleep(FAILED_PAUSE);
                continue;
            };
            if busy.load(Ordering::Acquire) >= CLIENTS_MAX {
                shed(&mut client);
                continue;
            }
            busy.fetch_add(1, Ordering::AcqRel);
            let busy = &busy;
            let attend = move || {
                attend(&mut client, desk);
                busy.fetch_sub(1, Ordering::AcqRel);
            };
            if thread::Builder::new().spawn_scoped(scope, attend).is_err() {
                busy.fetch_sub(1, Ordering::AcqRel);
                thread::sleep(FAILED_PAUSE);
            }
        }
    });
}

fn attend(client: &mut impl Client, desk: &Desk) {
    let deadline = Instant::now() + CLIENT_BOUND;
    let reply = match client.is_welcome() {
        false => Some(Reply::stranger()),
        true => match read(client, deadline) {
            Ok(asked) => Some(desk.answer(&asked)),
            Err(why) => Reply::unread(&why),
        },
    };
    if let Some(reply) = reply
        && client.write_within(CLIENT_BOUND).is_ok()
    {
        // Who does not wait for the answer gets none.
        let _ = client.write_all(&reply.bytes());
    }
}

fn shed(client: &mut impl Client) {
    if client.write_within(SHED_BOUND).is_ok() {
        let _ = client.write_all(&Reply::busy().bytes());
    }
}

/// What is left of the time; an error where nothing is.
fn left(deadline: Instant) -> io::Result<Option<Duration>> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(Some(left)),
    }
}

impl Listener for UnixListener {
    type Client = UnixStream;
    fn accept_one(&self) -> io::Result<UnixStream> {
        self.accept().map(|(client, _)| client)
    }
}

impl Bounded for UnixStream {
    fn read_until(&self, deadline: Instant) -> io::Result<()> {
        self.set_read_timeout(left(deadline)?)
    }
}

impl Client for UnixStream {
    fn write_within(&self, bound: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(bound))
    }

    /// The directory and the socket's mode keep others out; where somebody has opened these, who
    /// connects must still be root, or who runs the agent.
    fn is_welcome(&self) -> bool {
        let own = rustix::process::geteuid();
        socket_peercred(self).is_ok_and(|peer| peer.uid.is_root() || peer.uid == own)
    }
}

impl Listener for TcpListener {
    type Client = TcpStream;
    fn accept_one(&self) -> io::Result<TcpStream> {
        self.accept().map(|(client, _)| client)
    }
}

impl Bounded for TcpStream {
    fn read_until(&self, deadline: Instant) -> io::Result<()> {
        self.set_read_timeout(left(deadline)?)
    }
}

impl Client for TcpStream {
    fn write_within(&self, bound: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(bound))
    }

    /// Numbers for everybody who reaches the address.
    fn is_welcome(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_no_endless_time() {
        assert!(left(Instant::now()).is_err());
        assert!(left(Instant::now() + CLIENT_BOUND).is_ok());
    }
}
