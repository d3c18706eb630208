//! What the tests of the records start from.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use model::{
    CniAttachment, Endpoint, EndpointId, Mac, NetnsId, NetnsOrigin, Network, NetworkId, NodeId,
    Publish, Rates, Reach, Subnet,
};
use store::{
    EndpointLife, EndpointRecord, NetworkLife, NetworkRecord, OpenMode, Records, StoreError,
};

pub const BOOT: &str = "6f1c2b1e-7a53-4a0e-9d5c-0123456789ab";
/// A moment, in seconds since 1970.
pub const NOW: u64 = 1_800_000_000;

/// A word of `model`.
pub fn word<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// A state directory that goes with the test.
pub struct StateDir(PathBuf);

impl StateDir {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pontoon-store-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        // One of a test that was killed, under the same process number.
        let _ = fs::remove_dir_all(&dir);
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self) -> PathBuf {
        self.0.join("records.db")
    }

    pub fn open(&self) -> Records {
        self.try_open(OpenMode::ReadWrite).unwrap()
    }

    pub fn try_open(&self, mode: OpenMode) -> Result<Records, StoreError> {
        Records::open(&self.0, mode, NodeId::from_bits(0xfeed))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A network with `10.88.0.0/16` and `fd00:88::/64`.
pub fn network(id: u32, name: &str) -> NetworkRecord {
    let subnet = |prefix: &str| Subnet::new(word(prefix), None).unwrap();
    NetworkRecord {
        network: Network {
            id: NetworkId(id),
            name: word(name),
            kind: model::NetworkKind::Bridge,
            bridge: word(&format!("br-{name}")),
            mtu: word("auto"),
            reach: Reach::Outside,
            names: model::Names::Off,
            subnets: vec![subnet("10.88.0.0/16"), subnet("fd00:88::/64")],
        },
        life: NetworkLife::Creating,
    }
}

pub fn add_network(records: &mut Records, name: &str) -> NetworkRecord {
    let id = records.next_network_id().unwrap();
    let record = network(id.0, name);
    records.insert_network(&record).unwrap();
    record
}

pub fn netns(cookie: u64) -> NetnsId {
    NetnsId {
        boot: word(BOOT),
        cookie,
    }
}

pub fn cni(container: &str) -> CniAttachment {
    CniAttachment {
        container: word(container),
        list: word("podman"),
    }
}

/// An endpoint that shares nothing with one of another number.
pub fn endpoint(id: EndpointId, network: NetworkId) -> EndpointRecord {
    let address = IpAddr::from([10, 88, 1 + (id.0 >> 8) as u8, id.0 as u8]);
    EndpointRecord {
        endpoint: Endpoint {
            id,
            network,
            name: word(&format!("c{}", id.0)),
            target: word(&format!("netns{}", id.0)),
            cni: None,
            ifname: word("eth0"),
            port: word(&format!("pt{:x}", id.0)),
            mac: Mac::for_address(address),
            addresses: vec![address, word(&format!("fd00:88::{:x}", id.0 + 1))],
            publish: Vec::new(),
            rates: Rates::default(),
            aliases: Vec::new(),
            rank: 0,
        },
        life: EndpointLife::Attaching,
        netns: Some(netns(u64::MAX - u64::from(id.0))),
        origin: NetnsOrigin::Given,
        created_at: NOW,
    }
}

/// Inserts an endpoint after `change` was made to it.
pub fn add_endpoint(
    records: &mut Records,
    network: NetworkId,
    change: impl FnOnce(&mut EndpointRecord),
) -> Result<EndpointRecord, StoreError> {
    let mut record = endpoint(records.next_endpoint_id()?, network);
    change(&mut record);
    records.insert_endpoint(&record)?;
    Ok(record)
}

pub fn publish(texts: &[&str]) -> Vec<Publish> {
    texts.iter().map(|text| word(text)).collect()
}
