//! What the commands of a cluster take.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use agent::{ClusterAddress, ClusterPlace};
use clap::{Args, Subcommand, ValueEnum};
use model::{Backend, NodeName, Vni};
use store_etcd::{Login, TlsFiles};

use super::topology::Topology;
use crate::print;

const AGENT_EXAMPLES: &str = "\
Examples:
  pontoon agent --cluster static:/etc/pontoon/cluster.toml
  pontoon agent --cluster etcd:http://192.0.2.1:2379,http://192.0.2.2:2379 --underlay 192.0.2.11
  pontoon agent --cluster static:cluster.toml --once

It answers HTTP at agent.sock in the state directory: GET /status, /metrics, /healthz, POST /resync:
  curl --unix-socket /var/lib/pontoon/agent.sock http://agent/metrics

Signals: SIGTERM and SIGINT end it and leave the network as it is, SIGHUP has it look at once.
Exit codes of --once: 0 done; 10 a network was refused, or is kept only for the endpoints on it;
others as in 'pontoon --help'.";

const NODE_EXAMPLES: &str = "\
Examples:
  pontoon node ls
  pontoon node show b --cluster static:/etc/pontoon/cluster.toml
  pontoon node rm b --cluster etcd:http://192.0.2.1:2379";

const STATUS_EXAMPLES: &str = "\
Examples:
  pontoon status
  pontoon status --cluster etcd:http://192.0.2.1:2379    ask the store too
  pontoon status --json

Exit codes: 0 all is well; 10 something is wrong, see the end of the page; others as in
'pontoon --help'.";

const TOPOLOGY_EXAMPLES: &str = "\
Examples:
  pontoon topology
  pontoon topology --svg > pontoon.svg
  pontoon topology --dot | dot -Tpng > pontoon.png

This node knows its own endpoints, and of the others their parts of the networks.";

/// Which cluster, and how its store lets us in.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Where the cluster is: static:FILE, or etcd:URL[,URL…]
    #[arg(long, env = "PONTOON_CLUSTER", value_name = "ADDRESS")]
    pub cluster: Option<ClusterAddress>,
    /// Before every key in etcd: two clusters in one etcd have two
    #[arg(long, env = "PONTOON_CLUSTER_PREFIX", value_name = "KEY")]
    pub cluster_prefix: Option<String>,
    /// The authorities that etcd's certificate may come from (PEM)
    #[arg(long, env = "PONTOON_CLUSTER_CA", value_name = "FILE")]
    pub cluster_ca: Option<PathBuf>,
    /// This node's own certificate for etcd (PEM)
    #[arg(
        long,
        env = "PONTOON_CLUSTER_CERT",
        value_name = "FILE",
        requires = "cluster_key",
        requires = "cluster_ca"
    )]
    pub cluster_cert: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(
        long,
        env = "PONTOON_CLUSTER_KEY",
        value_name = "FILE",
        requires = "cluster_cert"
    )]
    pub cluster_key: Option<PathBuf>,
    /// A user of etcd's own
    #[arg(
        long,
        env = "PONTOON_CLUSTER_USER",
        value_name = "NAME",
        requires = "cluster_password_file"
    )]
    pub cluster_user: Option<String>,
    /// The user's password: the first line of a file
    #[arg(
        long,
        env = "PONTOON_CLUSTER_PASSWORD_FILE",
        value_name = "FILE",
        requires = "cluster_user"
    )]
    pub cluster_password_file: Option<PathBuf>,
}

impl ClusterArgs {
    /// The place, where one is named.
    pub fn place(self) -> Option<ClusterPlace> {
        let client = self.cluster_cert.zip(self.cluster_key);
        let login = self.cluster_user.zip(self.cluster_password_file);
        Some(ClusterPlace {
            address: self.cluster?,
            prefix: self.cluster_prefix,
            tls: self.cluster_ca.map(|ca| TlsFiles { ca, client }),
            login: login.map(|(user, password_file)| Login {
                user,
                password_file,
            }),
        })
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Args)]
#[command(after_help = AGENT_EXAMPLES)]
pub struct AgentArgs {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// This node's name in the cluster; the hostname up to its first dot without
    #[arg(long, env = "PONTOON_NODE", value_name = "NAME")]
    pub node: Option<NodeName>,
    /// An address of this node that the others reach it by, once for each family at most
    ///
    /// Without: of a file, what it says; with etcd, the source address of the default route.
    #[arg(long, value_name = "IP")]
    pub underlay: Vec<IpAddr>,
    /// How long to wait for news before everything is looked at again, 1 to 3600 seconds
    #[arg(
        long,
        default_value_t = 30,
        value_name = "SECS",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub resync: u64,
    /// Answer GET /metrics (for Prometheus) and GET /healthz over TCP too, at a loopback address
    #[arg(
        long,
        env = "PONTOON_METRICS",
        value_name = "ADDR:PORT",
        conflicts_with = "once"
    )]
    pub metrics: Option<SocketAddr>,
    /// Let --metrics be at an address that others reach
    #[arg(long, requires = "metrics")]
    pub metrics_public: bool,
    /// Look once, say what was done, and end
    #[arg(long)]
    pub once: bool,
    /// How much to log on standard error; debug names each step
    #[arg(long, value_enum, default_value = "info", value_name = "LEVEL")]
    pub log: LogLevel,
}

#[derive(Debug, Subcommand)]
#[command(after_help = NODE_EXAMPLES)]
pub enum NodeCommand {
    /// List the nodes of the cluster
    ///
    /// As the store has them, where --cluster names it and it answers, or else as this node last
    /// knew them.
    Ls {
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Show one node of the cluster and its subnets
    Show {
        name: NodeName,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Remove a node that is gone for good, and free its subnets
    ///
    /// A node that still runs joins again, with other subnets.
    Rm {
        name: NodeName,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
}

#[derive(Debug, Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub struct StatusArgs {
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

#[derive(Debug, Args)]
#[command(after_help = TOPOLOGY_EXAMPLES)]
pub struct TopologyArgs {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    #[command(flatten)]
    pub drawn: DrawnArgs,
}

/// As what it is printed; as a tree without.
#[derive(Debug, Args)]
pub struct DrawnArgs {
    /// Print a picture, as one SVG file
    #[arg(long, conflicts_with = "json")]
    pub svg: bool,
    /// Print it for Graphviz
    #[arg(long, conflicts_with_all = ["json", "svg"])]
    pub dot: bool,
}

impl DrawnArgs {
    pub fn printer(&self) -> fn(&Topology) -> String {
        match (self.svg, self.dot) {
            (true, _) => print::svg,
            (_, true) => print::dot,
            _ => print::tree,
        }
    }
}

/// What makes a network one of the whole cluster.
#[derive(Debug, Args)]
pub struct OverlayArgs {
    /// Make it a network over all nodes of the cluster; needs --cluster and --subnet
    #[arg(
        long,
        requires = "subnet",
        conflicts_with_all = ["ipv6", "gateway", "ip_range", "bridge"]
    )]
    pub overlay: bool,
    /// The length of each node's part of a subnet, once for each --subnet in their order
    ///
    /// Without: 24 of IPv4 and 64 of IPv6, or some bits more than the subnet where that is longer.
    #[arg(long, value_name = "N", requires = "overlay")]
    pub node_prefix: Vec<u8>,
    /// How packets cross between nodes: vxlan, ipip, or routed where all nodes are on one link
    ///
    /// vxlan: in UDP, 50 bytes for each packet (70 where the underlay is IPv6). ipip: in IP, 20
    /// bytes (40); the kernel needs its sit and ip6_tunnel modules, which 'pontoon doctor' looks
    /// for. routed: as they are.
    #[arg(long, value_name = "NAME", requires = "overlay")]
    pub backend: Option<Backend>,
    /// Make it one Ethernet over all nodes: broadcast and multicast reach every endpoint
    ///
    /// Every endpoint sees the whole subnet as its own link. Of vxlan, and with an IPv4 subnet.
    #[arg(long, requires = "overlay")]
    pub stretch: bool,
    /// The network's number, 1 to 16777215; the lowest free one from 4096 on without
    #[arg(long, value_name = "N", requires = "overlay")]
    pub vni: Option<Vni>,
    #[command(flatten)]
    pub cluster: ClusterArgs,
}
