//! Changing the cluster as a person asks: a network more, a network less.

use model::{
    Backend, MtuSetting, Names, NetworkName, NodeName, Overlay, OverlayPrefix, Reach, Span, Vni,
};
use serde::Serialize;
use store::cluster::{CHANGE_TRIES, ClusterError, ClusterStore, Member, rules};

/// A network to be; the VNI is picked where none is given.
#[derive(Debug, Clone)]
pub struct NetworkRequest {
    pub name: NetworkName,
    pub prefixes: Vec<OverlayPrefix>,
    pub backend: Backend,
    pub vni: Option<Vni>,
    pub mtu: MtuSetting,
    pub reach: Reach,
    pub span: Span,
    pub names: Names,
}

impl NetworkRequest {
    /// The network, as it would be in the cluster as it is.
    ///
    /// # Errors
    /// Those of [`ClusterStore::create_network`].
    pub fn plan(&self, store: &mut dyn ClusterStore) -> Result<Overlay, ClusterError> {
        let cluster = store.read()?.cluster;
        let vni = match self.vni {
            Some(vni) => vni,
            None => rules::free_vni(&cluster.networks)?,
        };
        let overlay = self.with(vni);
        rules::admit_network(&cluster.networks, &overlay)?;
        Ok(overlay)
    }

    fn with(&self, vni: Vni) -> Overlay {
        let mut prefixes = self.prefixes.clone();
        prefixes.sort_by_key(|part| part.prefix.family());
        Overlay {
            name: self.name.clone(),
            prefixes,
            backend: self.backend,
            vni,
            mtu: self.mtu,
            reach: self.reach,
            span: self.span,
            names: self.names,
        }
    }
}

/// Creates an overlay network for all nodes.
///
/// # Errors
/// Those of [`ClusterStore::create_network`].
pub fn create_network(
    store: &mut dyn ClusterStore,
    request: &NetworkRequest,
) -> Result<Overlay, ClusterError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let overlay = request.plan(store)?;
        match store.create_network(&overlay) {
            Ok(()) => return Ok(overlay),
            // Somebody was faster with the VNI that was picked.
            Err(ClusterError::VniTaken { .. }) if request.vni.is_none() && tries < CHANGE_TRIES => {
            }
            Err(error) => return Err(error),
        }
    }
}

/// A network that the cluster has no more.
#[derive(Debug, Serialize)]
pub struct RemovedOverlay {
    pub name: NetworkName,
    /// Nodes that had a part of it.
    pub nodes: Vec<NodeName>,
}

/// What [`remove_network`] would do.
///
/// # Errors
/// `NetworkUnknown`; those of [`ClusterStore::read`].
pub fn plan_removal(
    store: &mut dyn ClusterStore,
    name: &NetworkName,
) -> Result<RemovedOverlay, ClusterError> {
    let cluster = store.read()?.cluster;
    if !cluster.networks.contains_key(name) {
        return Err(ClusterError::NetworkUnknown(name.clone()));
    }
    let nodes = cluster.nodes.into_values();
    let holders = nodes.filter(|node| node.subnets.contains_key(name));
    Ok(RemovedOverlay {
        name: name.clone(),
        nodes: holders.map(|node| node.name).collect(),
    })
}

/// Removes an overlay network, and every node's part of it before. Nodes with endpoints on it
/// keep it for these.
///
/// # Errors
/// Those of [`ClusterStore::remove_network`].
pub fn remove_network(
    store: &mut dyn ClusterStore,
    name: &NetworkName,
) -> Result<RemovedOverlay, ClusterError> {
    let mut nodes = Vec::new();
    let mut tries = 0;
    loop {
        tries += 1;
        for holder in holders(store, name)? {
            store.release(name, &holder)?;
            if !nodes.contains(&holder.name) {
                nodes.push(holder.name);
            }
        }
        match store.remove_network(name) {
            Ok(()) => {
                nodes.sort();
                return Ok(RemovedOverlay {
                    name: name.clone(),
                    nodes,
                });
            }
            // A node has just claimed its part.
            Err(ClusterError::NetworkInUse { .. }) if tries < CHANGE_TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

fn holders(store: &mut dyn ClusterStore, name: &NetworkName) -> Result<Vec<Member>, ClusterError> {
    let nodes = store.read()?.cluster.nodes.into_values();
    let holders = nodes.filter(|node| node.subnets.contains_key(name));
    let members = holders.filter_map(|node| {
        Some(Member {
            name: node.name,
            id: node.id?,
        })
    });
    Ok(members.collect())
}

#[cfg(test)]
mod tests {
    use store::cluster::Memory;

    use super::*;

    fn request(name: &str, prefix: &str) -> NetworkRequest {
        NetworkRequest {
            name: name.parse().unwrap(),
            prefixes: vec![OverlayPrefix::new(prefix.parse().unwrap(), None).unwrap()],
            backend: Backend::Vxlan,
            vni: None,
            mtu: MtuSetting::Auto,
            reach: Reach::Outside,
            span: Span::Node,
            names: Names::Off,
        }
    }

    #[test]
    fn vnis_are_picked_and_what_overlaps_is_refused() {
        let mut store = Memory::default();
        let vni = |store: &mut Memory, name, prefix| {
            create_network(store, &request(name, prefix)).map(|overlay| overlay.vni.number())
        };
        assert_eq!(vni(&mut store, "a", "10.50.0.0/16").unwrap(), 4096);
        assert_eq!(vni(&mut store, "b", "10.51.0.0/16").unwrap(), 4097);
        let error = vni(&mut store, "c", "10.50.7.0/24").unwrap_err();
        assert!(
            error.to_string().contains("of the overlay network a"),
            "{error}"
        );
        assert!(request("d", "10.52.0.0/16").plan(&mut store).is_ok());
        assert_eq!(store.read().unwrap().cluster.networks.len(), 2);
    }

    #[test]
    fn a_removed_network_takes_every_nodes_part_along() {
        let mut store = Memory::default();
        let name = create_network(&mut store, &request("a", "10.50.0.0/16"))
            .unwrap()
            .name;
        for last in [1, 2] {
            let member = Member {
                name: format!("n{last}").parse().unwrap(),
                id: model::NodeId::from_bits(last.into()),
            };
            store.join(&member, &[[192, 0, 2, last].into()], 0).unwrap();
            store.claim(&name, &member).unwrap();
        }
        let removed = remove_network(&mut store, &name).unwrap();
        assert_eq!(removed.nodes.len(), 2);
        let cluster = store.read().unwrap().cluster;
        assert!(cluster.networks.is_empty());
        assert!(cluster.nodes.values().all(|node| node.subnets.is_empty()));
        assert!(matches!(
            remove_network(&mut store, &name),
            Err(ClusterError::NetworkUnknown(_))
        ));
    }
}
