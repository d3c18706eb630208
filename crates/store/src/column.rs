//! Values of `model` as SQLite columns. Every one is checked again on its way out.

use std::error::Error;
use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use model::{Family, HostBind, Names, NetworkKind, Prefix, Rate, Reach, Subnet};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::record::UnknownWord;

/// A text that parses to `T`.
pub(crate) struct Parsed<T>(pub T);

impl<T> FromSql for Parsed<T>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_str()?
            .parse()
            .map(Self)
            .map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// An address as 16 bytes, most significant first, IPv4 mapped into IPv6 (RFC 4291 section
/// 2.5.5.2): bytes sort as addresses do, and one index serves both families.
pub(crate) struct Bytes16(pub IpAddr);

impl Bytes16 {
    /// `address`, or the lowest one of its family. That of IPv6 is the first behind the mapped
    /// ones: the few below are no container's (RFC 4291 sections 2.5.2, 2.5.3, 2.5.5).
    pub(crate) fn at_least(address: IpAddr) -> Self {
        let behind_mapped = Ipv6Addr::new(0, 0, 0, 0, 1, 0, 0, 0);
        Self(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => v6.max(behind_mapped).into(),
        })
    }
}

impl ToSql for Bytes16 {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let octets = match self.0 {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        Ok(octets.to_vec().into())
    }
}

impl FromSql for Bytes16 {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let blob = value.as_blob()?;
        let octets: [u8; 16] = blob.try_into().map_err(|_| FromSqlError::InvalidBlobSize {
            expected_size: 16,
            blob_size: blob.len(),
        })?;
        Ok(Self(Ipv6Addr::from(octets).to_canonical()))
    }
}

/// A `HostBind` as text: `*`, or the address that a person would type.
pub(crate) struct Bind(pub HostBind);

const ANY: &str = "*";

impl ToSql for Bind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            HostBind::Any => ANY.into(),
            HostBind::AnyOf(family) => family.unspecified().to_string().into(),
            HostBind::Address(address) => address.to_string().into(),
        })
    }
}

impl FromSql for Bind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        if value.as_str()? == ANY {
            return Ok(Self(HostBind::Any));
        }
        let Parsed(address) = Parsed::<IpAddr>::column_result(value)?;
        Ok(Self(if address.is_unspecified() {
            HostBind::AnyOf(Family::of(address))
        } else {
            HostBind::Address(address)
        }))
    }
}

/// A `Reach` as text.
pub(crate) struct ReachWord(pub Reach);

impl ToSql for ReachWord {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Reach::Outside => "outside".into(),
            Reach::Internal => "internal".into(),
        })
    }
}

impl FromSql for ReachWord {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "outside" => Ok(Self(Reach::Outside)),
            "internal" => Ok(Self(Reach::Internal)),
            other => Err(FromSqlError::Other(Box::new(UnknownWord(other.to_owned())))),
        }
    }
}

/// A `NetworkKind` as text.
pub(crate) struct KindWord(pub NetworkKind);

impl ToSql for KindWord {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            NetworkKind::Bridge => "bridge".into(),
            NetworkKind::Overlay => "overlay".into(),
        })
    }
}

impl FromSql for KindWord {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "bridge" => Ok(Self(NetworkKind::Bridge)),
            "overlay" => Ok(Self(NetworkKind::Overlay)),
            other => Err(FromSqlError::Other(Box::new(UnknownWord(other.to_owned())))),
        }
    }
}

/// `Names` as text.
pub(crate) struct NamesWord(pub Names);

impl ToSql for NamesWord {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Names::Off => "off".into(),
            Names::On => "on".into(),
        })
    }
}

impl FromSql for NamesWord {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_str()? {
            "off" => Ok(Self(Names::Off)),
            "on" => Ok(Self(Names::On)),
            other => Err(FromSqlError::Other(Box::new(UnknownWord(other.to_owned())))),
        }
    }
}

/// Words with blanks between them.
pub(crate) struct Words<T>(pub Vec<T>);

impl<T> FromSql for Words<T>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let all = value.as_str()?.split(' ').map(str::parse);
        let all: Result<Vec<T>, T::Err> = all.collect();
        all.map(Self)
            .map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

/// Nothing where there are none.
pub(crate) fn words<T: Display>(all: &[T]) -> Option<String> {
    let all: Vec<String> = all.iter().map(T::to_string).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// Addresses as texts. Those of older records are the 16 bytes of `Bytes16`, written out.
pub(crate) struct Addresses(pub Vec<IpAddr>);

impl FromSql for Addresses {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let Words(all) = Words::<IpAddr>::column_result(value)?;
        Ok(Self(all.iter().map(IpAddr::to_canonical).collect()))
    }
}

/// The subnets of a network as text: prefix, gateway and range each, with commas between them.
pub(crate) struct Subnets(pub Vec<Subnet>);

impl FromSql for Subnets {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let all = value.as_str()?.split(',').map(subnet);
        all.collect::<FromSqlResult<_>>().map(Self)
    }
}

fn subnet(text: &str) -> FromSqlResult<Subnet> {
    fn word(word: &str) -> ValueRef<'_> {
        ValueRef::Text(word.as_bytes())
    }
    let mut words = text.split(' ');
    let (Some(prefix), Some(gateway)) = (words.next(), words.next()) else {
        return Err(FromSqlError::Other(Box::new(UnknownWord(text.to_owned()))));
    };
    let Parsed(prefix) = Parsed::<Prefix>::column_result(word(prefix))?;
    let Parsed(gateway) = Parsed::<IpAddr>::column_result(word(gateway))?;
    let subnet = Subnet::new(prefix, Some(gateway.to_canonical())).and_then(|subnet| {
        let range = words.next().map(str::parse).transpose()?;
        range.map_or(Ok(subnet), |range| subnet.with_range(range))
    });
    subnet.map_err(|error| FromSqlError::Other(Box::new(error)))
}

impl ToSql for Subnets {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let text = |subnet: &Subnet| {
            let range = subnet.range.map(|range| format!(" {range}"));
            let range = range.unwrap_or_default();
            format!("{} {}{range}", subnet.prefix, subnet.gateway)
        };
        let all: Vec<String> = self.0.iter().map(text).collect();
        Ok(all.join(",").into())
    }
}

/// A namespace cookie: 64 bits without a sign, kept in SQLite's 64 bits with one.
pub(crate) struct Cookie(pub u64);

impl ToSql for Cookie {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.cast_signed().into())
    }
}

impl FromSql for Cookie {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(value.as_i64()?.cast_unsigned()))
    }
}

/// A `Rate` as bits a second.
pub(crate) struct Bits(pub Rate);

impl FromSql for Bits {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bits = value.as_i64()?.unsigned_abs();
        let rate = Rate::try_from(bits).map_err(|error| FromSqlError::Other(Box::new(error)))?;
        Ok(Self(rate))
    }
}

pub(crate) fn bits(rate: Rate) -> i64 {
    i64::try_from(rate.bits()).unwrap_or(i64::MAX)
}

/// Seconds since 1970. SQLite counts to 2^63; what is above that is as far in the future.
pub(crate) fn seconds(secs: u64) -> i64 {
    i64::try_from(secs).unwrap_or(i64::MAX)
}
