//! Queues and detours: requests of traffic control (`include/uapi/linux/{rtnetlink,pkt_sched,
//! pkt_cls}.h`, `tc_act/tc_mirred.h`), and its answers.

use model::Rate;
use netstate::{BURST_UNIT, QUEUE_MARK, Queue};

use super::{CREATE, EXCL, REPLACE, REQUEST};
use crate::netlink::{Attrs, Message, read_u32};

/// Bytes of `struct tcmsg`.
const HEADER: usize = 20;
const TC_H_ROOT: u32 = 0xffff_ffff;
/// Where the qdisc `ingress` is, and the handle it always has.
const TC_H_INGRESS: u32 = 0xffff_fff1;
const INGRESS_HANDLE: u32 = 0xffff_0000;
/// What filters on the way in hang from, of `ingress` and of `clsact`.
const INGRESS_FILTERS: u32 = 0xffff_fff2;
const QUEUE_HANDLE: u32 = (QUEUE_MARK as u32) << 16;
/// The upper half of `tcm_info` is a filter's preference, the lower its protocol.
const FILTER_PREF: u32 = (QUEUE_MARK as u32) << 16;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_BURST: u16 = 6;
const LINKLAYER_ETHERNET: u8 = 1;
/// The places of numbers in `struct tc_tbf_qopt`, and its size.
const TBF_RATE: usize = 8;
const TBF_LIMIT: usize = 24;
const TBF_BUFFER: usize = 28;
const TBF_BYTES: usize = 36;
/// Times are told in units of this (`PSCHED_SHIFT`, include/net/pkt_sched.h).
const TICK_NANOS: u64 = 64;

const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;
const TC_U32_TERMINAL: u8 = 1;
/// The place of the mask of a selector's first key, behind `struct tc_u32_sel`.
const FIRST_KEY: usize = 16;
const SELECTOR_BYTES: usize = 32;
const FIRST_ACTION: u16 = 1;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TC_ACT_STOLEN: u32 = 4;
const TCA_EGRESS_REDIR: u32 = 1;
/// The places of numbers in `struct tc_mirred`, and its size.
const MIRRED_ACTION: usize = 8;
const MIRRED_WHAT: usize = 20;
const MIRRED_TO: usize = 24;
const MIRRED_BYTES: usize = 28;

fn message(kind: u16, flags: u16, index: u32, [handle, parent, info]: [u32; 3]) -> Message {
    let mut header = [0; HEADER];
    put(&mut header, 4, index);
    put(&mut header, 8, handle);
    put(&mut header, 12, parent);
    put(&mut header, 16, info);
    Message::new(kind, REQUEST | flags, &header)
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
}

fn bounded(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

pub fn set_queue(queue: &Queue, index: u32) -> Message {
    let at = [QUEUE_HANDLE, TC_H_ROOT, 0];
    let mut parms = [0; TBF_BYTES];
    parms[1] = LINKLAYER_ETHERNET;
    put(&mut parms, TBF_RATE, bounded(queue.rate.bytes()));
    put(&mut parms, TBF_LIMIT, queue.limit_bytes);
    let mut message = message(libc::RTM_NEWQDISC, CREATE | REPLACE, index, at);
    message
        .attr_str(TCA_KIND, "tbf")
        .nest(TCA_OPTIONS, |options| {
            options
                .attr(TCA_TBF_PARMS, &parms)
                .attr(TCA_TBF_BURST, &queue.burst_bytes.to_ne_bytes());
        });
    message
}

pub fn del_queue(index: u32) -> Message {
    let at = [QUEUE_HANDLE, TC_H_ROOT, 0];
    message(libc::RTM_DELQDISC, 0, index, at)
}

/// What filters on the way in hang from, for one write with the filter. Where there is one already
/// it may be `clsact`, which serves as well and refuses this.
pub fn add_ingress(index: u32) -> Message {
    let at = [INGRESS_HANDLE, TC_H_INGRESS, 0];
    let mut message = message(libc::RTM_NEWQDISC, CREATE, index, at);
    message.attr_str(TCA_KIND, "ingress");
    message
}

/// A filter that every packet is for, and that leads it through `to`'s way out.
pub fn add_detour(index: u32, to: u32) -> Message {
    let info = FILTER_PREF | u32::from((libc::ETH_P_ALL as u16).to_be());
    let at = [0, INGRESS_FILTERS, info];
    let mut selector = [0; SELECTOR_BYTES];
    selector[0] = TC_U32_TERMINAL;
    // How many keys; the one, all zeros, is in every packet.
    selector[2] = 1;
    let mut mirred = [0; MIRRED_BYTES];
    put(&mut mirred, MIRRED_ACTION, TC_ACT_STOLEN);
    put(&mut mirred, MIRRED_WHAT, TCA_EGRESS_REDIR);
    put(&mut mirred, MIRRED_TO, to);
    let mut message = message(libc::RTM_NEWTFILTER, CREATE | EXCL, index, at);
    message
        .attr_str(TCA_KIND, "u32")
        .nest(TCA_OPTIONS, |options| {
            options
                .attr(TCA_U32_SEL, &selector)
                .nest(TCA_U32_ACT, |actions| {
                    actions.nest(FIRST_ACTION, |action| {
                        action
                            .attr_str(TCA_ACT_KIND, "mirred")
                            .nest(TCA_ACT_OPTIONS, |of| {
                                of.attr(TCA_MIRRED_PARMS, &mirred);
                            });
                    });
                });
        });
    message
}

pub fn del_detour(index: u32) -> Message {
    let at = [0, INGRESS_FILTERS, FILTER_PREF];
    message(libc::RTM_DELTFILTER, 0, index, at)
}

/// The qdiscs of all devices.
pub fn dump_queues() -> Message {
    message(libc::RTM_GETQDISC, 0, 0, [0; 3])
}

/// The filters on the way into one device.
pub fn dump_detours(index: u32) -> Message {
    message(libc::RTM_GETTFILTER, 0, index, [0, INGRESS_FILTERS, 0])
}

/// A qdisc, as far as it matters to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QdiscInfo {
    pub index: u32,
    pub what: QdiscKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QdiscKind {
    /// One that filters on the way in may hang from.
    Ingress,
    Ours(Queue),
}

impl QdiscInfo {
    /// `None` for what is neither.
    pub fn read(kind: u16, payload: &[u8]) -> Option<Self> {
        let number = |at: usize| read_u32(payload.get(at..)?);
        let attrs = Attrs::behind(payload, HEADER);
        let name = attrs.text(TCA_KIND)?;
        let what = match (number(12)?, name) {
            _ if kind != libc::RTM_NEWQDISC => return None,
            (TC_H_INGRESS, _) => QdiscKind::Ingress,
            (TC_H_ROOT, "tbf") if number(8)? == QUEUE_HANDLE => {
                let parms = attrs.nested(TCA_OPTIONS).get(TCA_TBF_PARMS)?;
                QdiscKind::Ours(read_queue(parms)?)
            }
            _ => return None,
        };
        let index = number(4)?;
        Some(Self { index, what })
    }
}

/// `None` for one that no rate of ours makes.
fn read_queue(parms: &[u8]) -> Option<Queue> {
    let number = |at: usize| read_u32(parms.get(at..)?).map(u64::from);
    let bytes = number(TBF_RATE)?;
    let nanos = number(TBF_BUFFER)? * TICK_NANOS;
    let burst = u128::from(bytes) * u128::from(nanos) / 1_000_000_000;
    // The time that the kernel tells is at most a tick too short.
    let unit = u128::from(BURST_UNIT);
    let burst = (burst + unit / 2) / unit * unit;
    Some(Queue {
        rate: Rate::try_from(bytes * 8).ok()?,
        burst_bytes: u32::try_from(burst).ok()?,
        limit_bytes: bounded(number(TBF_LIMIT)?),
    })
}

/// The number of the device that a filter of ours leads to: 0 where that is gone, or where it is not
/// as it was made.
pub fn read_detour(kind: u16, payload: &[u8]) -> Option<u32> {
    let info = read_u32(payload.get(16..)?)?;
    if kind != libc::RTM_NEWTFILTER || info & 0xffff_0000 != FILTER_PREF {
        return None;
    }
    let options = Attrs::behind(payload, HEADER).nested(TCA_OPTIONS);
    // What the filter is kept in is told too.
    let selector = options.get(TCA_U32_SEL)?;
    let mask = selector.get(FIRST_KEY..).and_then(read_u32);
    let action = options.nested(TCA_U32_ACT).nested(FIRST_ACTION);
    let mirred = action.nested(TCA_ACT_OPTIONS).get(TCA_MIRRED_PARMS);
    let field = |at: usize| mirred.and_then(|bytes| read_u32(bytes.get(at..)?));
    let leads = mask == Some(0) && field(MIRRED_WHAT) == Some(TCA_EGRESS_REDIR);
    Some(field(MIRRED_TO).filter(|_| leads).unwrap_or(0))
}
