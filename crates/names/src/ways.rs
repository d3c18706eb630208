//! What the server waits for, and how many there are of it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::epoll::EventFlags;

use crate::client::Client;
use crate::upstream::Upstream;
use crate::watch::Watch;

#[derive(Debug, Clone, Copy)]
pub struct Bound {
    pub all: usize,
    pub one: usize,
}

/// Something that questions or answers come by.
#[derive(Debug)]
pub enum Way {
    Records,
    Udp(UdpSocket, IpAddr),
    Tcp(TcpListener, IpAddr),
    Client(Box<Client>),
    Upstream(Box<Upstream>),
}

/// How many there are of a kind, and whose.
#[derive(Debug, Default)]
pub struct Count {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

impl Count {
    pub fn has_room(&self, asker: IpAddr, bound: Bound) -> bool {
        let own = self.of.get(&asker).copied().unwrap_or_default();
        self.all < bound.all && own < bound.one
    }

    pub fn add(&mut self, asker: IpAddr) {
        self.all += 1;
        *self.of.entry(asker).or_default() += 1;
    }

    pub fn remove(&mut self, asker: IpAddr) {
        self.all = self.all.saturating_sub(1);
        if let Some(own) = self.of.get_mut(&asker) {
            *own -= 1;
            if *own == 0 {
                self.of.remove(&asker);
            }
        }
    }
}

/// Its socket; the records' is the watch's.
pub fn fd_of<'w>(way: &'w Way, watch: &'w Watch) -> BorrowedFd<'w> {
    match way {
        Way::Records => watch.as_fd(),
        Way::Udp(socket, _) => socket.as_fd(),
        Way::Tcp(listener, _) => listener.as_fd(),
        Way::Client(client) => client.as_fd(),
        Way::Upstream(upstream) => upstream.as_fd(),
    }
}

/// What is waited for of it.
pub fn wanted(way: &Way) -> EventFlags {
    let flags = |is_wanted, flag| match is_wanted {
        true => flag,
        false => EventFlags::empty(),
    };
    match way {
        Way::Records | Way::Udp(..) | Way::Tcp(..) => EventFlags::IN,
        Way::Client(client) => {
            flags(client.reads(), EventFlags::IN) | flags(client.has_more(), EventFlags::OUT)
        }
        Way::Upstream(upstream) => EventFlags::IN | flags(upstream.has_more(), EventFlags::OUT),
    }
}

/// Errors of a connection that was given up before it was taken (accept(2)).
pub fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, PermissionDenied};
    let kind = error.kind();
    matches!(kind, ConnectionAborted | Interrupted | PermissionDenied)
}
