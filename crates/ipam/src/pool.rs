//! A free prefix for a network that was given none.

use std::net::{IpAddr, Ipv6Addr};

use model::{Family, Prefix};

use crate::address::{address, bits};

/// Where IPv4 networks come from (RFC 1918), in order. Not 10.0.0.0/8 from its start, where
/// companies and clouds live, and not 172.17.0.0/16, where Docker does.
const POOLS: [&str; 3] = ["10.88.0.0/14", "172.24.0.0/13", "192.168.0.0/16"];
/// The length of a picked IPv4 prefix.
const PICKED_LEN: u8 = 24;
/// How many random unique-local prefixes are tried. The first one clashes with probability 2^-40.
const ULA_TRIES: u64 = 8;

/// No prefix is free.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    #[error("every {0} prefix we pick from overlaps one in use; name one with --subnet")]
    Exhausted(Family),
}

/// The first private IPv4 /24 that overlaps none of `taken`.
///
/// # Errors
/// `Exhausted` when all of them do.
pub fn free_prefix(taken: &[Prefix]) -> Result<Prefix, PoolError> {
    POOLS
        .iter()
        .filter_map(|pool| pool.parse().ok())
        .flat_map(candidates)
        .find(|candidate| is_free(*candidate, taken))
        .ok_or(PoolError::Exhausted(Family::Ipv4))
}

/// A unique-local IPv6 /64 (RFC 4193 section 3.2) from `random`'s 40-bit global identifier.
///
/// # Errors
/// `Exhausted` when everything tried overlaps one of `taken`.
pub fn free_ula(random: u64, taken: &[Prefix]) -> Result<Prefix, PoolError> {
    (0..ULA_TRIES)
        .filter_map(|step| {
            let id = (random.wrapping_add(step)) & 0xff_ffff_ffff;
            let base = (0xfd_u128 << 120) | (u128::from(id) << 80);
            Prefix::of(IpAddr::V6(Ipv6Addr::from(base)), 64).ok()
        })
        .find(|candidate| is_free(*candidate, taken))
        .ok_or(PoolError::Exhausted(Family::Ipv6))
}

fn candidates(pool: Prefix) -> impl Iterator<Item = Prefix> {
    let size = 1u128 << (Family::Ipv4.bits() - PICKED_LEN);
    let (first, last) = (bits(pool.address()), bits(pool.last()));
    (0..)
        .map(move |n| first + n * size)
        .take_while(move |start| *start <= last)
        .filter_map(|start| Prefix::of(address(Family::Ipv4, start), PICKED_LEN).ok())
}

/// Default routes overlap everything and forbid nothing.
fn is_free(candidate: Prefix, taken: &[Prefix]) -> bool {
    !taken
        .iter()
        .any(|used| !used.is_any() && used.overlaps(candidate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<Prefix> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn the_first_prefix_that_clashes_with_nothing_is_picked() {
        let picked = |taken: &[&str]| free_prefix(&prefixes(taken)).map(|p| p.to_string());
        assert_eq!(picked(&["0.0.0.0/0"]).unwrap(), "10.88.0.0/24");
        assert_eq!(
            picked(&["10.88.0.7/32", "10.88.1.0/25"]).unwrap(),
            "10.88.2.0/24"
        );
        assert_eq!(picked(&["10.0.0.0/8"]).unwrap(), "172.24.0.0/24");
        let all = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
        assert_eq!(
            picked(&all).unwrap_err(),
            PoolError::Exhausted(Family::Ipv4)
        );
    }

    #[test]
    fn a_ula_has_the_forty_random_bits() {
        let picked = free_ula(0xab_cdef_0123, &[]).unwrap();
        assert_eq!(picked.to_string(), "fdab:cdef:123::/64");
        let taken = prefixes(&["fdab:cdef:123::/48"]);
        assert_eq!(
            free_ula(0xab_cdef_0123, &taken).unwrap().to_string(),
            "fdab:cdef:124::/64"
        );
    }
}
