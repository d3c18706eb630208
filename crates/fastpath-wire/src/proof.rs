//! What the kernel's own delivery of a packet proves, and for how long.

use crate::{BUCKETS, Bucket, FlowKey, Terms};

/// That the kernel delivered a packet of a flow by itself, through every rule there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Proof {
    pub key: FlowKey,
    /// When, in nanoseconds of the coarse monotonic clock; 0 for never.
    pub proved_ns: u64,
    /// When a copy was last sent to renew it.
    pub asked_ns: u64,
    /// The generation then.
    pub generation: u32,
    /// The interface index of the port where it came out.
    pub target: u32,
    /// The longest frame that this port takes.
    pub frame_max: u32,
    /// Where packets are counted that come in by the device that the key names.
    pub counters: u32,
}

/// What becomes of a packet of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Straight to the port that the proof names.
    Fast,
    /// The same, and a copy goes the kernel's way to renew the proof.
    FastAndAsk,
    Unproved,
    TooBig,
}

/// The size of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sized {
    /// The whole frame.
    pub frame: u32,
    /// Ethernet, IP and transport headers.
    pub headers: u32,
    /// Payload of each segment that a packet of segments stands for; 0 for one alone.
    pub segment: u32,
}

impl Sized {
    /// The frame that has to fit.
    #[inline(always)]
    fn on_the_wire(self) -> u32 {
        if self.segment == 0 {
            self.frame
        } else {
            self.headers + self.segment
        }
    }
}

impl Proof {
    /// What becomes of a packet whose key this proof has.
    #[inline(always)]
    pub fn verdict(&self, now_ns: u64, terms: &Terms<'_>, size: Sized) -> Verdict {
        let age = now_ns.wrapping_sub(self.proved_ns);
        if self.generation != terms.generation || age >= terms.proof_ns {
            return Verdict::Unproved;
        }
        if size.on_the_wire() > self.frame_max {
            return Verdict::TooBig;
        }
        let asked = now_ns.wrapping_sub(self.asked_ns);
        if age >= terms.proof_ns / 2 && asked >= terms.proof_ns / 4 {
            Verdict::FastAndAsk
        } else {
            Verdict::Fast
        }
    }
}

impl FlowKey {
    /// The number of the flow's bucket, below [`BUCKETS`].
    #[inline(always)]
    pub fn bucket(&self, seed: u64) -> u32 {
        let [a, b, c, d, e, f, g] = self.0;
        let keyed = |word: u64, number: u64| word ^ seed ^ number;
        // Pairs (as NH of RFC 4418 has them), and not one after the other: a processor multiplies
        // them at the same time.
        let sum = keyed(a, K[0])
            .wrapping_mul(keyed(b, K[1]))
            .wrapping_add(keyed(c, K[2]).wrapping_mul(keyed(d, K[3])))
            .wrapping_add(keyed(e, K[4]).wrapping_mul(keyed(f, K[5])))
            .wrapping_add(keyed(g, K[6]).wrapping_mul(K[0]));
        let hash = (sum ^ (sum >> 32)).wrapping_mul(K[7]);
        (hash >> 40) as u32 & (BUCKETS - 1)
    }
}

/// Odd, and of no pattern: digits of constants.
const K: [u64; 8] = [
    0x9e37_79b9_7f4a_7c15,
    0xb7e1_5162_8aed_2a6b,
    0x2432_f6a8_885a_308d,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6d,
];

/// What has a proof in it.
pub trait Proved {
    fn proof(&self) -> &Proof;
}

impl Proved for Proof {
    #[inline(always)]
    fn proof(&self) -> &Proof {
        self
    }
}

impl<P: Proved> Bucket<P> {
    /// Where the proof of a flow goes: to its own place, else to the oldest one's.
    #[inline(always)]
    pub fn place(&mut self, key: &FlowKey) -> &mut P {
        let [a, b] = &mut self.proofs;
        if a.proof().key.is(key) {
            a
        } else if b.proof().key.is(key) || b.proof().proved_ns < a.proof().proved_ns {
            b
        } else {
            a
        }
    }

    /// The proof of a flow, of whatever age.
    #[inline(always)]
    pub fn find(&mut self, key: &FlowKey) -> Option<&mut P> {
        let [a, b] = &mut self.proofs;
        if a.proof().key.is(key) {
            Some(a)
        } else if b.proof().key.is(key) {
            Some(b)
        } else {
            None
        }
    }
}
