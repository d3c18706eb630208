//! The tracing table's messages, and the kernel's reports of traced packets (`NFT_MSG_TRACE`,
//! net/netfilter/nf_tables_trace.c).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netstate::nft::text::rule_text;
use netstate::nft::{ChainKey, Hook, HookType, NftFamily, NftName};
use netstate::trace::{
    DESTINATION_PORT, Heading, KnownBy, TraceBy, TraceMatch, TracePlan, TraceStep, TraceVerdict,
};

use super::expr::{self, Instruction, NF_ACCEPT, NF_DROP, NFT_GOTO, NFT_JUMP, NFT_RETURN, Source};
use super::field::{META_L4PROTO, META_NFPROTO, META_PROTOCOL, NETWORK};
use super::wire::{self, Kind, NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NLM_F_APPEND};
use super::wire::{NLM_F_CREATE, batch_border, get_u32, get_u64, message_of, put_u32};
use super::{chain, set};
use crate::base_chains::family_name;
use crate::netlink::{Attrs, Message, NetlinkError, Socket, c_string};
use crate::rtnl::address_bytes;

/// `NFTA_TABLE_FLAGS`, `NFT_TABLE_F_OWNER`.
const TABLE_FLAGS: u16 = 2;
const TABLE_F_OWNER: u32 = 2;
/// `NFT_META_NFTRACE`.
const META_NFTRACE: u32 = 12;
/// `NFT_PAYLOAD_TRANSPORT_HEADER`, and the bytes of a port or an identifier.
const TRANSPORT: u32 = 2;
const PORT_BYTES: u32 = 2;
/// `NFTA_RULE_HANDLE`.
const RULE_HANDLE: u16 = 3;
/// `NFT_CONTINUE`: a rule without a verdict.
const NFT_CONTINUE: i32 = -1;

/// `enum nft_trace_attributes`.
const TRACE_CHAIN: u16 = 2;
const TRACE_RULE_HANDLE: u16 = 3;
const TRACE_TYPE: u16 = 4;
const TRACE_VERDICT: u16 = 5;
const TRACE_ID: u16 = 6;
const TRACE_NETWORK_HEADER: u16 = 8;
const TRACE_TRANSPORT_HEADER: u16 = 9;
const TRACE_IIF: u16 = 10;
const TRACE_OIF: u16 = 12;
const TRACE_POLICY: u16 = 16;
/// `enum nft_trace_types`.
const TYPE_POLICY: u32 = 1;
const TYPE_RETURN: u32 = 2;
const TYPE_RULE: u32 = 3;

/// Makes the table, which is gone when `socket` is closed.
///
/// # Errors
/// The kernel's no to the whole or to one of its objects.
pub fn install(socket: &mut Socket, plan: &TracePlan) -> Result<(), NetlinkError> {
    let mut messages = vec![batch_border(NFNL_MSG_BATCH_BEGIN)];
    messages.extend(plan.steps().iter().map(|step| write(plan, step)));
    let last = messages.len() - 1;
    messages.push(batch_border(NFNL_MSG_BATCH_END));
    let refused = socket.batch(messages, |index| index == last)?;
    match refused.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

fn write(plan: &TracePlan, step: &TraceStep) -> Message {
    let about = |kind, flags, family| message_of(&plan.table, kind, flags, family);
    match step {
        TraceStep::Table(family) => {
            let mut m = about(Kind::NewTable, NLM_F_CREATE, *family);
            put_u32(&mut m, TABLE_FLAGS, TABLE_F_OWNER);
            m
        }
        TraceStep::Chain(traced) => {
            let mut m = about(Kind::NewChain, NLM_F_CREATE, traced.family);
            let hook = Hook {
                kind: HookType::Filter,
                point: traced.point,
                priority: traced.place.priority(),
            };
            chain::describe(&mut m, &traced.name(), Some(hook));
            m
        }
        TraceStep::Mark(traced, what) => {
            let flags = NLM_F_CREATE | NLM_F_APPEND;
            let mut m = about(Kind::NewRule, flags, traced.family);
            m.attr_str(chain::RULE_CHAIN, &traced.name());
            let instructions = marking(traced.family, plan.l4proto(), *what);
            expr::put_all(&mut m, chain::RULE_EXPRESSIONS, &instructions);
            m
        }
    }
}

fn marking(family: NftFamily, l4proto: u8, what: TraceMatch) -> Vec<Instruction> {
    let mut all = Vec::new();
    let mut require = |source, data: &[u8]| {
        all.push(Instruction::Load { source, to: 0 });
        all.push(Instruction::Cmp {
            from: 0,
            equal: true,
            data: data.to_vec(),
        });
    };
    let port = |offset| Source::Payload {
        base: TRANSPORT,
        offset,
        len: PORT_BYTES,
    };
    let l4 = Source::Meta { key: META_L4PROTO };
    match what {
        TraceMatch::Transport { offset, value } => {
            require(l4, &[l4proto]);
            require(port(offset), &value.to_be_bytes());
        }
        TraceMatch::From(address, to) => {
            let (protocol, bytes) = protocol_of(family, address);
            require(protocol, bytes);
            require(side(address, Side::Source), &address_bytes(address));
            require(l4, &[l4proto]);
            if let Some(to) = to {
                require(port(DESTINATION_PORT), &to.to_be_bytes());
            }
        }
        TraceMatch::To(address) => {
            let (protocol, bytes) = protocol_of(family, address);
            require(protocol, bytes);
            require(side(address, Side::Destination), &address_bytes(address));
            require(l4, &[l4proto]);
        }
    }
    let data = vec![1];
    let key = META_NFTRACE;
    all.push(Instruction::Immediate { to: 0, data });
    all.push(Instruction::MetaWrite { from: 0, key });
    all
}

/// What tells the packet's network protocol in a family, and its value for an address.
fn protocol_of(family: NftFamily, address: IpAddr) -> (Source, &'static [u8]) {
    match (family, address) {
        (NftFamily::Inet, IpAddr::V4(_)) => (Source::Meta { key: META_NFPROTO }, &[2]),
        (NftFamily::Inet, IpAddr::V6(_)) => (Source::Meta { key: META_NFPROTO }, &[10]),
        (NftFamily::Bridge, IpAddr::V4(_)) => (Source::Meta { key: META_PROTOCOL }, &[8, 0]),
        (NftFamily::Bridge, IpAddr::V6(_)) => (Source::Meta { key: META_PROTOCOL }, &[0x86, 0xdd]),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

/// Where an IP header has an address (RFC 791 section 3.1, RFC 8200 section 3).
fn side(address: IpAddr, side: Side) -> Source {
    let (offset, len) = match address {
        IpAddr::V4(_) => (12, 4),
        IpAddr::V6(_) => (8, 16),
    };
    Source::Payload {
        base: NETWORK,
        offset: if side == Side::Source {
            offset
        } else {
            offset + len
        },
        len,
    }
}

/// One report. The packet itself is quoted in the first report of a chain alone, which may say
/// nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The kernel's number for the packet, the same from hook to hook.
    pub packet: u32,
    pub quote: Option<Quote>,
    pub decision: Option<Decision>,
}

/// A packet as a chain gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub addresses: Option<(IpAddr, IpAddr)>,
    pub heading: Option<Heading>,
    /// Numbers of devices.
    pub input: Option<u32>,
    pub output: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub family: &'static str,
    pub table: String,
    pub chain: String,
    pub by: TraceBy,
    pub verdict: TraceVerdict,
}

/// The report in a notice; `None` for a notice of something else.
pub fn parse(plan: &TracePlan, kind: u16, payload: &[u8]) -> Option<Report> {
    if !wire::is_trace(kind) {
        return None;
    }
    let attrs = wire::attrs(payload);
    let header = attrs.get(TRACE_NETWORK_HEADER);
    let quote = |header| {
        let addresses = addresses(header);
        let transport = attrs.get(TRACE_TRANSPORT_HEADER).unwrap_or_default();
        Quote {
            heading: heading(plan, addresses, transport),
            addresses,
            input: get_u32(attrs, TRACE_IIF),
            output: get_u32(attrs, TRACE_OIF),
        }
    };
    Some(Report {
        packet: get_u32(attrs, TRACE_ID)?,
        quote: header.map(quote),
        decision: decision(payload),
    })
}

fn decision(payload: &[u8]) -> Option<Decision> {
    let attrs = wire::attrs(payload);
    let (by, verdict) = match get_u32(attrs, TRACE_TYPE)? {
        TYPE_RULE => {
            let by = TraceBy::Rule(get_u64(attrs, TRACE_RULE_HANDLE)?, None);
            (by, verdict(attrs)?)
        }
        TYPE_RETURN => (TraceBy::End, verdict(attrs)?),
        TYPE_POLICY => (TraceBy::Policy, policy(attrs)?),
        _ => return None,
    };
    Some(Decision {
        family: family_name(*payload.first()?)?,
        table: attrs.text(1)?.to_owned(),
        chain: attrs.text(TRACE_CHAIN)?.to_owned(),
        by,
        verdict,
    })
}

fn policy(attrs: Attrs<'_>) -> Option<TraceVerdict> {
    Some(verdict_of(
        get_u32(attrs, TRACE_POLICY)?.cast_signed(),
        None,
    ))
}

fn verdict(attrs: Attrs<'_>) -> Option<TraceVerdict> {
    let verdict = attrs.nested(TRACE_VERDICT);
    let code = get_u32(verdict, 1)?.cast_signed();
    Some(verdict_of(code, verdict.get(2).and_then(c_string)))
}

fn verdict_of(code: i32, chain: Option<&str>) -> TraceVerdict {
    let chain = || chain.unwrap_or_default().to_owned();
    match code {
        NF_ACCEPT => TraceVerdict::Accept,
        NF_DROP => TraceVerdict::Drop,
        NFT_CONTINUE => TraceVerdict::Continue,
        NFT_RETURN => TraceVerdict::Return,
        NFT_JUMP => TraceVerdict::Jump(chain()),
        NFT_GOTO => TraceVerdict::Goto(chain()),
        other => TraceVerdict::Other(other),
    }
}

/// Source and destination in an IP header (RFC 791 section 3.1, RFC 8200 section 3).
fn addresses(header: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let v4 = |at: usize| Some(Ipv4Addr::from(*header.get(at..)?.first_chunk::<4>()?).into());
    let v6 = |at: usize| Some(Ipv6Addr::from(*header.get(at..)?.first_chunk::<16>()?).into());
    match header.first()? >> 4 {
        4 => Some((v4(12)?, v4(16)?)),
        6 => Some((v6(8)?, v6(24)?)),
        _ => None,
    }
}

/// By who it is from, or by which field holds the tag; an echo by its type.
fn heading(
    plan: &TracePlan,
    addresses: Option<(IpAddr, IpAddr)>,
    transport: &[u8],
) -> Option<Heading> {
    const REQUESTS: [u8; 2] = [8, 128];
    let goes_there = match (plan.flow.by, plan.l4proto()) {
        (KnownBy::Sender(sender), _) => addresses?.0 == sender,
        (KnownBy::Tag(_), 1 | 58) => REQUESTS.contains(transport.first()?),
        (KnownBy::Tag(tag), _) => *transport.first_chunk::<2>()? == tag.to_be_bytes(),
    };
    Some(if goes_there {
        Heading::There
    } else {
        Heading::Back
    })
}

/// The text of a rule of ours; `None` where there is none with this handle.
pub fn our_rule(
    socket: &mut Socket,
    key: &ChainKey,
    handle: u64,
) -> Result<Option<String>, NetlinkError> {
    let family = key.family;
    let specs = socket.dump(&set::get_all(family), |_, payload| {
        set::parse(wire::attrs(payload))
    })?;
    let leads_to_port = |name: &NftName| {
        let spec = specs.iter().find(|(known, _)| known == name);
        spec.is_some_and(|(_, spec)| spec.data.len() > 1)
    };
    let found = socket.dump(&chain::get_rules(key), |_, payload| {
        let attrs = wire::attrs(payload);
        let is_it = get_u64(attrs, RULE_HANDLE) == Some(handle);
        let rule = is_it.then(|| chain::parse_rule(family, attrs, &leads_to_port));
        rule.flatten()
    })?;
    Ok(found.first().map(rule_text))
}

#[cfg(test)]
mod tests {
    use model::Family;
    use netstate::trace::{ProbeProto, TracedFlow};
    use proptest::prelude::*;

    use super::*;

    fn plan() -> TracePlan {
        let flow = TracedFlow {
            family: Family::Ipv4,
            proto: ProbeProto::Udp(53),
            by: KnownBy::Tag(4000),
        };
        TracePlan::new(1, flow)
    }

    #[test]
    fn ports_tell_the_way() {
        let header = |from: u16, to: u16| [from.to_be_bytes(), to.to_be_bytes()].concat();
        let heading = |header: &[u8]| heading(&plan(), None, header);
        assert_eq!(heading(&header(4000, 53)), Some(Heading::There));
        assert_eq!(heading(&header(53, 4000)), Some(Heading::Back));
        assert_eq!(heading(&[0]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let kind = 10 << 8 | Kind::Trace as u16;
            let _ = parse(&plan(), kind, &bytes);
            let _ = heading(&plan(), addresses(&bytes), &bytes);
        }
    }
}
