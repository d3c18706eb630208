//! A rule's instructions back as statements: the inverse of `lower`. What it makes of the
//! instructions counts only if `lower` makes the same instructions of it again, so that nothing
//! that a stranger added to a rule is overlooked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::{IfName, Prefix, Vni};
use netstate::nft::{
    CtState, CtStatus, EtherType, Expr, Icmpv6Type, Ip6Source, L4proto, MatchOp, NftFamily,
    NftName, Right, Statement,
};

use super::expr::{Instruction, Slot, Source};
use super::field::{
    self, META_IIFTYPE, META_L4PROTO, META_NFPROTO, META_PROTOCOL, NETWORK, Network,
};
use super::lower::{IFNAMSIZ, IPPROTO_UDP, icmpv6_number, l4proto_number, lower, state_bit};

/// The statements of a rule; `None` where it is none of ours. `leads_to_port` as in `lower`.
pub fn lift(
    family: NftFamily,
    instructions: &[Instruction],
    leads_to_port: &dyn Fn(&NftName) -> bool,
) -> Option<Vec<Statement>> {
    let instructions: Vec<Instruction> = instructions
        .iter()
        .filter(|instruction| !is_idle(instruction))
        .cloned()
        .collect();
    let mut lifting = Lifting::default();
    for instruction in &instructions {
        lifting.instruction(instruction)?;
    }
    let mut statements = lifting.out;
    let says_it = |statements: &[Statement]| {
        lower(family, statements, leads_to_port).as_ref() == Some(&instructions)
    };
    // A match of a protocol may be one that a later expression needs and nft doesn't show.
    for index in (0..statements.len()).rev() {
        if may_be_implied(&statements[index]) {
            let mut shorter = statements.clone();
            shorter.remove(index);
            if says_it(&shorter) {
                statements = shorter;
            }
        }
    }
    says_it(&statements).then_some(statements)
}

/// nft swaps the bytes of the protocol in a key with ranges: one byte, two at a time. The
/// kernel does nothing there, and `lower` leaves it out.
fn is_idle(instruction: &Instruction) -> bool {
    matches!(
        instruction,
        Instruction::Byteorder { from, to, size: 2, len: 1 } if from == to
    )
}

fn may_be_implied(statement: &Statement) -> bool {
    let Statement::Match { right, .. } = statement else {
        return false;
    };
    matches!(right, Right::EtherType(_) | Right::L4proto(_))
}

/// What the registers hold while a rule is read.
#[derive(Default)]
struct Lifting {
    loaded: Vec<Source>,
    mask: Option<Vec<u8>>,
    mapped: Option<(Vec<Expr>, NftName)>,
    constant: Option<Vec<u8>>,
    network: Option<Network>,
    udp: bool,
    out: Vec<Statement>,
}

impl Lifting {
    fn instruction(&mut self, instruction: &Instruction) -> Option<()> {
        match instruction {
            Instruction::Load { source, to } => self.load(*source, *to),
            Instruction::Bitwise { mask, .. } => self.mask = Some(mask.clone()),
            Instruction::Cmp { equal, data, .. } => self.cmp(*equal, data)?,
            Instruction::Lookup {
                set, to, inverted, ..
            } => self.look_up(set, *to, *inverted)?,
            // None of our own rules do.
            Instruction::Byteorder { .. } | Instruction::MetaWrite { .. } => return None,
            Instruction::Immediate { data, .. } => self.constant = Some(data.clone()),
            Instruction::PayloadWrite { .. } => self.payload_write()?,
            Instruction::Dnat { family, .. } => {
                let (key, map) = self.mapped.take()?;
                let family = *family;
                self.out.push(Statement::Dnat { family, key, map });
            }
            Instruction::Verdict(verdict) => self.out.push(Statement::Verdict(verdict.clone())),
            Instruction::Masquerade => self.out.push(Statement::Masquerade),
            Instruction::Notrack => self.out.push(Statement::Notrack),
            Instruction::Counter => self.out.push(Statement::Counter),
        }
        Some(())
    }

    fn load(&mut self, source: Source, to: Slot) {
        if to == 0 {
            self.loaded.clear();
        }
        self.loaded.push(source);
    }

    fn look_up(&mut self, set: &NftName, to: Option<Slot>, inverted: bool) -> Option<()> {
        let left: Option<Vec<Expr>> = self.loaded.drain(..).map(field::expr).collect();
        if to.is_some() {
            self.mapped = Some((left?, set.clone()));
            return Some(());
        }
        self.out.push(Statement::Match {
            left: left?,
            op: op(!inverted),
            right: Right::Set(set.clone()),
        });
        Some(())
    }

    fn payload_write(&mut self) -> Option<()> {
        let to = match (self.mapped.take(), self.constant.take()) {
            (Some((key, map)), _) => Ip6Source::Map { key, map },
            (None, Some(data)) => {
                let octets: [u8; 16] = data.try_into().ok()?;
                Ip6Source::Address(octets.into())
            }
            (None, None) => return None,
        };
        self.network = Some(Network::Ip6);
        self.out.push(Statement::SetIp6Daddr(to));
        Some(())
    }

    fn cmp(&mut self, equal: bool, data: &[u8]) -> Option<()> {
        let mask = self.mask.take();
        let source = self.loaded.pop()?;
        if let Source::Meta { key } = source
            && [META_IIFTYPE, META_NFPROTO, META_PROTOCOL].contains(&key)
        {
            self.network = implied_network(key, data).or(self.network);
            return Some(());
        }
        if source == (Source::Meta { key: META_L4PROTO }) && data == [IPPROTO_UDP] {
            self.udp = true;
            return Some(());
        }
        let expr = self.compared(source)?;
        let (op, right) = right(expr, equal, data, mask.as_deref())?;
        if let Right::EtherType(kind) = right {
            self.network = Some(network_of(kind));
        }
        self.out.push(Statement::Match {
            left: vec![expr],
            op,
            right,
        });
        Some(())
    }

    /// The expression behind a load for a comparison, which may read only an address's start.
    fn compared(&self, source: Source) -> Option<Expr> {
        let (
            Source::Payload {
                base: NETWORK,
                offset,
                ..
            },
            Some(network),
        ) = (source, self.network)
        else {
            let expr = field::expr(source)?;
            return Some(match expr {
                Expr::ThDport if self.udp => Expr::UdpDport,
                other => other,
            });
        };
        match (network, offset) {
            (Network::Ip, 12) => Some(Expr::IpSaddr),
            (Network::Ip, 16) => Some(Expr::IpDaddr),
            (Network::Ip6, 8) => Some(Expr::Ip6Saddr),
            (Network::Ip6, 24) => Some(Expr::Ip6Daddr),
            (Network::Arp, 14) => Some(Expr::ArpSaddrIp),
            _ => None,
        }
    }
}

fn op(equal: bool) -> MatchOp {
    if equal { MatchOp::Eq } else { MatchOp::Ne }
}

fn implied_network(key: u32, data: &[u8]) -> Option<Network> {
    match (key, data) {
        (META_NFPROTO, [2]) => Some(Network::Ip),
        (META_NFPROTO, [10]) => Some(Network::Ip6),
        (META_PROTOCOL, bytes) => ether_type(bytes).map(network_of),
        _ => None,
    }
}

fn network_of(kind: EtherType) -> Network {
    match kind {
        EtherType::Ip => Network::Ip,
        EtherType::Arp => Network::Arp,
        EtherType::Ip6 => Network::Ip6,
    }
}

fn ether_type(data: &[u8]) -> Option<EtherType> {
    [EtherType::Ip, EtherType::Arp, EtherType::Ip6]
        .into_iter()
        .find(|kind| network_of(*kind).ethertype().to_be_bytes() == data)
}

/// The right side of a comparison of `expr` with these bytes, under this mask. Where there is
/// but one that we write, it is that one: `lift` compares the bytes.
fn right(expr: Expr, equal: bool, data: &[u8], mask: Option<&[u8]>) -> Option<(MatchOp, Right)> {
    match expr {
        Expr::CtState | Expr::CtStatus => {
            let (op, bits) = match mask {
                Some(mask) => (MatchOp::Eq, mask),
                None => (MatchOp::Ne, data),
            };
            let bits = u32::from_ne_bytes(bits.try_into().ok()?);
            Some((op, flags(expr, bits)))
        }
        _ => {
            let right = match expr {
                Expr::Iifname | Expr::Oifname => ifname(data)?,
                Expr::EtherType => Right::EtherType(ether_type(data)?),
                Expr::Icmpv6Type => Right::Icmpv6Type(icmpv6_type(data)?),
                Expr::FibSaddrType | Expr::FibDaddrType => Right::FibLocal,
                Expr::L4proto => Right::L4proto(l4proto(data)?),
                Expr::UdpDport => Right::Port(u16::from_be_bytes(data.try_into().ok()?)),
                Expr::VxlanVni => Right::Vni(vni(data)?),
                Expr::FragOff => Right::FragOffZero,
                Expr::FragExists => Right::Exists,
                address => Right::Prefix(prefix(address, data, mask)?),
            };
            Some((op(equal), right))
        }
    }
}

fn flags(expr: Expr, bits: u32) -> Right {
    if expr == Expr::CtStatus {
        return Right::CtStatus(CtStatus::Dnat);
    }
    let states = [CtState::Invalid, CtState::Established, CtState::Related]
        .into_iter()
        .filter(|state| bits & state_bit(*state) != 0);
    Right::CtState(states.collect())
}

fn ifname(data: &[u8]) -> Option<Right> {
    let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let text = std::str::from_utf8(&data[..end]).ok()?;
    if data.len() < IFNAMSIZ {
        return Some(Right::IfnameStart(text.to_owned()));
    }
    text.parse::<IfName>().ok().map(Right::Ifname)
}

fn vni(data: &[u8]) -> Option<Vni> {
    let [high, middle, low] = *data.first_chunk()?;
    Vni::try_from(u32::from_be_bytes([0, high, middle, low])).ok()
}

fn icmpv6_type(data: &[u8]) -> Option<Icmpv6Type> {
    [
        Icmpv6Type::MldListenerQuery,
        Icmpv6Type::MldListenerReport,
        Icmpv6Type::MldListenerDone,
        Icmpv6Type::NdRouterAdvert,
        Icmpv6Type::NdNeighborSolicit,
        Icmpv6Type::NdNeighborAdvert,
        Icmpv6Type::NdRedirect,
        Icmpv6Type::RouterRenumbering,
        Icmpv6Type::Mld2ListenerReport,
    ]
    .into_iter()
    .find(|kind| data == [icmpv6_number(*kind)])
}

fn l4proto(data: &[u8]) -> Option<L4proto> {
    [L4proto::Icmpv6, L4proto::Ipv4, L4proto::Ipv6]
        .into_iter()
        .find(|proto| data == [l4proto_number(*proto)])
}

fn prefix(expr: Expr, data: &[u8], mask: Option<&[u8]>) -> Option<Prefix> {
    let bits = match mask {
        Some(mask) => mask.iter().map(|byte| byte.count_ones()).sum(),
        None => u32::try_from(data.len()).ok()? * 8,
    };
    let address: IpAddr = match field::width(expr) {
        4 => Ipv4Addr::from(padded::<4>(data)?).into(),
        16 => Ipv6Addr::from(padded::<16>(data)?).into(),
        _ => return None,
    };
    Prefix::of(address, u8::try_from(bits).ok()?).ok()
}

fn padded<const LEN: usize>(data: &[u8]) -> Option<[u8; LEN]> {
    let mut bytes = [0; LEN];
    bytes.get_mut(..data.len())?.copy_from_slice(data);
    Some(bytes)
}
