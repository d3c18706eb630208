//! Where an endpoint of a stretched network is, as its node tells the others: then nobody has to
//! ask for it, nor to flood what is for it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::{Mac, ParseError};

/// The addresses of an endpoint. Its MAC is none of what is told: it is made of the IPv4 address
/// ([`Mac::for_address`]), so that a node can claim no other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<IpAddr>", into = "Vec<IpAddr>")]
pub struct Whereabouts {
    ipv4: Ipv4Addr,
    ipv6: Option<Ipv6Addr>,
}

impl Whereabouts {
    /// # Errors
    /// `Whereabouts` for anything but an IPv4 address, or one and an IPv6 address.
    pub fn new(addresses: &[IpAddr]) -> Result<Self, ParseError> {
        match *addresses {
            [IpAddr::V4(ipv4)] => Ok(Self { ipv4, ipv6: None }),
            [IpAddr::V4(ipv4), IpAddr::V6(ipv6)] => Ok(Self {
                ipv4,
                ipv6: Some(ipv6),
            }),
            _ => Err(ParseError::Whereabouts(addresses.to_vec())),
        }
    }

    pub fn mac(self) -> Mac {
        Mac::for_address(self.ipv4.into())
    }

    /// IPv4 first.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        let ipv6 = self.ipv6.map(IpAddr::V6);
        [IpAddr::V4(self.ipv4)].into_iter().chain(ipv6)
    }
}

impl TryFrom<Vec<IpAddr>> for Whereabouts {
    type Error = ParseError;
    fn try_from(addresses: Vec<IpAddr>) -> Result<Self, ParseError> {
        Self::new(&addresses)
    }
}

impl From<Whereabouts> for Vec<IpAddr> {
    fn from(whereabouts: Whereabouts) -> Self {
        whereabouts.addresses().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whereabouts_are_an_ipv4_address_and_at_most_one_of_ipv6() {
        let read = serde_json::from_str::<Whereabouts>;
        for text in [r#"["10.50.1.2"]"#, r#"["10.50.1.2","fd00:50:0:1::2"]"#] {
            let told = read(text).unwrap();
            assert_eq!(told.mac().to_string(), "02:70:0a:32:01:02");
            assert_eq!(serde_json::to_string(&told).unwrap(), text);
        }
        for text in [
            "[]",
            r#"["fd00::2"]"#,
            r#"["fd00::2","10.50.1.2"]"#,
            r#"["10.50.1.2","10.50.1.3"]"#,
            r#"["10.50.1.2","fd00::2","fd00::3"]"#,
            r#"["10.50.1.2/24"]"#,
            r#"{"ipv4":"10.50.1.2"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
