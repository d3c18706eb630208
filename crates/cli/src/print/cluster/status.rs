//! The status page as text.

use agent::AgentStatus;
use engine::now_secs;
use model::{Backend, ClusterNode, NetworkKind};

use super::super::audit::age;
use super::super::table::table;
use super::{list, seen, source};
use crate::cluster::known::Source;
use crate::cluster::status::{ClusterStatus, OverlayState, OverlayStatus, Status, UnderlayStatus};

pub fn status(status: &Status) -> String {
    let mut page = match &status.node {
        Some(name) => format!("node      {name} ({})\n", status.id),
        None => format!("node      in no cluster ({})\n", status.id),
    };
    page.extend(status.underlay.iter().map(underlay));
    if let Some(known) = &status.cluster {
        page += &cluster(known);
        page += &format!("\nOther nodes\n{}", indented(&peers(&status.peers)));
    }
    page += &format!("\nNetworks\n{}", indented(&networks(&status.networks)));
    if status.networks.iter().any(is_open) {
        page += "  packets of vxlan, routed and ipip networks cross the underlay unencrypted\n";
    }
    page.extend(status.networks.iter().filter_map(forged));
    page + &format!("\nWrong\n{}", indented(&wrong(&status.wrong)))
}

fn is_open(network: &OverlayStatus) -> bool {
    match network.backend {
        Some(Backend::Vxlan | Backend::Routed | Backend::Ipip) => true,
        None => false,
    }
}

/// Whoever sends them is no node, or speaks for another one.
fn forged(network: &OverlayStatus) -> Option<String> {
    let (count, name) = (network.forged, &network.name);
    (count > 0).then(|| {
        format!(
            "  {count} VXLAN packet(s) for {name} were dropped: they came from an address that is no \
             node's, or with a MAC that is not the sending node's; somebody forges them, or a node \
             is there that the cluster does not know\n"
        )
    })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn underlay(underlay: &UnderlayStatus) -> String {
    let address = underlay.address;
    match (&underlay.device, underlay.mtu) {
        (Some(device), Some(mtu)) => format!("underlay  {address} on {device}, MTU {mtu}\n"),
        _ => format!("underlay  {address}, on no device of this node\n"),
    }
}

fn cluster(known: &ClusterStatus) -> String {
    let address = match &known.source {
        Source::Store { cluster } => format!("{cluster}, answers"),
        Source::Records {
            cluster, because, ..
        } => {
            let address = cluster.as_deref().unwrap_or("address not known here");
            match because {
                Some(_) => format!("{address}, does not answer"),
                None => format!("{address}, not asked now (--cluster asks)"),
            }
        }
    };
    let agent = match (&known.agent, known.agent_runs) {
        (Some(agent), _) => runs(agent),
        (None, true) => "runs, but does not answer".to_owned(),
        (None, false) => "does not run: the node stays as it is, and hears of no change".to_owned(),
    };
    format!(
        "cluster   {address}\nknown     {}\nagent     {agent}\n",
        source(&known.source)
    )
}

fn runs(agent: &AgentStatus) -> String {
    let since = |at: u64| age(now_secs().saturating_sub(at));
    let AgentStatus { looks, mended, .. } = agent;
    let started = since(agent.started_at);
    let synced = agent.synced_at.map_or_else(
        || "has not agreed with the cluster yet".to_owned(),
        |at| format!("agreed with the cluster {} ago", since(at)),
    );
    format!("runs for {started}, {synced}; {looks} looks, mended {mended}")
}

fn peers(peers: &[ClusterNode]) -> String {
    if peers.is_empty() {
        return "none".to_owned();
    }
    let row = |node: &ClusterNode| {
        let subnets: Vec<String> = node
            .subnets
            .iter()
            .map(|(network, subnets)| format!("{} of {network}", list(subnets)))
            .collect();
        vec![
            node.name.to_string(),
            list(&node.underlay),
            seen(node),
            list(&subnets),
        ]
    };
    let rows: Vec<Vec<String>> = peers.iter().map(row).collect();
    table(&["NAME", "UNDERLAY", "SEEN", "SUBNETS"], &rows)
}

fn networks(networks: &[OverlayStatus]) -> String {
    if networks.is_empty() {
        return "none".to_owned();
    }
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let row = |network: &OverlayStatus| {
        let kind = match network.kind {
            NetworkKind::Bridge => "this node only".to_owned(),
            NetworkKind::Overlay => or_dash(network.backend.map(|backend| backend.to_string())),
        };
        vec![
            network.name.to_string(),
            kind,
            or_dash(network.vni.map(|vni| vni.to_string())),
            list(&network.subnets),
            network.endpoints.to_string(),
            or_dash(network.mtu.map(|mtu| mtu.to_string())),
            state(network.state).to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = networks.iter().map(row).collect();
    let head = [
        "NAME",
        "BACKEND",
        "VNI",
        "SUBNET HERE",
        "ENDPOINTS",
        "MTU",
        "STATE",
    ];
    table(&head, &rows)
}

fn state(state: OverlayState) -> &'static str {
    match state {
        OverlayState::AsAgreed => "ok",
        OverlayState::Stranded => "stranded",
        OverlayState::Missing => "missing",
    }
}

fn wrong(sentences: &[String]) -> String {
    match sentences {
        [] => "nothing".to_owned(),
        some => some.join("\n"),
    }
}
