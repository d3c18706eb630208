//! Our tables as they stand in the kernel, and one element of them.

use std::collections::{BTreeMap, BTreeSet};

use netstate::nft::{
    ADMIN_CHAIN, Chain, ChainKey, Datum, ElementKey, NftFamily, NftName, Rule, Rules, SetKey,
    SetSpec,
};
use rustix::io::Errno;

use super::element::{self as elements, Lifted, RawElement};
use super::{chain, set, table, wire};
use crate::netlink::{NetlinkError, Socket};

/// How often something is read before what was read last is taken as it is.
const TRIES: u32 = 6;
/// `NFTA_GEN_ID`.
const GEN_ID: u16 = 1;

/// All of ours, and whatever anybody else put into our tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// Each table's comment: none means that it may be another's.
    pub tables: BTreeMap<NftFamily, Option<String>>,
    /// A set of a kind that ours never are, or with an element that ours never have, has no
    /// key types.
    pub sets: BTreeMap<SetKey, SetSpec>,
    /// A rule that is none of ours is one `Statement::Foreign`.
    pub chains: BTreeMap<ChainKey, Chain>,
    /// The readable elements.
    pub elements: BTreeMap<ElementKey, Vec<Datum>>,
}

/// Reads the tables of our name in our families. The kernel has no snapshot of a ruleset: when
/// its generation changes under way, all is read again.
///
/// # Errors
/// The kernel's no.
pub fn observe(socket: &mut Socket) -> Result<Ruleset, NetlinkError> {
    let mut tries = 1;
    loop {
        let before = generation(socket)?;
        let seen = observe_once(socket);
        let is_torn = generation(socket)? != before;
        if !is_torn || tries == TRIES {
            return seen;
        }
        tries += 1;
    }
}

fn generation(socket: &mut Socket) -> Result<Option<u32>, NetlinkError> {
    socket.get(wire::generation_request(), |_, payload| {
        wire::get_u32(wire::attrs(payload), GEN_ID)
    })
}

fn observe_once(socket: &mut Socket) -> Result<Ruleset, NetlinkError> {
    let mut seen = Ruleset::default();
    for family in [NftFamily::Inet, NftFamily::Bridge] {
        let parse = |_, payload: &[u8]| table::parse(wire::attrs(payload));
        if let Some(comment) = absent_is_none(socket.get(table::get(family), parse))? {
            seen.tables.insert(family, comment);
            observe_sets(socket, family, &mut seen)?;
            observe_chains(socket, family, &mut seen)?;
        }
    }
    Ok(seen)
}

fn absent_is_none<T>(answer: Result<Option<T>, NetlinkError>) -> Result<Option<T>, NetlinkError> {
    match answer {
        Err(error) if error.errno == Errno::NOENT => Ok(None),
        answer => answer,
    }
}

fn observe_sets(
    socket: &mut Socket,
    family: NftFamily,
    seen: &mut Ruleset,
) -> Result<(), NetlinkError> {
    let request = set::get_all(family);
    let sets = socket.dump(&request, |_, payload| set::parse(wire::attrs(payload)))?;
    for (name, spec) in sets {
        let set = SetKey { family, name };
        let (elements, readable) = elements::lift(&spec, raw_elements(socket, &set)?);
        let elements = elements.into_iter().map(|(key, data)| {
            let set = set.clone();
            (ElementKey { set, key }, data)
        });
        seen.elements.extend(elements);
        let spec = if readable { spec } else { set::unreadable() };
        seen.sets.insert(set, spec);
    }
    Ok(())
}

/// All elements of a set. The kernel walks a hash table by position and starts over at each
/// read: when the table grows between two reads (`nft_rhash_walk`), as many elements are left
/// out as come twice, and nothing else tells. Then all is read again, [`TRIES`] times at most.
fn raw_elements(socket: &mut Socket, set: &SetKey) -> Result<Vec<RawElement>, NetlinkError> {
    let mut all = BTreeSet::new();
    for _ in 0..TRIES {
        let lists = socket.dump(&elements::get_all(set), |_, payload| {
            let (name, elements) = elements::parse_list(wire::attrs(payload))?;
            (name == set.name).then_some(elements)
        })?;
        let count: usize = lists.iter().map(Vec::len).sum();
        let once: BTreeSet<RawElement> = lists.into_iter().flatten().collect();
        if once.len() == count {
            return Ok(once.into_iter().collect());
        }
        all.extend(once);
    }
    Ok(all.into_iter().collect())
}

fn observe_chains(
    socket: &mut Socket,
    family: NftFamily,
    seen: &mut Ruleset,
) -> Result<(), NetlinkError> {
    let request = chain::get_all(family);
    let chains = socket.dump(&request, |_, payload| chain::parse(wire::attrs(payload)))?;
    for (name, hook) in chains {
        let key = ChainKey { family, name };
        let rules = if key.name.as_str() == ADMIN_CHAIN {
            Rules::Admin
        } else {
            Rules::Ours(rules(socket, &key, &seen.sets)?)
        };
        seen.chains.insert(key, Chain { hook, rules });
    }
    Ok(())
}

fn rules(
    socket: &mut Socket,
    chain: &ChainKey,
    sets: &BTreeMap<SetKey, SetSpec>,
) -> Result<Vec<Rule>, NetlinkError> {
    let family = chain.family;
    let leads_to_port = |name: &NftName| {
        let name = name.clone();
        let spec = sets.get(&SetKey { family, name });
        spec.is_some_and(|spec| spec.data.len() > 1)
    };
    socket.dump(&chain::get_rules(chain), |_, payload| {
        chain::parse_rule(family, wire::attrs(payload), &leads_to_port)
    })
}

/// One set's declaration; `None` where there is no such set of ours.
pub fn set_spec(socket: &mut Socket, key: &SetKey) -> Result<Option<SetSpec>, NetlinkError> {
    let answer = socket.get(set::get(key), |_, payload| set::parse(wire::attrs(payload)));
    Ok(absent_is_none(answer)?.map(|(_, spec)| spec))
}

/// The data of the element with this key, empty in a set; `None` where there is none. It costs
/// the same whatever else the set holds, except in a set of plain ranges: the kernel looks up
/// values there, not ranges, so that such a set is read whole.
///
/// # Errors
/// The kernel's no.
pub fn element(socket: &mut Socket, key: &ElementKey) -> Result<Option<Vec<Datum>>, NetlinkError> {
    let Some(spec) = set_spec(socket, &key.set)? else {
        return Ok(None);
    };
    let found = match elements::raw(Some(&spec), &key.key, &[]).as_slice() {
        [wanted] if !elements::is_of_plain_ranges(&spec) => one_raw(socket, &key.set, wanted)?,
        _ => raw_elements(socket, &key.set)?,
    };
    let (lifted, _) = elements::lift(&spec, found);
    let same = |(found, _): &Lifted| *found == key.key;
    Ok(lifted.into_iter().find(same).map(|(_, data)| data))
}

fn one_raw(
    socket: &mut Socket,
    set: &SetKey,
    wanted: &RawElement,
) -> Result<Vec<RawElement>, NetlinkError> {
    let answer = socket.get(elements::get(set, wanted), |_, payload| {
        elements::parse_list(wire::attrs(payload))
    });
    Ok(absent_is_none(answer)?.map_or_else(Vec::new, |(_, elements)| elements))
}
