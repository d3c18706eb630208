//! A cluster that a file names: no server. The file is the same on every node, and only its
//! editors change it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::{Cluster, ClusterNode, Names, NetworkName, NodeName, Overlay, Prefix};

use super::document::parse_document;
use super::file_watch::FileWatch;
use super::{ClusterError, ClusterStore, Member, Revision, Snapshot, Told, rules};

/// The cluster that one file names.
#[derive(Debug)]
pub struct Static {
    path: PathBuf,
    watch: FileWatch,
    /// The version that was read last and had a fault: it is no news.
    faulty: Option<u64>,
}

impl Static {
    /// Nothing is read yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            watch: FileWatch::new(path),
            faulty: None,
        }
    }

    /// What the file says, or that it is not there, and a number for it.
    fn load(&mut self) -> (u64, io::Result<String>) {
        // Before reading: a change while we read is seen by the next look.
        self.watch.look();
        let text = fs::read_to_string(&self.path);
        let mut hasher = DefaultHasher::new();
        text.as_ref().ok().hash(&mut hasher);
        (hasher.finish(), text)
    }

    fn parse(&self, text: io::Result<String>) -> Result<Cluster, ClusterError> {
        let text = text.map_err(|source| ClusterError::ReadFile {
            path: self.path.clone(),
            source,
        })?;
        parse_document(&text).map_err(|(line, fault)| ClusterError::File {
            path: self.path.clone(),
            line,
            fault: Box::new(fault),
        })
    }

    fn node(&mut self, name: &NodeName) -> Result<ClusterNode, ClusterError> {
        let mut cluster = self.read()?.cluster;
        let node = cluster.nodes.remove(name);
        node.ok_or_else(|| ClusterError::NodeNotListed {
            node: name.clone(),
            path: self.path.clone(),
        })
    }

    fn read_only<T>(&self) -> Result<T, ClusterError> {
        Err(ClusterError::ReadOnly {
            path: self.path.clone(),
        })
    }
}

impl ClusterStore for Static {
    fn read(&mut self) -> Result<Snapshot, ClusterError> {
        let (count, text) = self.load();
        let parsed = self.parse(text);
        self.faulty = parsed.is_err().then_some(count);
        Ok(Snapshot {
            cluster: parsed?,
            revision: Revision { of: 0, count },
            unreadable: Vec::new(),
        })
    }

    fn wait(&mut self, since: &Revision, bound: Duration) -> Result<bool, ClusterError> {
        let deadline = Instant::now() + bound;
        loop {
            let (count, _) = self.load();
            if count != since.count && Some(count) != self.faulty {
                return Ok(true);
            }
            if !self.watch.wait(deadline) {
                return Ok(false);
            }
        }
    }

    /// A file always does: what is wrong with it, `read` says.
    fn probe(&mut self) -> Result<(), ClusterError> {
        Ok(())
    }

    fn create_network(&mut self, _: &Overlay) -> Result<(), ClusterError> {
        self.read_only()
    }

    fn set_names(&mut self, _: &NetworkName, _: Names) -> Result<bool, ClusterError> {
        self.read_only()
    }

    fn remove_network(&mut self, _: &NetworkName) -> Result<(), ClusterError> {
        self.read_only()
    }

    fn join(
        &mut self,
        member: &Member,
        underlay: &[IpAddr],
        _now_secs: u64,
    ) -> Result<(), ClusterError> {
        let said = rules::check_underlay(underlay)?;
        let listed = self.node(&member.name)?.underlay;
        if listed.iter().all(|address| said.contains(address)) {
            return Ok(());
        }
        Err(ClusterError::UnderlayOther {
            node: member.name.clone(),
            said,
            path: self.path.clone(),
            listed,
        })
    }

    fn claim(
        &mut self,
        network: &NetworkName,
        member: &Member,
    ) -> Result<Vec<Prefix>, ClusterError> {
        let mut node = self.node(&member.name)?;
        let subnets = node.subnets.remove(network);
        subnets.ok_or_else(|| ClusterError::NetworkUnknown(network.clone()))
    }

    /// Nobody writes the file: what is where is learnt from the packets, and names are each node's
    /// own.
    fn tell_endpoints(&mut self, member: &Member, _: &Told) -> Result<bool, ClusterError> {
        self.node(&member.name).map(|_| false)
    }

    fn release(&mut self, _: &NetworkName, _: &Member) -> Result<(), ClusterError> {
        self.read_only()
    }

    fn remove_node(&mut self, _: &NodeName) -> Result<(), ClusterError> {
        self.read_only()
    }

    /// Nobody: no node says when it was there.
    fn expire(&mut self, _now_secs: u64) -> Result<Vec<NodeName>, ClusterError> {
        Ok(Vec::new())
    }
}
