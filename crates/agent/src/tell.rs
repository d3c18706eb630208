//! Telling the other nodes of this one's endpoints: where those on stretched networks are, and what
//! those on networks with names are called.

use std::net::IpAddr;

use model::{Cluster, ClusterNode, Named, NetworkName, Overlay, Prefix, Span, Whereabouts};
use store::cluster::{ClusterError, ClusterStore, Member, Told};

/// Tells of the endpoints, unless the cluster knows; true when it was told.
pub fn tell(
    store: &mut dyn ClusterStore,
    cluster: &Cluster,
    me: &Member,
    told: &Told,
) -> Result<bool, ClusterError> {
    let Some(node) = cluster.nodes.get(&me.name) else {
        return Ok(false);
    };
    let told = tellable(told, cluster, node);
    if told.endpoints == node.endpoints && told.named == node.named {
        return Ok(false);
    }
    match store.tell_endpoints(me, &told) {
        // A network or a part of it has just been taken away: the change wakes this node.
        Err(ClusterError::Endpoints { .. }) => Ok(false),
        told => told,
    }
}

/// Those that are of the node's part of a network as the cluster has it.
pub fn tellable(told: &Told, cluster: &Cluster, node: &ClusterNode) -> Told {
    let own = Own { cluster, node };
    let mut all = Told::default();
    for (name, endpoints) in &told.endpoints {
        let part = own.part(name, |overlay| overlay.span == Span::Stretched);
        let fits = |one: &&Whereabouts| is_of(part, one.addresses());
        let fitting: Vec<Whereabouts> = endpoints.iter().filter(fits).copied().collect();
        if !fitting.is_empty() {
            all.endpoints.insert(name.clone(), fitting);
        }
    }
    for (name, named) in &told.named {
        let part = own.part(name, |overlay| !overlay.names.are_off());
        let fits = |one: &&Named| is_of(part, one.addresses().iter().copied());
        let fitting: Vec<Named> = named.iter().filter(fits).cloned().collect();
        if !fitting.is_empty() {
            all.named.insert(name.clone(), fitting);
        }
    }
    all
}

fn is_of(part: &[Prefix], mut addresses: impl Iterator<Item = IpAddr>) -> bool {
    addresses.all(|address| part.iter().any(|prefix| prefix.contains(address)))
}

/// A node's parts of the cluster's networks.
struct Own<'a> {
    cluster: &'a Cluster,
    node: &'a ClusterNode,
}

impl Own<'_> {
    /// Of a network that is as wished; nothing of others.
    fn part(&self, name: &NetworkName, is_wished: impl Fn(&Overlay) -> bool) -> &[Prefix] {
        let network = self.cluster.networks.get(name);
        match network.filter(|overlay| is_wished(overlay)) {
            Some(_) => self.node.subnets.get(name).map_or(&[], Vec::as_slice),
            None => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use model::{Backend, MtuSetting, Names, NodeId, OverlayPrefix, Reach};
    use store::cluster::{Endpoints, Memory, NamedEndpoints};

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
            names: Names::Off,
        }
    }

    fn at(hosts: &[&str]) -> Vec<Whereabouts> {
        let one = |host: &&str| Whereabouts::new(&[word(host)]).unwrap();
        hosts.iter().map(one).collect()
    }

    /// A store, and a node with a part of a stretched network and of another one.
    fn member_of_two() -> (Memory, Member) {
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
        (store, me)
    }

    #[test]
    fn a_node_tells_of_its_own_part_of_stretched_networks() {
        let (mut store, me) = member_of_two();
        let of_me = |store: &mut Memory| {
            let cluster = store.read().unwrap().cluster;
            (cluster.nodes[&me.name].endpoints.clone(), cluster)
        };
        let mut told = Told {
            endpoints: Endpoints::from([
                // Of a part that it had once, too.
                (word("blue"), at(&["10.50.0.2", "10.50.7.2"])),
                (word("green"), at(&["10.60.0.2"])),
                (word("gone"), at(&["10.70.0.2"])),
            ]),
            ..Told::default()
        };
        let (_, cluster) = of_me(&mut store);
        assert!(tell(&mut store, &cluster, &me, &told).unwrap());
        let (kept, cluster) = of_me(&mut store);
        assert_eq!(kept, Endpoints::from([(word("blue"), at(&["10.50.0.2"]))]));
        assert!(!tell(&mut store, &cluster, &me, &told).unwrap());
        told.endpoints.clear();
        assert!(tell(&mut store, &cluster, &me, &told).unwrap());
        assert_eq!(of_me(&mut store).0, Endpoints::new());
    }

    #[test]
    fn a_node_names_its_own_part_of_networks_with_names() {
        let (mut store, me) = member_of_two();
        let named = |address: &str| {
            let addresses = vec![word(address)];
            Named::new(word("c1"), vec![word("db")], addresses).unwrap()
        };
        let told = Told {
            named: NamedEndpoints::from([
                (word("blue"), vec![named("10.50.0.2")]),
                (word("green"), vec![named("10.60.0.2"), named("10.60.7.2")]),
            ]),
            ..Told::default()
        };
        let of_me = |store: &mut Memory| store.read().unwrap().cluster;
        // No network has names.
        let cluster = of_me(&mut store);
        assert!(!tell(&mut store, &cluster, &me, &told).unwrap());
        store.set_names(&word("green"), Names::On).unwrap();
        let cluster = of_me(&mut store);
        assert!(tell(&mut store, &cluster, &me, &told).unwrap());
        let cluster = of_me(&mut store);
        let expected = NamedEndpoints::from([(word("green"), vec![named("10.60.0.2")])]);
        assert_eq!(cluster.nodes[&me.name].named, expected);
        assert!(!tell(&mut store, &cluster, &me, &told).unwrap());
        // What nobody may ask for any more is not told any more.
        store.set_names(&word("green"), Names::Off).unwrap();
        let cluster = of_me(&mut store);
        assert!(tell(&mut store, &cluster, &me, &told).unwrap());
        assert!(of_me(&mut store).nodes[&me.name].named.is_empty());
    }
}
