//! The fast path: BPF programs that give packets between endpoints of one node straight to the
//! receiver. The kernel's way stays as it is, and carries everything by itself.
//!
//! # What may be carried
//! The kernel is its own witness. `pontoon_out` stands where a packet has gone through all there
//! is: traffic control, the port's guard, foreign tables of any family, `br_netfilter` and what is
//! hooked behind it, the bridge's forwarding. What arrives there proves its flow: the same port in,
//! the same MACs, addresses, transport ports, DSCP and hops were delivered to this port, unchanged.
//! For a second (`proof_ns`) `pontoon_in` gives packets with exactly these headers to the same
//! port by `bpf_redirect_peer`. All others go on (R1): nothing is ever dropped here.
//!
//! So a verdict is never computed twice. It is the ruleset's own (R3), whatever it was made of, and
//! no older than a second: a rule added at any place, by anybody, bites by itself then, and at the
//! next packet after [`FastPath::bump`]. While a flow runs, a copy of one of its packets each
//! half second goes the kernel's way, renews the proof, and ends there.
//!
//! Conntrack (R2) is not asked: between endpoints of one bridge there is none, by our own
//! `notrack` or without `br_netfilter`. What other rules track they would see only in part, so what
//! opens and ends a connection, fragments, options and ICMP always go the kernel's way.
//!
//! A proof is written only between ports that the engine has entered in a map, of the same
//! network, each with its own MAC and addresses (R7): the guard's checks once more. Whatever
//! changes in this map voids all proofs. Nothing is inserted for a packet (R6): proofs are places
//! in an array, one for each CPU, so that no two write to one. What is longer than the receiver's
//! MTU goes the kernel's way (R5).
//!
//! Two things stand where `pontoon_out` can't see them: a queue and a classic filter of traffic
//! control at the port. A port that has one is left alone (R4). One that comes later is seen at the
//! next [`FastPath::ensure`], not before.
//!
//! # Between nodes
//! The same, with a witness at each node. What comes from a container and goes the kernel's way
//! gets a ticket: its flow as it came in, found again by a number in the packet's `tc_index`.
//! `pontoon_to_nodes` stands where packets leave for other nodes. A packet with a ticket that comes
//! out there in VXLAN or as it is, with the same addresses, ports and DSCP inside, and one hop less or none,
//! proves its flow, and is the pattern: for a second `pontoon_in` puts around packets of this flow
//! what the kernel has put around that one, with its own lengths, checksums and identification, the
//! kernel's MACs, mark and priority, and sends them out by the same device, through its queue.
//! `pontoon_from_nodes`, where packets of other nodes come in, does the reverse: what reached an
//! endpoint's port the kernel's way proves the flow inside together with what was around it (nodes,
//! source port, VNI, hops, DSCP), and packets of it are taken out and given to the endpoint.
//!
//! So routes, neighbour and forwarding entries, and the rules of both nodes on what is inside and
//! on what is around, decide as ever; and a node with the fast path and one without understand each
//! other, as all they see of each other is what the kernel sends. Copies renew proofs as on one
//! node. Where GRO has put a copy together with other packets it is passed on: a piece comes twice,
//! none is lost.
//!
//! The kernel's way is also that of: packets without a checksum, or with one that is complete
//! (the outer checksum is made from an open inner one, as the kernel makes it: "LCO" in
//! Documentation/networking/checksum-offloads.rst); "congestion experienced" from the underlay;
//! datagrams of UDP that stand for several, on arrival. Packets of segments have no outer checksum
//! over IPv4 (RFC 7348 section 4.1 asks for none), and over IPv6, where there must be one, go
//! through the network's VXLAN device instead.
//!
//! Where packets cross as they are (`routed`), the pattern is the Ethernet header that the kernel
//! has written, and the hop it has taken: the same header goes in front of the next ones, whose
//! bytes are otherwise the container's. A packet without a ticket, or one whose receiver (on the way
//! out) or sender (on the way in) is not in the network's prefix, proves nothing: what leaves the
//! network by the same device is tracked, and may be translated. Whoever is on that link can send
//! what looks like a node's packet; it is carried where the kernel has just delivered one with the
//! same headers, the link's MACs included, and would deliver this one. ECN, checksums and segments
//! need no care, as nothing is put around. The devices' programs look at packets outside VXLAN only
//! where there is such a network.
//!
//! A stretched network (one Ethernet over all nodes, in VXLAN) is carried as every other in VXLAN:
//! its packets take no hop, and the MACs inside are the containers'.
//!
//! Conntrack is not asked here either. Packets between endpoints of one network are not tracked by
//! our rules, on one node and across; what others' rules track they see in part.
//!
//! # What it costs
//! A packet that is carried costs one look into an array for its proof, one or two for counters, and
//! none into a hash table. What goes in front of it is kept in the proof's place, changed there and
//! copied once. Headers are read and written by words: single bytes, which the compiler does not put
//! together by itself, took half of the programs' time.
//!
//! # What it changes besides speed
//! Counters of rules, and rules that act on a packet by chance, rate or content, see one packet
//! in half a second of an established flow; a packet that comes just before its flow is proved can
//! be overtaken; captures on the receiver's port do not show what is carried, but while
//! [`FastPath::step_aside`] says so. Programs of others at a device to other nodes see a copy twice.
//!
//! # Rooms
//! `programs` loads and pins, `place` knows where, `attach` puts programs on ports, `hindrance`
//! says on which not, `tc` asks what is there, `counters` has places for counters, `node` puts it
//! together, `overlay` and `parts` for what crosses nodes, `trial` asks the kernel whether it would.
//! Packet logic is in `fastpath-wire`, the programs are in `fastpath-ebpf`. Nothing here decides
//! which networks have a fast path.

mod attach;
mod counters;
mod entries;
mod error;
mod hindrance;
mod node;
mod overlay;
mod parts;
mod place;
mod port;
mod programs;
mod raw;
mod status;
mod tc;
mod trial;

use model::{NetworkId, NodeId};

pub use attach::Hook;
pub use error::FastPathError;
pub use hindrance::Hindrance;
pub use node::{Ensured, FastPath};
pub use overlay::{Overlay, Part, Uplink, Way};
pub use port::Port;
pub use status::{PortStatus, SlowCount, Status, UplinkStatus};
pub use trial::try_out;

/// Whether a node's fast path is on for a network: one system call.
pub fn is_on(node: NodeId, network: NetworkId) -> bool {
    place::Place::of(node).is_on(network)
}

/// Whether this build has the programs.
pub fn is_built() -> bool {
    programs::is_built()
}
