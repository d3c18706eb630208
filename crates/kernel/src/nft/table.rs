//! Tables, to and from `NFT_MSG_NEWTABLE`. A table's comment is our mark on it.

use netstate::nft::NftFamily;

use super::wire::{self, Kind, NLM_F_CREATE, message};
use crate::netlink::{Attrs, Message, c_string};

const TABLE_USERDATA: u16 = 6;
/// `NFTNL_UDATA_TABLE_COMMENT` of libnftnl.
const UDATA_COMMENT: u8 = 0;
/// Bytes of a comment with its NUL (nft's limit is 128 less the NUL).
const COMMENT_MAX: usize = 128;

pub fn add(family: NftFamily, comment: &str) -> Message {
    let mut m = message(Kind::NewTable, NLM_F_CREATE, family);
    let text = comment.as_bytes();
    let text = &text[..text.len().min(COMMENT_MAX - 1)];
    let mut userdata = vec![UDATA_COMMENT, text.len() as u8 + 1];
    userdata.extend_from_slice(text);
    userdata.push(0);
    m.attr(TABLE_USERDATA, &userdata);
    m
}

pub fn delete(family: NftFamily) -> Message {
    message(Kind::DelTable, 0, family)
}

/// The request for our table of a family.
pub fn get(family: NftFamily) -> Message {
    message(Kind::GetTable, 0, family)
}

/// The comment of our table in a `NFT_MSG_NEWTABLE`; the outer `None` for another table.
pub fn parse(attrs: Attrs<'_>) -> Option<Option<String>> {
    wire::is_ours(attrs).then(|| comment(attrs.get(TABLE_USERDATA).unwrap_or_default()))
}

fn comment(mut userdata: &[u8]) -> Option<String> {
    while let [kind, len, rest @ ..] = userdata {
        let value = rest.get(..usize::from(*len))?;
        if *kind == UDATA_COMMENT {
            return c_string(value).map(str::to_owned);
        }
        userdata = &rest[value.len()..];
    }
    None
}
