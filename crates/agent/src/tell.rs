//! Telling the other nodes of this one's endpoints on stretched networks.

use model::{Cluster, ClusterNode, Overlay, Prefix, Span, Whereabouts};
use store::cluster::{ClusterError, ClusterStore, Endpoints, Member};

/// Tells of the endpoints, unless the cluster knows; true when it was told.
pub fn tell(
    store: &mut dyn ClusterStore,
    cluster: &Cluster,
    me: &Member,
    endpoints: &Endpoints,
) -> Result<bool, ClusterError> {
    let Some(node) = cluster.nodes.get(&me.name) else {
        return Ok(false);
    };
    let endpoints = tellable(endpoints, cluster, node);
    if endpoints == node.endpoints {
        return Ok(false);
    }
    match store.tell_endpoints(me, &endpoints) {
        // A network or a part of it has just been taken away: the change wakes this node.
        Err(ClusterError::Endpoints { .. }) => Ok(false),
        told => told,
    }
}

/// Those that are of the node's part of a network as the cluster has it.
pub fn tellable(endpoints: &Endpoints, cluster: &Cluster, node: &ClusterNode) -> Endpoints {
    let is_of = |part: &[Prefix], one: &Whereabouts| {
        let mut addresses = one.addresses();
        addresses.all(|address| part.iter().any(|prefix| prefix.contains(address)))
    };
    let mut all = Endpoints::new();
    for (name, told) in endpoints {
        let stretched = |overlay: &&Overlay| overlay.span == Span::Stretched;
        let network = cluster.networks.get(name).filter(stretched);
        if let (Some(_), Some(part)) = (network, node.subnets.get(name)) {
            let own = told.iter().filter(|one| is_of(part, one));
            let own: Vec<Whereabouts> = own.copied().collect();
            if !own.is_empty() {
                all.insert(name.clone(), own);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use model::{Backend, MtuSetting, NodeId, OverlayPrefix, Reach};
    use store::cluster::Memory;

    use super::*;

    fn word<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    fn overlay(name: &str, vni: u32, prefix: &str, span: Span) -> Overlay {
        Overlay {
            name: word(name),
            prefixes: vec![OverlayPrefix::new(word(prefix), Some(24)).unwrap()],
            backend: Backend::Vxlan,
            vni: vni.try_into().unwrap(),
            mtu: MtuSetting::Auto,
            reach: Reach::Outside,
            span,
        }
    }

    fn at(hosts: &[&str]) -> Vec<Whereabouts> {
        let one = |host: &&str| Whereabouts::new(&[word(host)]).unwrap();
        hosts.iter().map(one).collect()
    }

    #[test]
    fn a_node_tells_of_its_own_part_of_stretched_networks() {
        let mut store = Memory::default();
        let me = Member {
            name: word("a"),
            id: NodeId::from_bits(1),
        };
        store.join(&me, &[word("192.0.2.1")], 0).unwrap();
        for overlay in [
            overlay("blue", 4096, "10.50.0.0/16", Span::Stretched),
            overlay("green", 4097, "10.60.0.0/16", Span::Node),
        ] {
            store.create_network(&overlay).unwrap();
            store.claim(&overlay.name, &me).unwrap();
        }
        let of_me = |store: &mut Memory| {
            let cluster = store.read().unwrap().cluster;
            (cluster.nodes[&me.name].endpoints.clone(), cluster)
        };
        let mut endpoints = Endpoints::from([
            // Of a part that it had once, too.
            (word("blue"), at(&["10.50.0.2", "10.50.7.2"])),
            (word("green"), at(&["10.60.0.2"])),
            (word("gone"), at(&["10.70.0.2"])),
        ]);
        let (_, cluster) = of_me(&mut store);
        assert!(tell(&mut store, &cluster, &me, &endpoints).unwrap());
        let (told, cluster) = of_me(&mut store);
        assert_eq!(told, Endpoints::from([(word("blue"), at(&["10.50.0.2"]))]));
        assert!(!tell(&mut store, &cluster, &me, &endpoints).unwrap());
        endpoints.clear();
        assert!(tell(&mut store, &cluster, &me, &endpoints).unwrap());
        assert_eq!(of_me(&mut store).0, Endpoints::new());
    }
}
