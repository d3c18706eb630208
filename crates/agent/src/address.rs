//! Where a cluster is kept: one way to write it, one way to open it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use store::cluster::{ClusterError, ClusterStore, Static};
use store_etcd::{Etcd, EtcdSettings, Login, TlsFiles};

/// `static:FILE`, or `etcd:URL[,URL…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterAddress {
    /// A file that names the nodes and networks.
    Static(PathBuf),
    /// The servers of an etcd.
    Etcd(Vec<String>),
}

/// What is wrong with the address of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("{0:?} is no cluster: static:FILE, or etcd:URL[,URL…] as etcd:http://192.0.2.1:2379")]
    Kind(String),
    #[error("{0:?} names no file: static:FILE")]
    NoFile(String),
    #[error("{0:?} names no server: etcd:URL[,URL…] as etcd:http://192.0.2.1:2379")]
    NoServer(String),
    #[error("a user and a password are not part of the address; see --cluster-user")]
    Secret,
}

impl FromStr for ClusterAddress {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let kind = || AddressError::Kind(text.to_owned());
        let (kind, rest) = text.split_once(':').ok_or_else(kind)?;
        match kind {
            "static" if rest.is_empty() => Err(AddressError::NoFile(text.to_owned())),
            "static" => Ok(Self::Static(rest.into())),
            "etcd" if rest.contains('@') => Err(AddressError::Secret),
            "etcd" => {
                let urls: Vec<String> = rest.split(',').map(|url| url.trim().to_owned()).collect();
                match urls.iter().any(String::is_empty) {
                    true => Err(AddressError::NoServer(text.to_owned())),
                    false => Ok(Self::Etcd(urls)),
                }
            }
            _ => Err(AddressError::Kind(text.to_owned())),
        }
    }
}

impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(path) => write!(f, "static:{}", path.display()),
            Self::Etcd(urls) => write!(f, "etcd:{}", urls.join(",")),
        }
    }
}

/// An address, and what its store lets a caller in by.
#[derive(Debug, Clone)]
pub struct ClusterPlace {
    pub address: ClusterAddress,
    /// Before every key in etcd; the adapter's own without.
    pub prefix: Option<String>,
    pub tls: Option<TlsFiles>,
    pub login: Option<Login>,
}

impl ClusterPlace {
    /// A handle of one's own. Whether anybody answers shows with the first question.
    ///
    /// # Errors
    /// `Settings`: what no store can be asked with.
    pub fn open(&self) -> Result<Box<dyn ClusterStore>, ClusterError> {
        Ok(match &self.address {
            ClusterAddress::Static(path) => Box::new(Static::new(path)),
            ClusterAddress::Etcd(urls) => Box::new(Etcd::new(self.etcd(urls))?),
        })
    }

    fn etcd(&self, urls: &[String]) -> EtcdSettings {
        let mut settings = EtcdSettings::new(urls.to_vec());
        if let Some(prefix) = &self.prefix {
            settings.prefix.clone_from(prefix);
        }
        settings.tls.clone_from(&self.tls);
        settings.login.clone_from(&self.login);
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_prints_as_it_is_read() {
        for text in [
            "static:/etc/pontoon/cluster.toml",
            "static:a:b",
            "etcd:http://192.0.2.1:2379",
            "etcd:https://a:2379,https://[2001:db8::1]:2379",
            "etcd:192.0.2.1:2379",
        ] {
            let address: ClusterAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "static",
            "static:",
            "etcd:",
            "etcd:http://a:1,",
            "zk:a",
            "/etc/file",
        ] {
            assert!(text.parse::<ClusterAddress>().is_err(), "{text:?}");
        }
        let secret = "etcd:http://root:secret@a:2379".parse::<ClusterAddress>();
        let said = secret.unwrap_err().to_string();
        assert!(!said.contains("secret@"), "{said}");
    }
}
