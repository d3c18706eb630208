//! The part of nftables that Pontoon uses: tables, sets, chains, rules and elements.
//!
//! Rules are statements over expressions, as nft(8) names them, and only the forms that our own
//! tables need. `kernel` turns them into netlink expressions and back; [`text`] prints them as
//! `nft list table` does.

mod element;
mod rule;
mod table;
pub mod text;

pub use element::{Datum, DatumType, Item};
pub use rule::{
    CtState, CtStatus, EtherType, Expr, Icmpv6Type, Ip6Source, L4proto, MatchOp, NatFamily, Right,
    Statement, Verdict,
};
pub use table::{
    ADMIN_CHAIN, Chain, ChainKey, ElementKey, Hook, HookPoint, HookType, NftFamily, NftName, Rule,
    Rules, SetKey, SetSpec,
};
