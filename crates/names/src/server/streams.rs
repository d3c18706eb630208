//! Connections of containers: taken, asked by, hung up on.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};

use rustix::event::epoll::{self, EventData, EventFlags};

use super::{BATCH, Server};
use crate::client::Client;
use crate::question::Carrier;
use crate::upstream::Waiting;
use crate::ways::{Bound, Way, is_of_the_peer};

/// Connections at once, and of one container.
const CLIENTS: Bound = Bound { all: 256, one: 16 };

impl Server<'_> {
    pub(super) fn connections(&mut self, number: u64) {
        for _ in 0..BATCH {
            let Some(Way::Tcp(listener, gateway)) = self.ways.get(&number) else {
                return;
            };
            let gateway = *gateway;
            match listener.accept() {
                Ok((stream, peer)) => self.connected(stream, peer, gateway),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_of_the_peer(&error) => {}
                Err(_) => {
                    // Out of descriptors: it stays in line until some are free.
                    let data = EventData::new_u64(number);
                    let _ = epoll::modify(&self.epoll, listener, data, EventFlags::empty());
                    return;
                }
            }
        }
    }

    /// Who is nobody, asks too much or has enough connections, is hung up on. A connection counts as
    /// a question.
    fn connected(&mut self, stream: TcpStream, peer: SocketAddr, gateway: IpAddr) {
        if !self.admits(peer.ip(), gateway) || !self.clients.has_room(peer.ip(), CLIENTS) {
            return;
        }
        if let Ok(client) = Client::new(stream, peer, gateway) {
            // Without room in the kernel it is hung up on, too.
            let _ = self.add(Way::Client(Box::new(client)));
        }
    }

    pub(super) fn client(&mut self, number: u64) {
        let Some(Way::Client(client)) = self.ways.get_mut(&number) else {
            return;
        };
        match client.go_on() {
            Ok(()) => self.converse(number),
            Err(_) => self.remove(number),
        }
    }

    /// Takes a client's questions as far as they can be taken now.
    pub(super) fn converse(&mut self, number: u64) {
        while let Some(Way::Client(client)) = self.ways.get_mut(&number) {
            let (peer, gateway) = (client.peer, client.gateway);
            let Some(question) = client.question() else {
                break;
            };
            if !self.admits(peer.ip(), gateway) {
                return self.remove(number);
            }
            let waiting = Waiting {
                way: number,
                at: peer,
            };
            let answer = self.answer(&question, Carrier::Tcp, gateway, waiting);
            if let (Some(answer), Some(Way::Client(client))) = (answer, self.ways.get_mut(&number))
                && client.answer(&answer).is_err()
            {
                return self.remove(number);
            }
        }
        match self.ways.get(&number) {
            Some(Way::Client(client)) if client.is_over() => self.remove(number),
            _ => self.wait_for(number),
        }
    }
}
