//! Reads the headers of a frame, and finds out whether it is plain: IPv4 without options or IPv6
//! without extension headers, whole, TCP or UDP, with lengths that agree.
//!
//! What is not plain is not wrong: the kernel decides about it (rule R2). The checks of lengths
//! and of the IPv4 checksum are those that `br_netfilter` would drop or trim a packet by.

use crate::PartKey;
use crate::flow::{Flow, IPV4, IPV6, Slow, first_word, mac_word};

/// An Ethernet header without tags.
pub const ETHERNET_BYTES: u32 = 14;
pub(crate) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(crate) const ETHERTYPE_IPV6: u16 = 0x86dd;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const IPV4_BYTES: u32 = 20;
const IPV6_BYTES: u32 = 40;
const UDP_BYTES: u32 = 8;
/// Version 4, five words of header.
pub(crate) const IPV4_PLAIN: u8 = 0x45;
const FIN_SYN_RST_URG: u8 = 0x01 | 0x02 | 0x04 | 0x20;
const ACK: u8 = 0x10;

/// The bytes of a frame.
pub trait Frame {
    /// Bytes from a place on, where there are so many at hand.
    fn at<const N: usize>(&self, offset: usize) -> Option<&[u8; N]>;

    /// How long the frame is, with what is not at hand.
    fn bytes(&self) -> u32;

    /// The first bytes.
    #[inline(always)]
    fn first<const N: usize>(&self) -> Option<&[u8; N]> {
        self.at(0)
    }
}

impl Frame for &[u8] {
    fn at<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        self.get(offset..)?.first_chunk()
    }

    fn bytes(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }
}

/// The frame that begins behind so many bytes of another.
pub struct Inside<'f, F, const OFFSET: usize>(pub &'f F);

impl<F: Frame, const OFFSET: usize> Frame for Inside<'_, F, OFFSET> {
    #[inline(always)]
    fn at<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        self.0.at(OFFSET + offset)
    }

    #[inline(always)]
    fn bytes(&self) -> u32 {
        self.0.bytes().saturating_sub(OFFSET as u32)
    }
}

/// The flow of a plain frame.
///
/// # Errors
/// Why it is not plain.
#[inline(always)]
pub fn parse_flow(frame: &impl Frame) -> Result<Flow, Slow> {
    let ethernet = frame.first::<14>().ok_or(Slow::Odd)?;
    match be16(ethernet[12], ethernet[13]) {
        ETHERTYPE_IPV4 => parse_ipv4(frame),
        ETHERTYPE_IPV6 => parse_ipv6(frame),
        _ => Err(Slow::NotIp),
    }
}

/// Whom a frame with IP in it is for, plain or not.
#[inline(always)]
pub fn parse_receiver(frame: &impl Frame) -> Option<PartKey> {
    let ethernet = frame.first::<14>()?;
    match be16(ethernet[12], ethernet[13]) {
        ETHERTYPE_IPV4 => {
            let h = frame.first::<34>()?;
            Some([IPV4, half_at::<30, _>(h) as u64, 0])
        }
        ETHERTYPE_IPV6 => {
            let h = frame.first::<54>()?;
            Some([IPV6, word_at::<38, _>(h), word_at::<46, _>(h)])
        }
        _ => None,
    }
}

#[inline(always)]
fn parse_ipv4(frame: &impl Frame) -> Result<Flow, Slow> {
    let h = frame.first::<34>().ok_or(Slow::Odd)?;
    if h[14] != IPV4_PLAIN {
        let version_4 = h[14] >> 4 == 4;
        return Err(if version_4 { Slow::Options } else { Slow::Odd });
    }
    // All but "don't fragment": more fragments, an offset, and the bit that must be zero.
    if h[20] & 0xbf != 0 || h[21] != 0 {
        return Err(Slow::Fragment);
    }
    let packet = be16(h[16], h[17]) as u32;
    if packet + ETHERNET_BYTES != frame.bytes() || !is_sum_right(h) {
        return Err(Slow::Odd);
    }
    let payload = packet.saturating_sub(IPV4_BYTES);
    let transport = match h[23] {
        TCP => tcp(frame.first::<54>().map(last_20), payload),
        UDP => udp(frame.first::<42>().map(last_8), payload),
        _ => Err(Slow::Protocol),
    }?;
    let first = first_word(IPV4, h[23], h[15] >> 2, h[22]);
    let addresses = [half_at::<26, _>(h) as u64, 0, half_at::<30, _>(h) as u64, 0];
    Ok(flow(
        h.first_chunk(),
        first,
        addresses,
        &transport,
        IPV4_BYTES,
    ))
}

#[inline(always)]
fn parse_ipv6(frame: &impl Frame) -> Result<Flow, Slow> {
    let h = frame.first::<54>().ok_or(Slow::Odd)?;
    if h[14] >> 4 != 6 {
        return Err(Slow::Odd);
    }
    let payload = be16(h[18], h[19]) as u32;
    if payload + IPV6_BYTES + ETHERNET_BYTES != frame.bytes() {
        return Err(Slow::Odd);
    }
    let transport = match h[20] {
        TCP => tcp(frame.first::<74>().map(last_20), payload),
        UDP => udp(frame.first::<62>().map(last_8), payload),
        44 => Err(Slow::Fragment),
        _ => Err(Slow::Protocol),
    }?;
    let dscp = (h[14] & 0xf) << 2 | h[15] >> 6;
    let first = first_word(IPV6, h[20], dscp, h[21]);
    let addresses = ipv6_addresses(h);
    Ok(flow(
        h.first_chunk(),
        first,
        addresses,
        &transport,
        IPV6_BYTES,
    ))
}

/// What the transport header says: the ports as on the wire, sender's first, its length, and the
/// checksum.
struct Transport {
    ports: [u8; 4],
    bytes: u32,
    check: u16,
}

#[inline(always)]
fn tcp(header: Option<&[u8; 20]>, payload: u32) -> Result<Transport, Slow> {
    let h = header.ok_or(Slow::Odd)?;
    let bytes = (h[12] >> 4) as u32 * 4;
    if bytes < 20 || bytes > payload {
        return Err(Slow::Odd);
    }
    if h[13] & FIN_SYN_RST_URG != 0 || h[13] & ACK == 0 {
        return Err(Slow::TcpFlags);
    }
    Ok(Transport {
        ports: [h[0], h[1], h[2], h[3]],
        bytes,
        check: be16(h[16], h[17]),
    })
}

#[inline(always)]
fn udp(header: Option<&[u8; 8]>, payload: u32) -> Result<Transport, Slow> {
    let h = header.ok_or(Slow::Odd)?;
    if be16(h[4], h[5]) as u32 != payload {
        return Err(Slow::Odd);
    }
    Ok(Transport {
        ports: [h[0], h[1], h[2], h[3]],
        bytes: UDP_BYTES,
        check: be16(h[6], h[7]),
    })
}

#[inline(always)]
fn flow(
    ethernet: Option<&[u8; 14]>,
    first: u64,
    addresses: [u64; 4],
    transport: &Transport,
    ip_bytes: u32,
) -> Flow {
    let e = ethernet.unwrap_or(&[0; 14]);
    let [a, b, c, d] = transport.ports;
    let receiver = mac_word(word_at::<0, _>(e), [c, d]);
    let sender = mac_word(word_at::<6, _>(e), [a, b]);
    let [from_high, from_low, to_high, to_low] = addresses;
    Flow {
        words: [
            first, receiver, sender, from_high, from_low, to_high, to_low,
        ],
        headers: ETHERNET_BYTES + ip_bytes + transport.bytes,
        check: transport.check,
    }
}

/// RFC 1071, over the twenty bytes of a plain IPv4 header behind an Ethernet header.
#[inline(always)]
pub(crate) fn is_sum_right(h: &[u8; 34]) -> bool {
    // The order of a word's bytes does not matter to whether the sum is right; nor does it how many
    // of them are added at once.
    let first =
        half_at::<14, _>(h) as u64 + half_at::<18, _>(h) as u64 + half_at::<22, _>(h) as u64;
    let sum = first + half_at::<26, _>(h) as u64 + half_at::<30, _>(h) as u64;
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) + (sum >> 16) == 0xffff
}

/// Eight bytes as they stand in memory, read at once: put together from single ones they stay
/// single in the program.
#[inline(always)]
pub(crate) fn word_at<const AT: usize, const N: usize>(bytes: &[u8; N]) -> u64 {
    let word = bytes.split_at(AT).1.first_chunk();
    u64::from_ne_bytes(*word.unwrap_or(&[0; 8]))
}

/// The same of four.
#[inline(always)]
pub(crate) fn half_at<const AT: usize, const N: usize>(bytes: &[u8; N]) -> u32 {
    let half = bytes.split_at(AT).1.first_chunk();
    u32::from_ne_bytes(*half.unwrap_or(&[0; 4]))
}

/// The sender's and the receiver's address behind an Ethernet header.
#[inline(always)]
pub(crate) fn ipv6_addresses(h: &[u8; 54]) -> [u64; 4] {
    [
        word_at::<22, _>(h),
        word_at::<30, _>(h),
        word_at::<38, _>(h),
        word_at::<46, _>(h),
    ]
}

#[inline(always)]
pub(crate) fn be16(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high, low])
}

#[inline(always)]
fn last_20<const N: usize>(all: &[u8; N]) -> &[u8; 20] {
    all.last_chunk().unwrap_or(&[0; 20])
}

#[inline(always)]
fn last_8<const N: usize>(all: &[u8; N]) -> &[u8; 8] {
    all.last_chunk().unwrap_or(&[0; 8])
}
