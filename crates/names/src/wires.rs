//! Sockets that listen at one address, at port 53, by UDP and TCP.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use crate::resolvers::PORT;

/// How many connections wait to be taken.
const BACKLOG: i32 = 64;
/// What waits to be read at most, in bytes: what one container sends in the moment before it is its
/// turn to be refused, and still the others' questions behind it.
const RECEIVE_BYTES: usize = 4 << 20;

/// # Errors
/// A port that another process has, or that is not ours to take.
pub fn listen_at(address: IpAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let udp = bound(address, SocketType::DGRAM)?;
    let tcp = bound(address, SocketType::STREAM)?;
    listen(&tcp, BACKLOG)?;
    Ok((udp.into(), tcp.into()))
}

/// Bound also while the address is not there: a bridge may come later, or come back.
fn bound(address: IpAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = match address {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, kind, flags, None)?;
    match address {
        IpAddr::V4(_) => sockopt::set_ip_freebind(&socket, true)?,
        IpAddr::V6(_) => {
            sockopt::set_ipv6_v6only(&socket, true)?;
            sockopt::set_ipv6_freebind(&socket, true)?;
        }
    }
    if kind == SocketType::DGRAM {
        // Without the privilege it is as long as the node's administrator lets it be.
        let _ = sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BYTES);
    }
    if kind == SocketType::STREAM {
        // Connections of the one before, which was killed, still linger.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind(&socket, &SocketAddr::new(address, PORT))?;
    Ok(socket)
}
