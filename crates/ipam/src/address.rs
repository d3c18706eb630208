//! The next free address of a subnet.

use std::net::IpAddr;

use model::{Family, Prefix, Subnet};

/// How long a released address rests before it is given out again, in seconds, as long as
/// others are free: neighbours and clients may still have the old owner in mind.
pub const COOL_DOWN_SECS: u64 = 60;

/// The first free address behind `last`, wrapping around at the end of the subnet (next fit, so
/// that a released address rests as long as possible). `None` when the subnet is full.
///
/// `taken_from(address)` answers some of the taken addresses at or above `address`, ascending
/// and without a gap from the first on; an empty answer means that none is.
///
/// # Errors
/// Those of `taken_from`.
pub fn next_free<E>(
    subnet: &Subnet,
    last: Option<IpAddr>,
    mut taken_from: impl FnMut(IpAddr) -> Result<Vec<IpAddr>, E>,
) -> Result<Option<IpAddr>, E> {
    let (low, high) = given_out(subnet);
    let middle = last
        .map(bits)
        .filter(|last| (low..=high).contains(last))
        .map_or(low, |last| last + 1);
    for (from, to) in [(middle, high), (low, middle.saturating_sub(1).min(high))] {
        if let Some(free) = first_gap(subnet, from, to, &mut taken_from)? {
            return Ok(Some(free));
        }
    }
    Ok(None)
}

fn first_gap<E>(
    subnet: &Subnet,
    from: u128,
    to: u128,
    taken_from: &mut impl FnMut(IpAddr) -> Result<Vec<IpAddr>, E>,
) -> Result<Option<IpAddr>, E> {
    let family = subnet.prefix.family();
    let gateway = bits(subnet.gateway);
    let mut candidate = from;
    while candidate <= to {
        let page = taken_from(address(family, candidate))?;
        let page_is_empty = page.is_empty();
        for taken in page.into_iter().map(bits) {
            if candidate == gateway {
                candidate += 1;
            }
            if taken > candidate {
                break;
            }
            candidate = taken + 1;
        }
        if candidate == gateway {
            candidate += 1;
        }
        if candidate > to {
            break;
        }
        let free = address(family, candidate);
        if page_is_empty || taken_from(free)?.first() != Some(&free) {
            return Ok(Some(free));
        }
    }
    Ok(None)
}

/// The first and the last address that a subnet gives out by itself, as numbers. The gateway may
/// be between them.
fn given_out(subnet: &Subnet) -> (u128, u128) {
    let (low, high) = usable(subnet.prefix);
    subnet.range.map_or((low, high), |range| {
        (bits(range.first()).max(low), bits(range.last()).min(high))
    })
}

/// First and last usable address of a prefix, as numbers.
fn usable(prefix: Prefix) -> (u128, u128) {
    let last = bits(prefix.last());
    match prefix.family() {
        Family::Ipv4 => (bits(prefix.address()) + 1, last - 1),
        Family::Ipv6 => (bits(prefix.address()) + 1, last),
    }
}

pub(crate) fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The inverse of [`bits`]. An IPv4 number is below 2^32 by construction: it comes from a prefix.
pub(crate) fn address(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4((bits as u32).into()),
        Family::Ipv6 => IpAddr::V6(bits.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    use super::*;
    use proptest::prelude::*;

    fn subnet(prefix: &str) -> Subnet {
        Subnet::new(prefix.parse().unwrap(), None).unwrap()
    }

    /// Allocates from a set, `page` addresses an answer.
    fn next(
        subnet: &Subnet,
        last: Option<IpAddr>,
        taken: &BTreeSet<IpAddr>,
        page: usize,
    ) -> Option<IpAddr> {
        next_free(subnet, last, |from| {
            Ok::<_, Infallible>(taken.range(from..).take(page).copied().collect())
        })
        .unwrap()
    }

    #[test]
    fn the_gateway_and_the_edges_are_never_given_out() {
        let subnet = subnet("192.168.0.0/29");
        let mut taken = BTreeSet::new();
        let mut last = None;
        while let Some(free) = next(&subnet, last, &taken, 3) {
            assert!(taken.insert(free), "{free} given out twice");
            last = Some(free);
        }
        let all: Vec<String> = taken.iter().map(ToString::to_string).collect();
        assert_eq!(
            all,
            [
                "192.168.0.2",
                "192.168.0.3",
                "192.168.0.4",
                "192.168.0.5",
                "192.168.0.6"
            ]
        );
    }

    #[test]
    fn a_released_address_comes_last() {
        let subnet = subnet("192.168.0.0/29");
        let taken = BTreeSet::from(["192.168.0.3".parse().unwrap()]);
        let last = Some("192.168.0.3".parse().unwrap());
        assert_eq!(
            next(&subnet, last, &taken, 2),
            Some("192.168.0.4".parse().unwrap())
        );
        let last = Some("192.168.0.6".parse().unwrap());
        assert_eq!(
            next(&subnet, last, &taken, 2),
            Some("192.168.0.2".parse().unwrap())
        );
    }

    #[test]
    fn a_range_bounds_what_is_given_out() {
        let subnet = subnet("192.168.0.0/24")
            .with_range("192.168.0.0-192.168.0.3".parse().unwrap())
            .unwrap();
        let mut taken = BTreeSet::new();
        // Where the range was cut down, what was given out last may lie behind it.
        let mut last = Some("192.168.0.77".parse().unwrap());
        while let Some(free) = next(&subnet, last, &taken, 2) {
            assert!(taken.insert(free), "{free} given out twice");
            last = Some(free);
        }
        let all: Vec<String> = taken.iter().map(ToString::to_string).collect();
        assert_eq!(all, ["192.168.0.2", "192.168.0.3"]);
    }

    #[test]
    fn ipv6_is_numbered_alike() {
        let subnet = subnet("fd00:1::/64");
        let free = next(&subnet, None, &BTreeSet::new(), 2).unwrap();
        assert_eq!(free.to_string(), "fd00:1::2");
    }

    proptest! {
        /// However the taken addresses lie, a free one is found exactly when there is one.
        #[test]
        fn a_free_address_is_found_exactly_when_there_is_one(
            taken in proptest::collection::btree_set(0u8..32, 0..32),
            last in proptest::option::of(0u8..32),
            gateway in 1u8..31,
            page in 1usize..5,
        ) {
            let at = |n: u8| IpAddr::from([10, 0, 0, n]);
            let prefix: Prefix = "10.0.0.0/27".parse().unwrap();
            let subnet = Subnet::new(prefix, Some(at(gateway))).unwrap();
            let taken: BTreeSet<IpAddr> = taken.into_iter().map(at).collect();
            let free: BTreeSet<IpAddr> = (1..31)
                .filter(|n| *n != gateway)
                .map(at)
                .filter(|a| !taken.contains(a))
                .collect();
            let behind = last.and_then(|n| free.range(at(n + 1)..).next());
            let expected = behind.or(free.first()).copied();
            prop_assert_eq!(next(&subnet, last.map(at), &taken, page), expected);
        }
    }
}
