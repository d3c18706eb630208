//! A rule's statements as instructions, exactly as nft 1.0.6 writes them: the same registers and
//! the same unspoken matches ("this is IPv6") before an expression that needs them, so that
//! `nft list` shows what was meant and `lift` finds the way back.

use std::net::IpAddr;

use model::{IfName, Prefix};
use netstate::nft::{
    CtState, CtStatus, EtherType, Expr, Icmpv6Type, Ip6Source, L4proto, MatchOp, NatFamily,
    NftFamily, NftName, Right, Statement,
};

use super::expr::{Instruction, SLOTS, Slot, Source};
use super::field::{self, META_IIFTYPE, META_L4PROTO, META_NFPROTO, META_PROTOCOL, Network};

/// Bytes of an interface name in a register (`IFNAMSIZ`).
pub const IFNAMSIZ: usize = 16;
const ARPHRD_ETHER: u16 = 1;
const IPPROTO_ICMPV6: u8 = 58;
pub const IPPROTO_UDP: u8 = 17;
/// The offset's bits beside the flags (RFC 8200 section 4.5).
const FRAG_OFF_MASK: [u8; 2] = [0xff, 0xf8];
/// `RTN_LOCAL` (`include/uapi/linux/rtnetlink.h`).
const RTN_LOCAL: u32 = 2;
/// `NFT_PAYLOAD_L4CSUM_PSEUDOHDR`: the transport checksum covers the address.
const L4_CHECKSUM: u32 = 1;

/// The instructions of a rule; `None` where it says what no rule can (a value of another kind
/// than the expression's, a foreign statement). `leads_to_port` says which maps' values are an
/// address and a port.
pub fn lower(
    family: NftFamily,
    statements: &[Statement],
    leads_to_port: &dyn Fn(&NftName) -> bool,
) -> Option<Vec<Instruction>> {
    let mut lowering = Lowering {
        family,
        leads_to_port,
        link: false,
        network: None,
        transport: None,
        out: Vec::new(),
    };
    for statement in statements {
        lowering.statement(statement)?;
    }
    Some(lowering.out)
}

struct Lowering<'a> {
    family: NftFamily,
    leads_to_port: &'a dyn Fn(&NftName) -> bool,
    /// What the rule has already established about a packet: that it has an Ethernet header,
    /// its network protocol, its transport protocol.
    link: bool,
    network: Option<Network>,
    transport: Option<u8>,
    out: Vec<Instruction>,
}

impl Lowering<'_> {
    fn statement(&mut self, statement: &Statement) -> Option<()> {
        match statement {
            Statement::Match { left, op, right } => self.compare(left, *op, right)?,
            Statement::Counter => self.out.push(Instruction::Counter),
            Statement::Verdict(verdict) => self.out.push(Instruction::Verdict(verdict.clone())),
            Statement::Dnat { family, key, map } => self.dnat(*family, key, map)?,
            Statement::SetIp6Daddr(to) => self.set_ip6_daddr(to)?,
            Statement::Masquerade => self.out.push(Instruction::Masquerade),
            Statement::Notrack => self.out.push(Instruction::Notrack),
            Statement::Foreign(_) => return None,
        }
        Some(())
    }

    fn load(&mut self, source: Source, to: Slot) {
        self.out.push(Instruction::Load { source, to });
    }

    fn cmp(&mut self, equal: bool, data: &[u8]) {
        let data = data.to_vec();
        self.out.push(Instruction::Cmp {
            from: 0,
            equal,
            data,
        });
    }

    /// Loads a concatenation from register 0 on, each field padded to 4 bytes.
    fn load_all(&mut self, exprs: &[Expr]) -> Option<()> {
        exprs.iter().for_each(|expr| self.require(*expr));
        let mut slot = 0;
        for expr in exprs {
            self.load(field::source(*expr), slot);
            slot += field::width(*expr).div_ceil(4);
        }
        (slot > 0 && slot <= SLOTS).then_some(())
    }

    fn look_up(&mut self, exprs: &[Expr], set: &NftName, to: Option<Slot>) -> Option<()> {
        if exprs.contains(&Expr::UdpDport) {
            return None;
        }
        self.load_all(exprs)?;
        self.out.push(Instruction::Lookup {
            from: 0,
            set: set.clone(),
            to,
            inverted: false,
        });
        Some(())
    }

    fn compare(&mut self, left: &[Expr], op: MatchOp, right: &Right) -> Option<()> {
        if let Right::Set(set) = right {
            self.look_up(left, set, None)?;
            if let Some(Instruction::Lookup { inverted, .. }) = self.out.last_mut() {
                *inverted = op == MatchOp::Ne;
            }
            return Some(());
        }
        let [expr] = left else { return None };
        self.require(*expr);
        let equal = op == MatchOp::Eq;
        match (right, expr) {
            (Right::Prefix(prefix), _) => return self.prefix(*expr, equal, *prefix),
            (Right::CtState(states), Expr::CtState) => {
                let bits = states
                    .iter()
                    .fold(0, |bits, state| bits | state_bit(*state));
                self.bits(*expr, equal, bits);
            }
            (Right::CtStatus(status), Expr::CtStatus) => {
                self.bits(*expr, equal, status_bit(*status));
            }
            (Right::FragOffZero, Expr::FragOff) => {
                self.masked(*expr, FRAG_OFF_MASK.to_vec());
                self.cmp(equal, &[0; 2]);
            }
            _ => {
                let data = constant(*expr, right)?;
                self.load(field::source(*expr), 0);
                self.cmp(equal, &data);
            }
        }
        if let (Right::EtherType(kind), true) = (right, equal) {
            self.network = Some(network_of(*kind));
        }
        Some(())
    }

    /// Equality with bits means any of them; inequality means not exactly them.
    fn bits(&mut self, expr: Expr, equal: bool, bits: u32) {
        let bits = bits.to_ne_bytes();
        if equal {
            self.masked(expr, bits.to_vec());
            self.cmp(false, &[0; 4]);
        } else {
            self.load(field::source(expr), 0);
            self.cmp(false, &bits);
        }
    }

    fn masked(&mut self, expr: Expr, mask: Vec<u8>) {
        self.load(field::source(expr), 0);
        self.out.push(Instruction::Bitwise {
            from: 0,
            to: 0,
            xor: vec![0; mask.len()],
            mask,
        });
    }

    /// A prefix of whole bytes is compared by these alone, any other under a mask.
    fn prefix(&mut self, expr: Expr, equal: bool, prefix: Prefix) -> Option<()> {
        let address = octets(prefix.address());
        let takes_address = Network::of(expr).is_some_and(|network| network != Network::Arp)
            || matches!(expr, Expr::CtOriginalIp6Saddr | Expr::ArpSaddrIp);
        if !takes_address || field::width(expr) as usize != address.len() {
            return None;
        }
        let bits = usize::from(prefix.bits());
        if bits.is_multiple_of(8) && bits > 0 {
            let bytes = bits / 8;
            let source = match field::source(expr) {
                Source::Payload { base, offset, .. } => Source::Payload {
                    base,
                    offset,
                    len: bytes as u32,
                },
                whole => whole,
            };
            self.load(source, 0);
            self.cmp(equal, &address[..bytes]);
            return Some(());
        }
        self.masked(expr, mask(bits, address.len()));
        self.cmp(equal, &address);
        Some(())
    }

    fn dnat(&mut self, family: NatFamily, key: &[Expr], map: &NftName) -> Option<()> {
        self.look_up(key, map, Some(0))?;
        let behind_address = match family {
            NatFamily::Ip => 1,
            NatFamily::Ip6 => 4,
        };
        self.out.push(Instruction::Dnat {
            family,
            address: 0,
            port: (self.leads_to_port)(map).then_some(behind_address),
        });
        Some(())
    }

    fn set_ip6_daddr(&mut self, to: &Ip6Source) -> Option<()> {
        self.require(Expr::Ip6Daddr);
        match to {
            Ip6Source::Map { key, map } => self.look_up(key, map, Some(0))?,
            Ip6Source::Address(address) => self.out.push(Instruction::Immediate {
                to: 0,
                data: address.octets().to_vec(),
            }),
        }
        if let Source::Payload { base, offset, len } = field::source(Expr::Ip6Daddr) {
            self.out.push(Instruction::PayloadWrite {
                from: 0,
                base,
                offset,
                len,
                checksum_flags: L4_CHECKSUM,
            });
        }
        Some(())
    }

    /// The matches that must come before an expression, unless the rule has them already.
    fn require(&mut self, expr: Expr) {
        if matches!(expr, Expr::EtherSaddr | Expr::EtherDaddr | Expr::EtherType) {
            self.require_link();
        }
        if let Some(network) = Network::of(expr) {
            self.require_network(expr, network);
        }
        match expr {
            Expr::Icmpv6Type => self.require_transport(IPPROTO_ICMPV6),
            Expr::UdpDport => self.require_transport(IPPROTO_UDP),
            _ => {}
        }
    }

    fn require_transport(&mut self, proto: u8) {
        if self.transport != Some(proto) {
            self.load(Source::Meta { key: META_L4PROTO }, 0);
            self.cmp(true, &[proto]);
            self.transport = Some(proto);
        }
    }

    fn require_link(&mut self) {
        if self.family == NftFamily::Inet && !self.link {
            self.load(Source::Meta { key: META_IIFTYPE }, 0);
            self.cmp(true, &ARPHRD_ETHER.to_ne_bytes());
        }
        self.link = true;
    }

    fn require_network(&mut self, expr: Expr, network: Network) {
        if self.network == Some(network) {
            return;
        }
        let ethertype = network.ethertype().to_be_bytes();
        // On a bridge the Ethernet header may hold a VLAN tag, so nft asks the packet instead
        // for IP and IPv6 addresses, but for nothing else.
        let by_protocol = self.family == NftFamily::Bridge
            && matches!(network, Network::Ip | Network::Ip6)
            && !matches!(expr, Expr::Icmpv6Type | Expr::FragOff | Expr::FragExists);
        let by_nfproto = self.family == NftFamily::Inet && !self.link;
        match network {
            Network::Ip | Network::Ip6 if by_nfproto => {
                let nfproto = if network == Network::Ip { 2 } else { 10 };
                self.load(Source::Meta { key: META_NFPROTO }, 0);
                self.cmp(true, &[nfproto]);
            }
            _ if by_protocol => {
                self.load(Source::Meta { key: META_PROTOCOL }, 0);
                self.cmp(true, &ethertype);
            }
            _ => {
                self.require_link();
                self.load(field::source(Expr::EtherType), 0);
                self.cmp(true, &ethertype);
            }
        }
        self.network = Some(network);
    }
}

/// The bytes an expression is compared with.
fn constant(expr: Expr, right: &Right) -> Option<Vec<u8>> {
    match (expr, right) {
        (Expr::Iifname | Expr::Oifname, Right::Ifname(name)) => Some(ifname(name).to_vec()),
        (Expr::Iifname | Expr::Oifname, Right::IfnameStart(start)) => {
            let sane = (1..IFNAMSIZ).contains(&start.len()) && !start.contains('\0');
            sane.then(|| start.as_bytes().to_vec())
        }
        (Expr::EtherType, Right::EtherType(kind)) => {
            Some(network_of(*kind).ethertype().to_be_bytes().to_vec())
        }
        (Expr::Icmpv6Type, Right::Icmpv6Type(kind)) => Some(vec![icmpv6_number(*kind)]),
        (Expr::UdpDport, Right::Port(port)) => Some(port.to_be_bytes().to_vec()),
        (Expr::VxlanVni, Right::Vni(vni)) => Some(vni.number().to_be_bytes()[1..].to_vec()),
        (Expr::L4proto, Right::L4proto(proto)) => Some(vec![l4proto_number(*proto)]),
        (Expr::FragExists, Right::Exists) => Some(vec![1]),
        (Expr::FibSaddrType | Expr::FibDaddrType, Right::FibLocal) => {
            Some(RTN_LOCAL.to_ne_bytes().to_vec())
        }
        _ => None,
    }
}

pub fn ifname(name: &IfName) -> [u8; IFNAMSIZ] {
    let mut bytes = [0; IFNAMSIZ];
    for (to, from) in bytes.iter_mut().zip(name.as_str().bytes()) {
        *to = from;
    }
    bytes
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// A mask of `bits` ones in `len` bytes.
fn mask(bits: usize, len: usize) -> Vec<u8> {
    let byte = |index: usize| {
        let ones = bits.saturating_sub(index * 8).min(8);
        !(0xffu16 >> ones) as u8
    };
    (0..len).map(byte).collect()
}

fn network_of(kind: EtherType) -> Network {
    match kind {
        EtherType::Ip => Network::Ip,
        EtherType::Arp => Network::Arp,
        EtherType::Ip6 => Network::Ip6,
    }
}

/// IANA, ICMPv6 type numbers.
pub fn icmpv6_number(kind: Icmpv6Type) -> u8 {
    match kind {
        Icmpv6Type::MldListenerQuery => 130,
        Icmpv6Type::MldListenerReport => 131,
        Icmpv6Type::MldListenerDone => 132,
        Icmpv6Type::NdRouterAdvert => 134,
        Icmpv6Type::NdNeighborSolicit => 135,
        Icmpv6Type::NdNeighborAdvert => 136,
        Icmpv6Type::NdRedirect => 137,
        Icmpv6Type::RouterRenumbering => 138,
        Icmpv6Type::Mld2ListenerReport => 143,
    }
}

/// IANA, Protocol Numbers.
pub fn l4proto_number(proto: L4proto) -> u8 {
    match proto {
        L4proto::Icmpv6 => IPPROTO_ICMPV6,
        L4proto::Ipv4 => 4,
        L4proto::Ipv6 => 41,
    }
}

/// `NF_CT_STATE_BIT` (`include/uapi/linux/netfilter/nf_conntrack_common.h`).
pub fn state_bit(state: CtState) -> u32 {
    match state {
        CtState::Invalid => 1,
        CtState::Established => 2,
        CtState::Related => 4,
    }
}

/// `IPS_*` of the same file.
fn status_bit(status: CtStatus) -> u32 {
    match status {
        CtStatus::Dnat => 1 << 5,
    }
}
