//! What a node may tell the others of its endpoints: those of its own parts of the cluster's
//! networks, and no more than a bound. `rules` has what may enter a cluster at all.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{Named, NetworkName, Overlay, Prefix, Span, Whereabouts};

use super::{ENDPOINTS_MAX, Endpoints, NAMED_BYTES_MAX, NAMED_MAX, NamedEndpoints, Told};

/// Why a node can't tell of endpoints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotItsOwn {
    #[error("it tells of {0} endpoints, at most {ENDPOINTS_MAX}")]
    TooMany(usize),
    #[error("it names {0} endpoints, at most {NAMED_MAX}")]
    TooManyNamed(usize),
    #[error("it names endpoints in {0} bytes, at most {NAMED_BYTES_MAX}")]
    TooManyBytes(usize),
    #[error(
        "it tells of endpoints of {0}, which is not stretched, or not a network of the cluster"
    )]
    Network(NetworkName),
    #[error("it names endpoints of {0}, which is not a network of the cluster")]
    NamedNetwork(NetworkName),
    #[error("it tells of {address} of {network}, which is not of its part")]
    Address {
        address: IpAddr,
        network: NetworkName,
    },
    #[error("it tells of {address} of {network} twice")]
    Twice {
        address: IpAddr,
        network: NetworkName,
    },
}

/// Whether a node may tell of these endpoints: each address is of its own part of a network, which
/// is stretched where nothing else is told, and no other endpoint's. `held` is that part, where it
/// has one.
///
/// # Errors
/// Of the first that it may not.
pub fn check<'a>(
    told: &Told,
    networks: impl Fn(&NetworkName) -> Option<&'a Overlay>,
    held: impl Fn(&NetworkName) -> Option<&'a Vec<Prefix>>,
) -> Result<(), NotItsOwn> {
    check_endpoints(&told.endpoints, &networks, &held)?;
    let (_, dropped) = own_named(told.named.clone(), networks, held);
    dropped.into_iter().next().map_or(Ok(()), Err)
}

/// As [`check`], of the endpoints of stretched networks.
///
/// # Errors
/// Of the first that it may not.
pub fn check_endpoints<'a>(
    endpoints: &Endpoints,
    networks: impl Fn(&NetworkName) -> Option<&'a Overlay>,
    held: impl Fn(&NetworkName) -> Option<&'a Vec<Prefix>>,
) -> Result<(), NotItsOwn> {
    let count = endpoints.values().map(Vec::len).sum();
    if count > ENDPOINTS_MAX {
        return Err(NotItsOwn::TooMany(count));
    }
    for (name, told) in endpoints {
        let stretched = networks(name).filter(|overlay| overlay.span == Span::Stretched);
        if stretched.is_none() {
            return Err(NotItsOwn::Network(name.clone()));
        }
        let mut seen = Seen::new(name, held(name));
        let mut addresses = told.iter().copied().flat_map(Whereabouts::addresses);
        addresses.try_for_each(|address| seen.take(address))?;
    }
    Ok(())
}

/// The named endpoints that are the node's to tell, and why the others are not. Where there are too
/// many, none is.
pub fn own_named<'a>(
    named: NamedEndpoints,
    networks: impl Fn(&NetworkName) -> Option<&'a Overlay>,
    held: impl Fn(&NetworkName) -> Option<&'a Vec<Prefix>>,
) -> (NamedEndpoints, Vec<NotItsOwn>) {
    let mut kept = NamedEndpoints::new();
    if let Err(why) = check_bounds(&named) {
        return (kept, vec![why]);
    }
    let mut dropped = Vec::new();
    for (name, mut endpoints) in named {
        if networks(&name).is_none() {
            dropped.push(NotItsOwn::NamedNetwork(name));
            continue;
        }
        let mut seen = Seen::new(&name, held(&name));
        endpoints.retain(|one| {
            let mut addresses = one.addresses().iter();
            let taken = addresses.try_for_each(|address| seen.take(*address));
            dropped.extend(taken.clone().err());
            taken.is_ok()
        });
        if !endpoints.is_empty() {
            kept.insert(name, endpoints);
        }
    }
    (kept, dropped)
}

fn check_bounds(named: &NamedEndpoints) -> Result<(), NotItsOwn> {
    let count = named.values().map(Vec::len).sum();
    if count > NAMED_MAX {
        return Err(NotItsOwn::TooManyNamed(count));
    }
    let bytes = named.values().flatten().map(Named::told_bytes).sum();
    if bytes > NAMED_BYTES_MAX {
        return Err(NotItsOwn::TooManyBytes(bytes));
    }
    Ok(())
}

/// The addresses of a network that were told so far.
struct Seen<'a> {
    network: &'a NetworkName,
    held: &'a [Prefix],
    addresses: BTreeSet<IpAddr>,
}

impl<'a> Seen<'a> {
    fn new(network: &'a NetworkName, held: Option<&'a Vec<Prefix>>) -> Self {
        Self {
            network,
            held: held.map_or(&[], Vec::as_slice),
            addresses: BTreeSet::new(),
        }
    }

    fn take(&mut self, address: IpAddr) -> Result<(), NotItsOwn> {
        let network = || self.network.clone();
        if !self.held.iter().any(|part| part.contains(address)) {
            let network = network();
            return Err(NotItsOwn::Address { address, network });
        }
        if !self.addresses.insert(address) {
            let network = network();
            return Err(NotItsOwn::Twice { address, network });
        }
        Ok(())
    }
}
