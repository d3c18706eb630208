//! How a machine of the lab reaches the cluster's store: its address, and certificates where it
//! asks for them. What `pontoon` and `etcdctl` read in their environment.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::etcd::{CLIENT_PORT, NUMBER};
use crate::spec::{Spec, StoreKind};
use crate::{node, place, tls};

/// An address, and what lets its owner in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// `static:FILE`, or `etcd:URL`.
    pub address: String,
    /// The server, where there is one.
    pub url: Option<String>,
    certificates: Option<Certificates>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Certificates {
    authority: PathBuf,
    own: PathBuf,
    key: PathBuf,
}

impl Access {
    /// That of the machine of this name.
    pub fn of(spec: &Spec, name: &str) -> Self {
        let scheme = match spec.store {
            StoreKind::Static => {
                let file = place::cluster_file(&spec.name);
                return Self {
                    address: format!("static:{}", file.display()),
                    ..Self::default()
                };
            }
            StoreKind::Etcd => "http",
            StoreKind::EtcdTls => "https",
        };
        let url = url(scheme, spec);
        Self {
            address: format!("etcd:{url}"),
            url: Some(url),
            certificates: (spec.store == StoreKind::EtcdTls).then(|| Certificates {
                authority: tls::certificate(&spec.name, tls::AUTHORITY),
                own: tls::certificate(&spec.name, name),
                key: tls::key(&spec.name, name),
            }),
        }
    }

    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut all = vec![("PONTOON_CLUSTER", self.address.clone().into())];
        if let Some(url) = &self.url {
            all.push(("ETCDCTL_API", "3".into()));
            all.push(("ETCDCTL_ENDPOINTS", url.into()));
        }
        if let Some(Certificates {
            authority,
            own,
            key,
        }) = &self.certificates
        {
            all.extend([
                ("PONTOON_CLUSTER_CA", authority.clone().into()),
                ("PONTOON_CLUSTER_CERT", own.clone().into()),
                ("PONTOON_CLUSTER_KEY", key.clone().into()),
                ("ETCDCTL_CACERT", authority.into()),
                ("ETCDCTL_CERT", own.into()),
                ("ETCDCTL_KEY", key.into()),
            ]);
        }
        all
    }
}

/// The server's address of the family that the underlay has first.
pub fn url(scheme: &str, spec: &Spec) -> String {
    let first = node::addresses(spec, NUMBER).into_iter().next();
    let address = first.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    format!("{scheme}://{}", SocketAddr::new(address, CLIENT_PORT))
}
