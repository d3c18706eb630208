//! The maps, and what each program reads and counts in them.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, PerCpuArray};
use fastpath_wire::{
    Arrival, BUCKETS, Bucket, COUNTERS_MAX, Counters, Leaving, NODE_BUCKETS, OVERLAYS_MAX, Overlay,
    PARTS_MAX, PORTS_MAX, Part, PartKey, Port, Proof, Settings, Slow, Terms, UPLINKS_MAX, Uplink,
};

#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map]
static GENERATION: Array<u32> = Array::with_max_entries(1, 0);
#[map]
static PORTS: HashMap<u32, Port> = HashMap::with_max_entries(PORTS_MAX, 0);
#[map]
static OVERLAYS: HashMap<u32, Overlay> = HashMap::with_max_entries(OVERLAYS_MAX, 0);
#[map]
static UPLINKS: HashMap<u32, Uplink> = HashMap::with_max_entries(UPLINKS_MAX, 0);
/// Of whole networks and of what of them is on this node.
#[map]
static PARTS: LpmTrie<PartKey, Part> = LpmTrie::with_max_entries(PARTS_MAX, 0);
#[map]
static PROOFS: PerCpuArray<Bucket<Proof>> = PerCpuArray::with_max_entries(BUCKETS, 0);
#[map]
static LEAVING: PerCpuArray<Bucket<Leaving>> = PerCpuArray::with_max_entries(NODE_BUCKETS, 0);
#[map]
static ARRIVALS: PerCpuArray<Bucket<Arrival>> = PerCpuArray::with_max_entries(NODE_BUCKETS, 0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(COUNTERS_MAX, 0);

/// All of a key.
const PART_BITS: u32 = size_of::<PartKey>() as u32 * 8;

/// `None` as long as the loader has made no settings.
#[inline(always)]
pub fn terms() -> Option<Terms<'static>> {
    let settings = SETTINGS.get(0).filter(|settings| settings.proof_ns != 0)?;
    let generation = *GENERATION.get(0)?;
    Some(Terms {
        settings,
        generation,
    })
}

/// In nanoseconds.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: no argument; the helper can't fail.
    unsafe { bpf_ktime_get_coarse_ns() }
}

#[inline(always)]
pub fn port(ifindex: u32) -> Option<&'static Port> {
    // SAFETY: entries are replaced by the loader alone, and whole.
    unsafe { PORTS.get(&ifindex) }
}

#[inline(always)]
pub fn overlay(vni: u32) -> Option<&'static Overlay> {
    // SAFETY: as above.
    unsafe { OVERLAYS.get(&vni) }
}

#[inline(always)]
pub fn uplink(ifindex: u32) -> Option<&'static Uplink> {
    // SAFETY: as above.
    unsafe { UPLINKS.get(&ifindex) }
}

/// The longest prefix of a routed network that an address is in.
#[inline(always)]
pub fn part(address: PartKey) -> Option<&'static Part> {
    PARTS.get(&Key::new(PART_BITS, address))
}

/// Where the proofs are that a flow within the node may have, by the number of its bucket.
#[inline(always)]
pub fn proofs(number: u32) -> Option<&'static mut Bucket<Proof>> {
    let bucket = PROOFS.get_ptr_mut(number)?;
    // SAFETY: the value is this CPU's, which runs one program at a time here; maps outlive the
    // programs that use them.
    Some(unsafe { &mut *bucket })
}

/// The same for flows to other nodes.
#[inline(always)]
pub fn leaving(number: u32) -> Option<&'static mut Bucket<Leaving>> {
    let bucket = LEAVING.get_ptr_mut(number & (NODE_BUCKETS - 1))?;
    // SAFETY: as above.
    Some(unsafe { &mut *bucket })
}

/// The same for flows from other nodes.
#[inline(always)]
pub fn arrivals(number: u32) -> Option<&'static mut Bucket<Arrival>> {
    let bucket = ARRIVALS.get_ptr_mut(number & (NODE_BUCKETS - 1))?;
    // SAFETY: as above.
    Some(unsafe { &mut *bucket })
}

#[inline(always)]
fn counters(place: u32) -> Option<&'static mut Counters> {
    let counters = COUNTERS.get_ptr_mut(place)?;
    // SAFETY: as above.
    Some(unsafe { &mut *counters })
}

#[inline(always)]
pub fn count_fast(place: u32, bytes: u32) {
    if let Some(counters) = counters(place) {
        counters.fast_packets += 1;
        counters.fast_bytes += bytes as u64;
    }
}

/// At the endpoint's port.
#[inline(always)]
pub fn count_arrived(place: u32, bytes: u32) {
    if let Some(counters) = counters(place) {
        counters.arrived_packets += 1;
        counters.arrived_bytes += bytes as u64;
    }
}

#[inline(always)]
pub fn count_slow(place: u32, why: Slow) {
    if let Some(counters) = counters(place) {
        counters.slow[why as usize] += 1;
    }
}
