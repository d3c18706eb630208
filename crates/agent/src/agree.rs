//! Agreeing with the cluster: this node is in it, with a part of every network.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::{Cluster, ClusterNode, NetworkName, Overlay};
use serde::Serialize;
use store::Membership;
use store::cluster::{ClusterError, ClusterStore, Member, Revision, Snapshot, Told, Unreadable};

use crate::AgentError;
use crate::tell::tell;

/// How often a node says that it is there, in seconds.
const SIGN_OF_LIFE_SECS: u64 = 60;
/// How often a node asks for those to be forgotten that are silent for too long, in seconds.
const EXPIRE_SECS: u64 = 600;

/// The node's own underlay addresses, IPv4 first, given the node as the cluster has it.
type ResolveUnderlay<'a> = dyn Fn(Option<&ClusterNode>) -> Result<Vec<IpAddr>, AgentError> + 'a;

/// What this node brings along.
pub struct Wish<'a> {
    pub me: &'a Member,
    pub underlay: &'a ResolveUnderlay<'a>,
    pub now_secs: u64,
    /// Networks as they were known. One of these that this node, as the cluster lists it, has no
    /// part of any more is being removed: claiming its part at once would be in the way. A node that
    /// is not listed has lost everything, as by a store set back, and claims it again.
    pub known: &'a BTreeMap<NetworkName, Overlay>,
    /// The node's endpoints, as far as the others are told of them.
    pub told: &'a Told,
}

/// When this node last said or asked something, in seconds since 1970.
#[derive(Debug, Default)]
pub struct Said {
    joined_at: Option<u64>,
    expired_at: Option<u64>,
}

/// What the cluster is by now.
#[derive(Debug)]
pub struct Agreed {
    /// Without signs of life: the records are written when something else changes.
    pub membership: Membership,
    pub revision: Revision,
    /// Networks that this node could get no part of.
    pub unclaimed: Vec<Unclaimed>,
    /// Whether a network was left alone for now, see [`Wish::known`].
    pub unfinished: bool,
    pub unreadable: Vec<Unreadable>,
}

/// A network that this node could get no part of.
#[derive(Debug, Serialize)]
pub struct Unclaimed {
    pub name: NetworkName,
    #[serde(serialize_with = "as_text")]
    pub why: ClusterError,
}

fn as_text<S: serde::Serializer>(error: &ClusterError, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

/// Reads the cluster, and makes this node a part of it where it is not yet.
pub fn agree(
    store: &mut dyn ClusterStore,
    wish: &Wish<'_>,
    said: &mut Said,
) -> Result<Agreed, AgentError> {
    let mut snapshot = store.read()?;
    let nothing = BTreeMap::new();
    let known = match snapshot.cluster.nodes.contains_key(&wish.me.name) {
        true => wish.known,
        false => &nothing,
    };
    let wish = &Wish { known, ..*wish };
    if join(store, &snapshot, wish, said)? {
        snapshot = store.read()?;
    }
    let claims = claim_all(store, &snapshot.cluster, wish)?;
    if claims.made {
        snapshot = store.read()?;
    }
    if tell(store, &snapshot.cluster, wish.me, wish.told)? {
        snapshot = store.read()?;
    }
    Ok(Agreed {
        revision: snapshot.revision,
        unreadable: snapshot.unreadable,
        unclaimed: claims.unclaimed,
        unfinished: claims.unfinished,
        membership: Membership {
            me: wish.me.name.clone(),
            cluster: without_signs_of_life(snapshot.cluster),
        },
    })
}

fn without_signs_of_life(mut cluster: Cluster) -> Cluster {
    for node in cluster.nodes.values_mut() {
        node.seen_at = None;
    }
    cluster
}

/// Says who and where this node is, unless the cluster knows; true when it was said.
fn join(
    store: &mut dyn ClusterStore,
    snapshot: &Snapshot,
    wish: &Wish<'_>,
    said: &mut Said,
) -> Result<bool, AgentError> {
    let Wish { me, now_secs, .. } = wish;
    let listed = snapshot.cluster.nodes.get(&me.name);
    let underlay = (wish.underlay)(listed)?;
    let is_as_listed = |node: &ClusterNode| node.id == Some(me.id) && node.underlay == underlay;
    let is_known = listed.is_some_and(is_as_listed);
    if is_known && !is_due(said.joined_at, SIGN_OF_LIFE_SECS, *now_secs) {
        return Ok(false);
    }
    store.join(me, &underlay, *now_secs)?;
    said.joined_at = Some(*now_secs);
    if is_due(said.expired_at, EXPIRE_SECS, *now_secs) {
        store.expire(*now_secs)?;
        said.expired_at = Some(*now_secs);
    }
    Ok(true)
}

/// A clock that was set back counts as due.
fn is_due(last: Option<u64>, every: u64, now_secs: u64) -> bool {
    last.is_none_or(|last| now_secs.checked_sub(last).is_none_or(|past| past >= every))
}

#[derive(Default)]
struct Claims {
    made: bool,
    unclaimed: Vec<Unclaimed>,
    unfinished: bool,
}

fn claim_all(
    store: &mut dyn ClusterStore,
    cluster: &Cluster,
    wish: &Wish<'_>,
) -> Result<Claims, ClusterError> {
    let mut claims = Claims::default();
    let me = cluster.nodes.get(&wish.me.name);
    for (name, overlay) in &cluster.networks {
        if me.is_some_and(|me| me.subnets.contains_key(name)) {
            continue;
        }
        if wish.known.get(name) == Some(overlay) {
            claims.unfinished = true;
            continue;
        }
        match claim(store, name, wish) {
            Ok(()) => claims.made = true,
            // Somebody has just removed it.
            Err(ClusterError::NetworkUnknown(_)) => {}
            Err(why @ ClusterError::Full { .. }) => claims.unclaimed.push(Unclaimed {
                name: name.clone(),
                why,
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(claims)
}

/// Claims this node's part; in a full network, of what silent nodes left.
fn claim(
    store: &mut dyn ClusterStore,
    network: &NetworkName,
    wish: &Wish<'_>,
) -> Result<(), ClusterError> {
    match store.claim(network, wish.me) {
        Err(full @ ClusterError::Full { .. }) => {
            if store.expire(wish.now_secs)?.is_empty() {
                return Err(full);
            }
            store.claim(network, wish.me).map(|_| ())
        }
        outcome => outcome.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use model::{Backend, MtuSetting, NodeId, OverlayPrefix, Reach};
    use store::cluster::{Memory, SILENT_GRACE_SECS};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn word<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    fn overlay(name: &str, vni: u32, prefix: &str, bits: u8) -> Overlay {
        Overlay {
            name: word(name),
            prefixes: vec![OverlayPrefix::new(word(prefix), Some(bits)).unwrap()],
            backend: Backend::Vxlan,
            vni: vni.try_into().unwrap(),
            mtu: MtuSetting::Auto,
            reach: Reach::Outside,
            span: model::Span::Node,
            names: model::Names::Off,
        }
    }

    /// A node and what it remembers, with a clock of its own.
    struct Node {
        me: Member,
        underlay: IpAddr,
        said: Said,
        known: BTreeMap<NetworkName, Overlay>,
    }

    impl Node {
        fn new(name: &str, last: u8) -> Self {
            Self {
                me: Member {
                    name: word(name),
                    id: NodeId::from_bits(last.into()),
                },
                underlay: [192, 0, 2, last].into(),
                said: Said::default(),
                known: BTreeMap::new(),
            }
        }

        fn agree(&mut self, store: &mut Memory, now_secs: u64) -> Result<Agreed, AgentError> {
            let underlay = self.underlay;
            let wish = Wish {
                me: &self.me,
                underlay: &|_| Ok(vec![underlay]),
                now_secs,
                known: &self.known,
                told: &Told::default(),
            };
            agree(store, &wish, &mut self.said)
        }
    }

    fn subnets<'a>(agreed: &'a Agreed, node: &str) -> Vec<(&'a str, String)> {
        let node = &agreed.membership.cluster.nodes[&word::<model::NodeName>(node)];
        let subnets = node.subnets.iter();
        subnets
            .map(|(name, own)| (name.as_str(), own[0].to_string()))
            .collect()
    }

    #[test]
    fn a_node_is_in_every_network_after_one_look() {
        let mut store = Memory::default();
        for overlay in [
            overlay("blue", 4096, "10.50.0.0/16", 24),
            overlay("green", 4097, "10.60.0.0/16", 20),
        ] {
            store.create_network(&overlay).unwrap();
        }
        let mut a = Node::new("a", 1);
        let agreed = a.agree(&mut store, NOW).unwrap();
        let expected = [
            ("blue", "10.50.0.0/24".to_owned()),
            ("green", "10.60.0.0/20".to_owned()),
        ];
        assert_eq!(subnets(&agreed, "a"), expected);
        assert_eq!(agreed.membership.me, a.me.name);
        let mut b = Node::new("b", 2);
        let agreed = b.agree(&mut store, NOW).unwrap();
        assert_eq!(agreed.membership.cluster.nodes.len(), 2);
    }

    #[test]
    fn nothing_is_said_twice_within_a_minute() {
        let mut store = Memory::default();
        let mut a = Node::new("a", 1);
        let first = a.agree(&mut store, NOW).unwrap();
        let seen = |store: &mut Memory| {
            let cluster = store.read().unwrap().cluster;
            cluster.nodes[&word::<model::NodeName>("a")].seen_at
        };
        let second = a.agree(&mut store, NOW + SIGN_OF_LIFE_SECS - 1).unwrap();
        assert_eq!(seen(&mut store), Some(NOW));
        assert_eq!(second.revision, first.revision);
        // Signs of life are no change of what the node records.
        let third = a.agree(&mut store, NOW + SIGN_OF_LIFE_SECS).unwrap();
        assert_eq!(seen(&mut store), Some(NOW + SIGN_OF_LIFE_SECS));
        assert_eq!(third.membership, first.membership);
        // A clock that was set back does not silence the node.
        a.agree(&mut store, NOW - 5).unwrap();
        assert_eq!(seen(&mut store), Some(NOW - 5));
    }

    #[test]
    fn a_moved_node_says_so_at_once_and_a_removed_one_joins_anew() {
        let mut store = Memory::default();
        let mut a = Node::new("a", 1);
        a.agree(&mut store, NOW).unwrap();
        a.underlay = [192, 0, 2, 77].into();
        let agreed = a.agree(&mut store, NOW + 1).unwrap();
        let node = &agreed.membership.cluster.nodes[&a.me.name];
        assert_eq!(node.underlay, [a.underlay]);
        store.remove_node(&a.me.name).unwrap();
        let agreed = a.agree(&mut store, NOW + 2).unwrap();
        assert!(agreed.membership.cluster.nodes.contains_key(&a.me.name));
    }

    #[test]
    fn another_machine_of_the_same_name_is_refused() {
        let mut store = Memory::default();
        Node::new("a", 1).agree(&mut store, NOW).unwrap();
        let error = Node::new("a", 2).agree(&mut store, NOW + 1).unwrap_err();
        assert!(
            matches!(
                error,
                AgentError::Cluster(ClusterError::NodeNameTaken { .. })
            ),
            "{error}"
        );
    }

    #[test]
    fn a_part_that_was_taken_back_is_left_alone_until_everything_is_asked() {
        let mut store = Memory::default();
        let blue = overlay("blue", 4096, "10.50.0.0/16", 24);
        store.create_network(&blue).unwrap();
        let mut a = Node::new("a", 1);
        a.agree(&mut store, NOW).unwrap();
        store.release(&blue.name, &a.me).unwrap();
        a.known.insert(blue.name.clone(), blue.clone());
        let agreed = a.agree(&mut store, NOW + 1).unwrap();
        assert!(agreed.unfinished && subnets(&agreed, "a").is_empty());
        a.known.clear();
        let agreed = a.agree(&mut store, NOW + 2).unwrap();
        assert!(!agreed.unfinished);
        assert_eq!(subnets(&agreed, "a").len(), 1);
    }

    #[test]
    fn a_node_that_the_store_has_lost_has_its_parts_again_after_one_look() {
        let mut store = Memory::default();
        let blue = overlay("blue", 4096, "10.50.0.0/16", 24);
        store.create_network(&blue).unwrap();
        let mut a = Node::new("a", 1);
        let before = a.agree(&mut store, NOW).unwrap();
        a.known.insert(blue.name.clone(), blue);
        store.remove_node(&a.me.name).unwrap();
        let agreed = a.agree(&mut store, NOW + 1).unwrap();
        assert!(!agreed.unfinished);
        assert_eq!(subnets(&agreed, "a"), subnets(&before, "a"));
        assert_eq!(subnets(&agreed, "a").len(), 1);
    }

    #[test]
    fn a_full_network_is_named_and_the_silent_make_room() {
        let mut store = Memory::default();
        let small = overlay("small", 4096, "10.50.0.0/23", 24);
        store.create_network(&small).unwrap();
        for (name, last) in [("a", 1), ("b", 2)] {
            Node::new(name, last).agree(&mut store, NOW).unwrap();
        }
        let mut c = Node::new("c", 3);
        let agreed = c.agree(&mut store, NOW + 1).unwrap();
        assert_eq!(agreed.unclaimed[0].name, small.name);
        assert!(subnets(&agreed, "c").is_empty());
        let later = NOW + SILENT_GRACE_SECS + 10;
        let agreed = c.agree(&mut store, later).unwrap();
        assert!(agreed.unclaimed.is_empty());
        assert_eq!(subnets(&agreed, "c").len(), 1);
    }
}
