//! The nodes that are records alone: they join as agents do, and move.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use model::{NetworkName, NodeId};
use store::cluster::{ClusterStore, Member};
use store_etcd::{Etcd, EtcdSettings};

use crate::cluster::NETWORK;
use crate::machine::Machine;

pub const NODES: u32 = 1_000;
/// Every node moves once, so that nothing that is waited for is overtaken.
const CHANGES: u32 = NODES;
const CHANGE_EVERY: Duration = Duration::from_millis(10);
const SERVER: &str = "127.0.0.1:2379";
/// So many ask etcd at once: it may take longer to answer than one change to come.
const WRITERS: u32 = 8;
/// Where their addresses begin: a network for benchmarks (RFC 2544 section C.2.2).
const FIRST: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// A node that has moved.
pub struct Change {
    pub address: IpAddr,
    /// Just before etcd was asked to write it.
    pub asked: Instant,
}

/// All of them join and claim their part of the network, on the server's own machine.
pub fn join(server: &Machine) -> Result<()> {
    let network: NetworkName = NETWORK.parse()?;
    let joined = server.work(move || {
        share_out(NODES, |etcd, number| {
            let member = member(number)?;
            etcd.join(&member, &[address(number)], now_secs())?;
            etcd.claim(&network, &member)?;
            Ok(())
        })
    })?;
    joined.map(drop)
}

/// Moves one after the other, at a steady pace.
pub fn change(server: &Machine) -> Result<Vec<Change>> {
    server.work(|| {
        let start = Instant::now();
        share_out(CHANGES, |etcd, number| {
            let member = member(number)?;
            let address = address(NODES + number);
            wait_until(start + CHANGE_EVERY * number);
            let asked = Instant::now();
            etcd.join(&member, &[address], now_secs())?;
            Ok(Change { address, asked })
        })
    })?
}

/// Does each of many things once, some at a time.
fn share_out<T: Send>(
    count: u32,
    act: impl Fn(&mut Etcd, u32) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let act = &act;
    let write = |writer: u32| -> Result<Vec<T>> {
        let mut etcd = Etcd::new(EtcdSettings::new(vec![SERVER.to_owned()]))?;
        let own = (0..count).filter(|number| number % WRITERS == writer);
        own.map(|number| act(&mut etcd, number)).collect()
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(writer)))
            .collect();
        let mut done = Vec::new();
        for writer in writers {
            let ended = writer.join();
            done.extend(ended.unwrap_or_else(|_| Err(anyhow!("a writer panicked")))?);
        }
        Ok(done)
    })
}

fn member(number: u32) -> Result<Member> {
    Ok(Member {
        name: format!("node{number}").parse()?,
        id: NodeId::from_bits(u64::from(number) + 1),
    })
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(FIRST.to_bits() + number).into()
}

fn wait_until(due: Instant) {
    while let Some(left) = due.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

fn now_secs() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}
