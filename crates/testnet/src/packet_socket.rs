//! Raw frames out of and into a device, by packet(7).
//!
//! A sniffer sees what arrives at a device before any firewall does: what it shows on the node's
//! end of a veth says what a container sent, not what got through. To prove that a frame did not
//! get through, send it and then a marker that does, and look at what came before the marker at
//! the far end ([`Sniffer::until`]): no wait needed.
//! Transport checksums of frames from this machine's own sockets are not filled in: devices leave
//! that to the hardware that a veth has not got.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::netdevice::name_to_index;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

use crate::netns::Netns;
use crate::patience::patient;

/// More than any frame: devices pass on segments of up to 64 KiB to be cut later.
const FRAME_BYTES: usize = 128 * 1024;
/// How long what should arrive may take.
const ARRIVAL_BOUND: Duration = Duration::from_secs(2);
/// How many frames one look may gather.
const FRAMES_BOUND: usize = 10_000;

impl Netns {
    /// Sends one frame, Ethernet header included, out of the device `ifname`.
    ///
    /// # Panics
    /// When there is no such device, when it is down, and when the frame is too long for it.
    pub fn send_frame(&self, ifname: &str, frame: &[u8]) {
        self.run(|| send(open(ifname, Listen::No)?, frame, SendFlags::empty()))
            .unwrap_or_else(|errno| {
                panic!(
                    "cannot send a frame on {ifname} in {}: {errno}",
                    self.label()
                )
            });
    }

    /// The same for many frames, in order. Closing a packet socket waits for the kernel, so one
    /// serves them all.
    ///
    /// # Panics
    /// As [`Netns::send_frame`].
    pub fn send_frames(&self, ifname: &str, frames: &[Vec<u8>]) {
        let send_all = || {
            let socket = open(ifname, Listen::No)?;
            let mut frames = frames.iter();
            frames.try_for_each(|frame| send(&socket, frame, SendFlags::empty()).map(drop))
        };
        self.run(send_all).unwrap_or_else(|errno| {
            panic!(
                "cannot send frames on {ifname} in {}: {errno}",
                self.label()
            )
        });
    }

    /// Gathers the frames that arrive at the device `ifname` from now on.
    ///
    /// # Panics
    /// When there is no such device.
    #[must_use]
    pub fn sniff(&self, ifname: &str) -> Sniffer {
        let socket = self
            .run(|| open(ifname, Listen::Yes))
            .unwrap_or_else(|errno| panic!("cannot sniff {ifname} in {}: {errno}", self.label()));
        Sniffer {
            socket,
            place: format!("{ifname} in {}", self.label()),
        }
    }
}

/// A device's arrivals, in order.
pub struct Sniffer {
    socket: OwnedFd,
    place: String,
}

impl fmt::Debug for Sniffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sniffer({})", self.place)
    }
}

impl Sniffer {
    /// The next frame that fits `wanted`, within `bound`, see [`patient`].
    pub fn first(&self, bound: Duration, wanted: impl FnMut(&[u8]) -> bool) -> Option<Vec<u8>> {
        self.gather(bound, wanted).1
    }

    /// The next frame that fits `wanted`.
    ///
    /// # Panics
    /// When none does within two seconds (see [`patient`]), naming `what`.
    pub fn expect(&self, what: &str, wanted: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
        let (others, found) = self.gather(ARRIVAL_BOUND, wanted);
        found.unwrap_or_else(|| {
            panic!(
                "{what} does not arrive at {} within {ARRIVAL_BOUND:?}, {} other frames do",
                self.place,
                others.len()
            )
        })
    }

    /// All frames that arrive before the one that fits `marker`, the marker left out.
    ///
    /// # Panics
    /// When the marker does not arrive within two seconds (see [`patient`]).
    #[must_use]
    pub fn until(&self, marker: impl FnMut(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let (before, found) = self.gather(ARRIVAL_BOUND, marker);
        assert!(
            found.is_some(),
            "the marker does not arrive at {} within {ARRIVAL_BOUND:?}",
            self.place
        );
        before
    }

    /// The frames before the first that fits `wanted`, and that one.
    fn gather(
        &self,
        bound: Duration,
        mut wanted: impl FnMut(&[u8]) -> bool,
    ) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let deadline = Instant::now() + patient(bound);
        let mut others = Vec::new();
        while let Some(frame) = self.next(deadline) {
            if wanted(&frame) {
                return (others, Some(frame));
            }
            others.push(frame);
            assert!(
                others.len() < FRAMES_BOUND,
                "a flood of frames at {}",
                self.place
            );
        }
        (others, None)
    }

    fn next(&self, deadline: Instant) -> Option<Vec<u8>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("bounds are below an age");
        let mut polled = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        if poll(&mut polled, Some(&left)).ok()? == 0 {
            return None;
        }
        let mut frame = vec![0; FRAME_BYTES];
        let (length, _) = recv(&self.socket, &mut frame[..], RecvFlags::empty())
            .unwrap_or_else(|errno| panic!("cannot read frames at {}: {errno}", self.place));
        frame.truncate(length);
        Some(frame)
    }
}

/// Whether a packet socket gets a copy of what arrives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listen {
    Yes,
    No,
}

fn open(ifname: &str, listen: Listen) -> Result<OwnedFd, Errno> {
    // Protocol 0 hears nothing: until it is bound, a listening socket would hear every device.
    let socket = socket_with(
        AddressFamily::PACKET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let protocol = match listen {
        Listen::Yes => {
            ignore_outgoing(&socket)?;
            libc::ETH_P_ALL
        }
        Listen::No => 0,
    };
    let index = name_to_index(&socket, ifname)?;
    bind(&socket, &LinkAddress::new(index, protocol))?;
    Ok(socket)
}

/// Leaves out what the device sends.
#[allow(unsafe_code)]
fn ignore_outgoing(socket: &OwnedFd) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the option value is a live c_int whose size is passed
    // with it.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
    }
}

/// A device and what to hear on it: `sockaddr_ll`, which rustix does not know.
struct LinkAddress(libc::sockaddr_ll);

impl LinkAddress {
    fn new(index: u32, protocol: libc::c_int) -> Self {
        let protocol = u16::try_from(protocol).expect("EtherTypes have 16 bits");
        Self(libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as libc::sa_family_t,
            sll_protocol: protocol.to_be(),
            sll_ifindex: index.cast_signed(),
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        })
    }
}

// SAFETY: `with_sockaddr` passes a pointer to a whole, initialised `sockaddr_ll` with its size.
#[allow(unsafe_code)]
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        let length = size_of::<libc::sockaddr_ll>() as SocketAddrLen;
        f((&raw const self.0).cast(), length)
    }
}
