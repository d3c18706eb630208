//! What became of each look, as lines of a log: one a change, none where nothing changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use engine::{Adopted, Change};
use model::{Cluster, NetworkName, NodeName};

use crate::agent::Pass;
use crate::agree::Agreed;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Info(String),
    /// What was found to be wrong, and is right again.
    Mended(String),
    /// Something for a person to look at.
    Warning(String),
}

/// How many faults are remembered as told. A store words them, too.
const FAULTS_TOLD: usize = 16;

/// What was said before.
#[derive(Debug, Default)]
pub struct Journal {
    /// Since all was well: a store that is cut off is silent, has no route, and is silent again.
    faults: BTreeSet<String>,
    /// Networks that this node lacks or has otherwise, and why.
    complaints: BTreeMap<NetworkName, String>,
    unreadable: BTreeSet<String>,
    known: Option<Known>,
}

/// The cluster as far as lines tell of it.
#[derive(Debug, PartialEq, Eq)]
struct Known {
    networks: BTreeSet<NetworkName>,
    nodes: BTreeMap<NodeName, Vec<IpAddr>>,
}

impl Known {
    fn of(cluster: &Cluster) -> Self {
        let nodes = cluster.nodes.iter();
        Self {
            networks: cluster.networks.keys().cloned().collect(),
            nodes: nodes
                .map(|(name, node)| (name.clone(), node.underlay.clone()))
                .collect(),
        }
    }
}

impl Journal {
    /// The lines of one look.
    pub fn note(&mut self, pass: &Pass) -> Vec<Line> {
        let mut lines = self.note_fault(pass.fault());
        let followed = match &pass.agreed {
            Ok(agreed) => self.note_cluster(agreed, &mut lines),
            Err(_) => false,
        };
        if let Ok(Change { outcome, .. }) = &pass.change {
            lines.extend(networks(outcome));
            // What follows from the cluster's change is no damage.
            let moved = !(outcome.added.is_empty() && outcome.removed.is_empty());
            if !(followed || moved) {
                lines.extend(Self::note_healing(outcome));
            }
            if let Ok(agreed) = &pass.agreed {
                self.note_complaints(complaints(agreed, outcome), &mut lines);
            }
        }
        lines
    }

    /// The lines of a look at the node alone.
    pub fn note_healing(adopted: &Adopted) -> Vec<Line> {
        let reconciled = &adopted.reconciled;
        let released = reconciled.released.iter().map(|released| {
            let (network, name) = (&released.network, &released.name);
            format!(
                "released endpoint {network}/{name} ({}), which is dead",
                released.target
            )
        });
        let unfinished = reconciled.removed_networks.iter();
        let unfinished = unfinished.map(|name| format!("removed network {name}, left half done"));
        let mended = reconciled.findings.iter().cloned().map(Line::Mended);
        released
            .chain(unfinished)
            .map(Line::Info)
            .chain(mended)
            .collect()
    }

    pub fn note_fault(&mut self, fault: Option<String>) -> Vec<Line> {
        let Some(fault) = fault else {
            let was_well = std::mem::take(&mut self.faults).is_empty();
            let line = (!was_well).then(|| Line::Info("all is well again".to_owned()));
            return line.into_iter().collect();
        };
        if self.faults.contains(&fault) {
            return Vec::new();
        }
        if self.faults.len() == FAULTS_TOLD {
            self.faults.clear();
        }
        let line = format!("{fault}; going on with what the records say");
        self.faults.insert(fault);
        vec![Line::Warning(line)]
    }

    /// True when the cluster is another than before.
    fn note_cluster(&mut self, agreed: &Agreed, lines: &mut Vec<Line>) -> bool {
        for record in &agreed.unreadable {
            let text = record.to_string();
            if !self.unreadable.contains(&text) {
                lines.push(Line::Warning(format!("left out the record {text}")));
            }
        }
        self.unreadable = agreed.unreadable.iter().map(ToString::to_string).collect();
        let now = Known::of(&agreed.membership.cluster);
        let me = &agreed.membership.me;
        let changed = self.known.as_ref() != Some(&now);
        match &self.known {
            None => lines.push(Line::Info(format!(
                "{me} is in the cluster, one of {} node(s) on {} network(s)",
                now.nodes.len(),
                now.networks.len()
            ))),
            Some(before) => lines.extend(nodes(before, &now)),
        }
        self.known = Some(now);
        changed
    }

    fn note_complaints(&mut self, now: BTreeMap<NetworkName, String>, lines: &mut Vec<Line>) {
        for (network, why) in &now {
            if self.complaints.get(network) != Some(why) {
                lines.push(Line::Warning(format!("network {network}: {why}")));
            }
        }
        for network in self.complaints.keys().filter(|n| !now.contains_key(*n)) {
            lines.push(Line::Info(format!(
                "network {network} is as agreed, or gone"
            )));
        }
        self.complaints = now;
    }
}

fn nodes<'a>(before: &'a Known, now: &'a Known) -> impl Iterator<Item = Line> + 'a {
    let came = now.nodes.iter().filter_map(|(name, at)| {
        let at = list(at);
        match before.nodes.get(name) {
            None => Some(Line::Info(format!("node {name} came, at {at}"))),
            Some(old) if list(old) != at => Some(Line::Info(format!("node {name} moved to {at}"))),
            Some(_) => None,
        }
    });
    let gone = before.nodes.keys().filter(|n| !now.nodes.contains_key(*n));
    came.chain(gone.map(|name| Line::Info(format!("node {name} is no longer in the cluster"))))
}

fn list(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    texts.join(" and ")
}

fn networks(adopted: &Adopted) -> impl Iterator<Item = Line> + '_ {
    let added = adopted
        .added
        .iter()
        .map(|name| format!("network {name} added"));
    let removed = adopted
        .removed
        .iter()
        .map(|name| format!("network {name} removed"));
    removed.chain(added).map(Line::Info)
}

fn complaints(agreed: &Agreed, adopted: &Adopted) -> BTreeMap<NetworkName, String> {
    let unclaimed = agreed.unclaimed.iter();
    let unclaimed = unclaimed.map(|network| (&network.name, network.why.to_string()));
    let refused = adopted.refused.iter();
    let refused = refused.map(|network| (&network.name, network.why.to_string()));
    let stranded = adopted.stranded.iter().map(|name| {
        let why = "the cluster has it otherwise or no more; kept for the endpoints on it";
        (name, why.to_owned())
    });
    let all = unclaimed.chain(refused).chain(stranded);
    all.map(|(name, why)| (name.clone(), why)).collect()
}

#[cfg(test)]
mod tests {
    use engine::{Reconciled, RefusedNetwork};
    use model::ClusterNode;
    use store::Membership;
    use store::cluster::{ClusterError, Revision};

    use super::*;
    use crate::AgentError;

    fn cluster(nodes: &[(&str, u8)]) -> Cluster {
        let node = |(name, last): &(&str, u8)| ClusterNode {
            name: name.parse().unwrap(),
            id: None,
            underlay: vec![[192, 0, 2, *last].into()],
            subnets: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            named: BTreeMap::new(),
            seen_at: None,
        };
        let nodes = nodes.iter().map(node);
        Cluster {
            networks: BTreeMap::new(),
            nodes: nodes.map(|node| (node.name.clone(), node)).collect(),
        }
    }

    fn pass(nodes: &[(&str, u8)], adopted: Adopted) -> Pass {
        Pass {
            agreed: Ok(Agreed {
                membership: Membership {
                    me: "a".parse().unwrap(),
                    cluster: cluster(nodes),
                },
                revision: Revision { of: 0, count: 0 },
                unclaimed: Vec::new(),
                unfinished: false,
                unreadable: Vec::new(),
            }),
            change: Ok(Change {
                outcome: adopted,
                plan: Default::default(),
            }),
        }
    }

    fn away() -> Pass {
        let error = ClusterError::Unavailable {
            store: "s".to_owned(),
            source: "no route".into(),
        };
        Pass {
            agreed: Err(AgentError::Cluster(error)),
            ..pass(&[], Adopted::default())
        }
    }

    fn texts(lines: Vec<Line>) -> Vec<String> {
        let text = |line| match line {
            Line::Info(text) => text,
            Line::Mended(text) => format!("mended: {text}"),
            Line::Warning(text) => format!("! {text}"),
        };
        lines.into_iter().map(text).collect()
    }

    #[test]
    fn a_line_a_change_and_none_without() {
        let mut journal = Journal::default();
        let mut note = |nodes: &[(&str, u8)]| texts(journal.note(&pass(nodes, Adopted::default())));
        let first = note(&[("a", 1), ("b", 2)]);
        assert_eq!(
            first,
            ["a is in the cluster, one of 2 node(s) on 0 network(s)"]
        );
        assert!(note(&[("a", 1), ("b", 2)]).is_empty());
        let lines = note(&[("a", 1), ("b", 9), ("c", 3)]);
        assert_eq!(
            lines,
            ["node b moved to 192.0.2.9", "node c came, at 192.0.2.3"]
        );
        assert_eq!(
            note(&[("a", 1), ("b", 9)]),
            ["node c is no longer in the cluster"]
        );
    }

    #[test]
    fn a_store_that_is_away_is_told_once_and_so_is_its_return() {
        let mut journal = Journal::default();
        journal.note(&pass(&[("a", 1)], Adopted::default()));
        let said =
            "! the cluster store s does not answer: no route; going on with what the records say";
        assert_eq!(texts(journal.note(&away())), [said]);
        assert!(journal.note(&away()).is_empty());
        let back = texts(journal.note(&pass(&[("a", 1)], Adopted::default())));
        assert_eq!(back, ["all is well again"]);
        assert_eq!(texts(journal.note(&away())), [said]);
    }

    #[test]
    fn faults_that_take_turns_are_told_once_each() {
        let mut journal = Journal::default();
        let mut note = |fault: &str| journal.note_fault(Some(fault.to_owned())).len();
        assert_eq!(
            ["silent", "no route", "silent", "no route"].map(&mut note),
            [1, 1, 0, 0]
        );
        let told: usize = (0..100).map(|n| note(&n.to_string())).sum();
        assert_eq!(told, 100);
        assert!(journal.faults.len() <= FAULTS_TOLD);
    }

    #[test]
    fn damage_is_told_each_time_and_what_the_cluster_changed_is_none() {
        let broken = || Adopted {
            reconciled: Reconciled {
                findings: vec!["bridge x was missing".to_owned()],
                ..Reconciled::default()
            },
            ..Adopted::default()
        };
        let mut journal = Journal::default();
        assert_eq!(journal.note(&pass(&[("a", 1)], broken())).len(), 1);
        for _ in 0..2 {
            let lines = texts(journal.note(&pass(&[("a", 1)], broken())));
            assert_eq!(lines, ["mended: bridge x was missing"]);
        }
    }

    #[test]
    fn a_network_that_is_refused_is_told_until_it_is_not() {
        let refused = || Adopted {
            refused: vec![RefusedNetwork {
                name: "blue".parse().unwrap(),
                why: engine::EngineError::NetworkExists("blue".parse().unwrap()),
            }],
            ..Adopted::default()
        };
        let mut journal = Journal::default();
        journal.note(&pass(&[("a", 1)], Adopted::default()));
        let lines = texts(journal.note(&pass(&[("a", 1)], refused())));
        assert_eq!(lines, ["! network blue: there is a network blue already"]);
        assert!(journal.note(&pass(&[("a", 1)], refused())).is_empty());
        let lines = texts(journal.note(&pass(&[("a", 1)], Adopted::default())));
        assert_eq!(lines, ["network blue is as agreed, or gone"]);
    }
}
