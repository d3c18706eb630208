//! Which changes of the firewall concern us: those of our tables that are not our own.

use netstate::nft::text::TABLE;

use crate::netlink::{Attrs, Author, Notice};

/// `NFNL_SUBSYS_NFTABLES`, the upper byte of a message's type.
const SUBSYSTEM: u16 = 10;
/// `NFT_MSG_NEWGEN`: behind every transaction, about no table.
const NEW_GENERATION: u16 = SUBSYSTEM << 8 | 15;
/// Bytes of `struct nfgenmsg`.
const HEADER: usize = 4;
/// The table's name, in messages about it and about all that is in it.
const TABLE_NAME: u16 = 1;

pub fn is_of_our_table(notice: &Notice<'_>) -> bool {
    let is_change = notice.kind >> 8 == SUBSYSTEM && notice.kind != NEW_GENERATION;
    is_change
        && notice.author != Author::Ours
        && Attrs::behind(notice.payload, HEADER).text(TABLE_NAME) == Some(TABLE)
}
