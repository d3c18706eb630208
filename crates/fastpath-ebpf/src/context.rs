//! The packet that a program is called with: its bytes and what the kernel says about it.

use aya_ebpf::bindings::bpf_adj_room_mode::BPF_ADJ_ROOM_MAC;
use aya_ebpf::bindings::{__sk_buff, BPF_F_ADJ_ROOM_FIXED_GSO, BPF_F_RECOMPUTE_CSUM};
use aya_ebpf::helpers::{bpf_skb_adjust_room, bpf_skb_store_bytes};
use aya_ebpf::programs::TcContext;
use fastpath_wire::{ETHERNET_BYTES, Frame, IP_FIRST, PLAIN_FRONT, VXLAN4_BYTES, VXLAN6_BYTES};

/// `include/uapi/linux/if_packet.h`.
pub const PACKET_HOST: u32 = 0;

pub struct Packet<'a> {
    ctx: &'a TcContext,
}

impl<'a> Packet<'a> {
    #[inline(always)]
    pub fn new(ctx: &'a TcContext) -> Self {
        Self { ctx }
    }

    #[inline(always)]
    pub fn raw(&self) -> *mut __sk_buff {
        self.ctx.skb.skb
    }

    #[inline(always)]
    fn skb(&self) -> &__sk_buff {
        // SAFETY: the kernel calls the program with it, and keeps it for as long as that.
        unsafe { &*self.raw() }
    }

    /// The port that the program is called for.
    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        self.skb().ifindex
    }

    #[inline(always)]
    pub fn came_in_by(&self) -> u32 {
        self.skb().ingress_ifindex
    }

    #[inline(always)]
    pub fn frame_bytes(&self) -> u32 {
        self.skb().len
    }

    #[inline(always)]
    pub fn segment_bytes(&self) -> u32 {
        self.skb().gso_size
    }

    /// Whether it is for this device's own MAC: others come in where the device takes all.
    #[inline(always)]
    pub fn is_for_us(&self) -> bool {
        self.skb().pkt_type == PACKET_HOST
    }

    /// Whether a VLAN tag stands beside the bytes.
    #[inline(always)]
    pub fn is_tagged(&self) -> bool {
        self.skb().vlan_present != 0
    }

    #[inline(always)]
    pub fn tc_index(&self) -> u32 {
        self.skb().tc_index
    }

    #[inline(always)]
    pub fn mark(&self) -> u32 {
        self.skb().mark
    }

    #[inline(always)]
    pub fn priority(&self) -> u32 {
        self.skb().priority
    }

    /// For queues.
    #[inline(always)]
    pub fn set_mark_and_priority(&self, mark: u32, priority: u32) {
        // SAFETY: the fields may be written by programs of this type.
        unsafe { (*self.raw()).mark = mark };
        // SAFETY: as above.
        unsafe { (*self.raw()).priority = priority };
    }

    /// Makes so many bytes readable, or all where it has fewer: they may be in pieces. It costs a
    /// copy: only where they are not.
    #[inline(always)]
    pub fn gather(&self, bytes: u32) {
        let bytes = bytes.min(self.frame_bytes());
        if self.ctx.data() + bytes as usize > self.ctx.data_end() {
            // What is too short is seen by who reads it.
            let _ = self.ctx.pull_data(bytes);
        }
    }

    /// Makes the headers readable of what is around a frame.
    #[inline(always)]
    pub fn gather_outer(&self) {
        self.gather(VXLAN4_BYTES as u32);
        if self.is_ipv6(0) {
            self.gather(VXLAN6_BYTES as u32);
        }
    }

    /// Makes the headers readable of a frame behind so many bytes.
    #[inline(always)]
    pub fn gather_inner(&self, around: usize) {
        let ip = if self.is_ipv6(around) { 40 } else { 20 };
        self.gather(around as u32 + ETHERNET_BYTES + ip + 20);
    }

    #[inline(always)]
    fn is_ipv6(&self, around: usize) -> bool {
        let ethertype = self.at::<2>(around + 12);
        ethertype.is_some_and(|[high, low]| *high == 0x86 && *low == 0xdd)
    }

    /// Writes over the first bytes. Whether it could.
    #[inline(always)]
    pub fn write_first<const N: usize>(&self, bytes: &[u8; N]) -> bool {
        let (from, length) = (bytes.as_ptr().cast(), N as u32);
        // SAFETY: the context is this program's own, and so many bytes are there.
        unsafe { bpf_skb_store_bytes(self.raw(), 0, from, length, 0) == 0 }
    }

    /// Writes over an Ethernet header and the beginning of an IP header. Whether it could.
    ///
    /// Where a device has summed a packet up (`CHECKSUM_COMPLETE`), the sum is of all behind the
    /// Ethernet header. A change of IPv4's hops is made up for by that of its checksum; IPv6 has
    /// none.
    #[inline(always)]
    pub fn write_front(&self, front: &[u8; PLAIN_FRONT], is_ipv4: bool) -> bool {
        if is_ipv4 {
            return self.write_first(front);
        }
        let ethernet = front.first_chunk::<{ ETHERNET_BYTES as usize }>();
        let ip = front.last_chunk::<IP_FIRST>();
        let (Some(ethernet), Some(ip)) = (ethernet, ip) else {
            return false;
        };
        let (at, flags) = (ETHERNET_BYTES, BPF_F_RECOMPUTE_CSUM as u64);
        let (from, length) = (ip.as_ptr().cast(), IP_FIRST as u32);
        // SAFETY: the context is this program's own, and so many bytes are there.
        let written = unsafe { bpf_skb_store_bytes(self.raw(), at, from, length, flags) == 0 };
        written && self.write_first(ethernet)
    }

    /// Makes room for so many bytes behind the Ethernet header, or takes them away. Whether it
    /// could; if not, nothing has changed.
    #[inline(always)]
    pub fn adjust_room(&self, bytes: i32, flags: u64) -> bool {
        let flags = flags | BPF_F_ADJ_ROOM_FIXED_GSO as u64;
        // SAFETY: the context is this program's own; nothing of the packet's bytes is read behind
        // it that was taken before.
        unsafe { bpf_skb_adjust_room(self.raw(), bytes, BPF_ADJ_ROOM_MAC, flags) == 0 }
    }

    #[inline(always)]
    pub fn set_tc_index(&self, token: u32) {
        // SAFETY: the field may be written by programs of this type.
        unsafe { (*self.raw()).tc_index = token };
    }
}

impl Frame for Packet<'_> {
    #[inline(always)]
    fn at<const N: usize>(&self, offset: usize) -> Option<&[u8; N]> {
        let data = self.ctx.data() + offset;
        if data + N > self.ctx.data_end() {
            return None;
        }
        // SAFETY: so many bytes are there, as the verifier sees too; nothing moves the packet while
        // they are read.
        Some(unsafe { &*(data as *const [u8; N]) })
    }

    #[inline(always)]
    fn bytes(&self) -> u32 {
        self.frame_bytes()
    }
}
