//! The node's own resolvers, as resolv.conf(5) names them.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where resolvers are named.
const FILE: &str = "/etc/resolv.conf";
/// Where resolvers listen, and we.
pub const PORT: u16 = 53;
/// As many as the C library asks (`MAXNS`, resolv.h).
const MOST: usize = 3;

/// The resolvers, read again when their file changes.
#[derive(Debug, Default)]
pub struct Resolvers {
    addresses: Vec<IpAddr>,
    seen: Option<Stamp>,
}

/// What tells one version of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stamp {
    File {
        ino: u64,
        bytes: u64,
        changed: (i64, i64),
    },
    Missing,
}

impl Stamp {
    fn of(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(meta) => Self::File {
                ino: meta.ino(),
                bytes: meta.len(),
                changed: (meta.mtime(), meta.mtime_nsec()),
            },
            Err(_) => Self::Missing,
        }
    }
}

impl Resolvers {
    /// Whom to ask, never an address of `own`, at which this very process answers.
    pub fn look(&mut self, own: &BTreeSet<IpAddr>) -> Vec<SocketAddr> {
        let path = Path::new(FILE);
        let stamp = Stamp::of(path);
        if self.seen.as_ref() != Some(&stamp) {
            self.addresses = parse(&fs::read_to_string(path).unwrap_or_default());
            self.seen = Some(stamp);
        }
        let others = self
            .addresses
            .iter()
            .filter(|address| !own.contains(address));
        others
            .map(|address| SocketAddr::new(*address, PORT))
            .collect()
    }
}

/// Addresses with a scope (`fe80::1%eth0`) are passed over: they mean a device, which may be
/// another one by now.
fn parse(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        words.next()
    });
    let mut named = servers.peekable();
    if named.peek().is_none() {
        return vec![Ipv4Addr::LOCALHOST.into()];
    }
    named
        .filter_map(|word| word.parse().ok())
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_in_their_order() {
        let text = "# a comment\nsearch example.org\nnameserver 192.0.2.1 # one\n\
                    nameserver\tfd00::53\n;nameserver 192.0.2.2\nnameserver fe80::1%eth0\n\
                    nameserver 192.0.2.3\nnameserver 192.0.2.4\noptions ndots:2\n";
        let expected: Vec<IpAddr> = ["192.0.2.1", "fd00::53", "192.0.2.3"]
            .map(|a| a.parse().unwrap())
            .into();
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn without_name_servers_it_is_the_machine_itself() {
        assert_eq!(parse(""), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        assert_eq!(parse("search a\n"), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        assert!(parse("nameserver x\n").is_empty());
    }

    #[test]
    fn the_server_never_asks_itself() {
        let mut resolvers = Resolvers {
            addresses: vec!["10.5.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap()],
            seen: Some(Stamp::of(Path::new(FILE))),
        };
        let own = BTreeSet::from(["10.5.0.1".parse().unwrap()]);
        assert_eq!(resolvers.look(&own), ["192.0.2.1:53".parse().unwrap()]);
    }
}
