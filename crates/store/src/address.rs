//! Addresses that are not free: an endpoint's, or resting since its endpoint went.

use std::net::IpAddr;
use std::ops::ControlFlow;

use ipam::COOL_DOWN_SECS;
use model::{AddressRange, Endpoint, EndpointId, Family, NetworkId};

use crate::column::{Bytes16, seconds};
use crate::{Owner, Records, StoreError};

/// The most addresses in one answer of [`Records::taken_from`].
pub const TAKEN_PAGE: usize = 64;

/// An address that is not free, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldAddress {
    pub address: IpAddr,
    pub hold: Hold,
}

/// What holds an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    Endpoint(EndpointId),
    /// Nobody: it rests for so many seconds more.
    Resting {
        left_secs: u64,
    },
}

/// What to do with the addresses that rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resting {
    /// They count as taken.
    Avoid,
    /// They count as free: there is nothing else.
    Use,
}

/// Released at one of these seconds, an address rests now. Not in the future: where the clock
/// was set back, nobody knows how long it has rested, and it is as good as rested.
fn resting_since(now: u64) -> (i64, i64) {
    let now = seconds(now);
    (
        now.saturating_sub(seconds(COOL_DOWN_SECS))
            .saturating_add(1),
        now,
    )
}

impl Records {
    /// The taken addresses of `address`'s family at or above it: the lowest [`TAKEN_PAGE`],
    /// ascending. What `ipam::next_free` asks for.
    ///
    /// # Errors
    /// Those of reading.
    pub fn taken_from(
        &self,
        network: NetworkId,
        address: IpAddr,
        now: u64,
        resting: Resting,
    ) -> Result<Vec<IpAddr>, StoreError> {
        let (since, until) = resting_since(now);
        let is_taken = |released_at: Option<i64>| match (released_at, resting) {
            (None, _) => true,
            (Some(at), Resting::Avoid) => (since..=until).contains(&at),
            (Some(_), Resting::Use) => false,
        };
        // What ends the rows, and which of them count, is not SQLite's to decide: to plan that takes
        // it longer than to answer.
        let sql = "SELECT address, released_at FROM address
             WHERE network = ?1 AND address >= ?2 ORDER BY address";
        let family = Family::of(address);
        let from = (network.0, Bytes16::at_least(address));
        self.rows_until(sql, from, TAKEN_PAGE, |row| {
            let Bytes16(address) = row.get(0)?;
            if Family::of(address) != family {
                return Ok(ControlFlow::Break(()));
            }
            let taken = is_taken(row.get(1)?);
            Ok(ControlFlow::Continue(taken.then_some(address)))
        })
    }

    /// Every address of a network that is not free, ascending, IPv4 first.
    ///
    /// # Errors
    /// Those of reading.
    pub fn held_addresses(
        &self,
        network: NetworkId,
        now: u64,
    ) -> Result<Vec<HeldAddress>, StoreError> {
        let (since, until) = resting_since(now);
        self.rows(
            "SELECT address, endpoint, released_at FROM address
             WHERE network = ?1 AND (endpoint IS NOT NULL OR released_at BETWEEN ?2 AND ?3)
             ORDER BY address",
            (network.0, since, until),
            |row| {
                let Bytes16(address) = row.get(0)?;
                let endpoint: Option<u32> = row.get(1)?;
                let hold = match endpoint {
                    Some(id) => Hold::Endpoint(EndpointId(id)),
                    // Released at `since` it has a second left, at `until` all of them.
                    None => Hold::Resting {
                        left_secs: row.get::<_, i64>(2)?.abs_diff(since).saturating_add(1),
                    },
                };
                Ok(HeldAddress { address, hold })
            },
        )
    }

    /// The address of a range that has rested longest: the one to use when no other is free.
    ///
    /// # Errors
    /// Those of reading.
    pub fn oldest_resting(
        &self,
        network: NetworkId,
        range: AddressRange,
    ) -> Result<Option<IpAddr>, StoreError> {
        let sql = "SELECT address FROM address INDEXED BY address_resting
             WHERE released_at IS NOT NULL AND network = ?1 AND address BETWEEN ?2 AND ?3
             ORDER BY released_at LIMIT 1";
        let (first, last) = (Bytes16(range.first()), Bytes16(range.last()));
        self.row(sql, (network.0, first, last), |row| {
            row.get(0).map(|Bytes16(address)| address)
        })
    }

    /// Forgets the addresses that have rested.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn purge_rested(&mut self, now: u64) -> Result<(), StoreError> {
        let (since, until) = resting_since(now);
        self.execute("DELETE FROM address WHERE released_at < ?1", [since])?;
        self.execute("DELETE FROM address WHERE released_at > ?1", [until])?;
        Ok(())
    }

    /// Gives an address to an endpoint that is being inserted.
    pub(crate) fn claim_address(
        &self,
        network: NetworkId,
        address: IpAddr,
        endpoint: EndpointId,
    ) -> Result<(), StoreError> {
        let key = (network.0, Bytes16(address), endpoint.0);
        let mut claimed = self.execute(
            "INSERT OR IGNORE INTO address (network, address, endpoint) VALUES (?1, ?2, ?3)",
            key,
        )?;
        if claimed == 0 {
            let key = (network.0, Bytes16(address), endpoint.0);
            claimed = self.execute(
                "UPDATE address SET endpoint = ?3, released_at = NULL
                 WHERE network = ?1 AND address = ?2 AND endpoint IS NULL",
                key,
            )?;
        }
        if claimed == 0 {
            // An address that nobody has could be claimed.
            return Err(match self.address_owner(network, address)? {
                Some(by) => StoreError::AddressTaken { address, by },
                None => self.failed(rusqlite::Error::QueryReturnedNoRows),
            });
        }
        Ok(())
    }

    pub(crate) fn address_owner(
        &self,
        network: NetworkId,
        address: IpAddr,
    ) -> Result<Option<Owner>, StoreError> {
        self.owner(
            "SELECT e.id, e.name, n.name FROM address a
             JOIN endpoint e ON e.id = a.endpoint JOIN network n ON n.id = e.network
             WHERE a.network = ?1 AND a.address = ?2",
            (network.0, Bytes16(address)),
        )
    }

    /// The addresses of an endpoint that goes begin to rest.
    pub(crate) fn release_addresses(
        &self,
        endpoint: &Endpoint,
        now: u64,
    ) -> Result<(), StoreError> {
        for address in &endpoint.addresses {
            self.execute(
                "UPDATE address SET endpoint = NULL, released_at = ?4
                 WHERE network = ?1 AND address = ?2 AND endpoint = ?3",
                (
                    endpoint.network.0,
                    Bytes16(*address),
                    endpoint.id.0,
                    seconds(now),
                ),
            )?;
        }
        Ok(())
    }
}
