//! The packet that a program is called with: its bytes and what the kernel says about it.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::programs::TcContext;
use fastpath_wire::Frame;

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
    pub fn set_tc_index(&self, token: u32) {
        // SAFETY: the field may be written by programs of this type.
        unsafe { (*self.raw()).tc_index = token };
    }
}

impl Frame for Packet<'_> {
    #[inline(always)]
    fn first<const N: usize>(&self) -> Option<&[u8; N]> {
        let data = self.ctx.data();
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
