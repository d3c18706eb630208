//! The maps, and what each program reads and counts in them.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, PerCpuHashMap};
use fastpath_wire::{
    Arrival, BUCKETS, Bucket, Counters, FlowKey, Leaving, NODE_BUCKETS, OVERLAYS_MAX, Overlay,
    PORTS_MAX, Port, Proof, Settings, Slow, UPLINKS_MAX, Uplink,
};

#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);
#[map]
static PORTS: HashMap<u32, Port> = HashMap::with_max_entries(PORTS_MAX, 0);
#[map]
static OVERLAYS: HashMap<u32, Overlay> = HashMap::with_max_entries(OVERLAYS_MAX, 0);
#[map]
static UPLINKS: HashMap<u32, Uplink> = HashMap::with_max_entries(UPLINKS_MAX, 0);
#[map]
static PROOFS: PerCpuArray<Bucket<Proof>> = PerCpuArray::with_max_entries(BUCKETS, 0);
#[map]
static LEAVING: PerCpuArray<Bucket<Leaving>> = PerCpuArray::with_max_entries(NODE_BUCKETS, 0);
#[map]
static ARRIVALS: PerCpuArray<Bucket<Arrival>> = PerCpuArray::with_max_entries(NODE_BUCKETS, 0);
#[map]
static COUNTERS: PerCpuHashMap<u32, Counters> = PerCpuHashMap::with_max_entries(PORTS_MAX, 0);

/// `None` as long as the loader has made none.
#[inline(always)]
pub fn settings() -> Option<&'static Settings> {
    SETTINGS.get(0).filter(|settings| settings.generation != 0)
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

/// Where the proofs are that a flow within the node may have.
#[inline(always)]
pub fn proofs(key: &FlowKey, settings: &Settings) -> Option<&'static mut Bucket<Proof>> {
    let bucket = PROOFS.get_ptr_mut(key.bucket(settings.seed))?;
    // SAFETY: the value is this CPU's, which runs one program at a time here; maps outlive the
    // programs that use them.
    Some(unsafe { &mut *bucket })
}

/// The same for flows to other nodes.
#[inline(always)]
pub fn leaving(key: &FlowKey, settings: &Settings) -> Option<&'static mut Bucket<Leaving>> {
    let number = key.bucket(settings.seed) & (NODE_BUCKETS - 1);
    let bucket = LEAVING.get_ptr_mut(number)?;
    // SAFETY: as above.
    Some(unsafe { &mut *bucket })
}

/// The same for flows from other nodes.
#[inline(always)]
pub fn arrivals(key: &FlowKey, settings: &Settings) -> Option<&'static mut Bucket<Arrival>> {
    let number = key.bucket(settings.seed) & (NODE_BUCKETS - 1);
    let bucket = ARRIVALS.get_ptr_mut(number)?;
    // SAFETY: as above.
    Some(unsafe { &mut *bucket })
}

#[inline(always)]
fn counters(ifindex: u32) -> Option<&'static mut Counters> {
    let counters = COUNTERS.get_ptr_mut(&ifindex)?;
    // SAFETY: as above.
    Some(unsafe { &mut *counters })
}

#[inline(always)]
pub fn count_fast(ifindex: u32, bytes: u32) {
    if let Some(counters) = counters(ifindex) {
        counters.fast_packets += 1;
        counters.fast_bytes += bytes as u64;
    }
}

/// At the endpoint's port.
#[inline(always)]
pub fn count_arrived(ifindex: u32, bytes: u32) {
    if let Some(counters) = counters(ifindex) {
        counters.arrived_packets += 1;
        counters.arrived_bytes += bytes as u64;
    }
}

#[inline(always)]
pub fn count_slow(ifindex: u32, why: Slow) {
    if let Some(counters) = counters(ifindex) {
        counters.slow[why as usize] += 1;
    }
}
