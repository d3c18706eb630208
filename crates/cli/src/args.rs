//! What the command line takes.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use model::{
    AddressRange, Alias, EndpointName, IfName, Mac, MtuSetting, NetworkName, Prefix, Publish, Rate,
    Target,
};

use crate::cluster::args::{
    AgentArgs, ClusterArgs, NodeCommand, OverlayArgs, StatusArgs, TopologyArgs,
};
use crate::fastpath::FastPathCommand;
use crate::fastpath::capture::CaptureArgs;
use crate::lab::LabArgs;
use crate::late::Late;
use crate::names::NamesArgs;
use crate::plain::{LOCK_WAIT_SECS, LOCK_WAIT_SECS_MAX, STATE_DIR, STATE_DIR_VARIABLE};
use crate::sandbox::ContainerCommand;
use crate::trace::TraceArgs;

const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  failed otherwise
   2  wrong usage
   3  no such network, endpoint or namespace
   4  in the way: a name, prefix, address, port or device that somebody has, or that is in use
   5  nothing free: addresses or prefixes are used up
   6  not permitted: root is needed
   7  busy: another process holds the node's lock
   8  the records can't be read or written
   9  the kernel refused a step; what was done of the change is taken back
  10  a dry run of reconcile found something to do, doctor or status something bad, an audit
      addresses to free, a trace no answer, or 'agent --once' a network that the node can't have as agreed
  11  the cluster's store does not answer, refuses, or can't be read";

const CREATE_EXAMPLES: &str = "\
Examples:
  pontoon network create web
  pontoon network create blue --subnet 10.9.0.0/24 --subnet fd00:9::/64
  pontoon network create red --overlay --subnet 10.50.0.0/16 --cluster etcd:http://192.0.2.1:2379";

const AUDIT_EXAMPLES: &str = "\
Examples:
  pontoon ipam audit              every address of every network
  pontoon ipam audit web --json   those of one network, for a program
  pontoon ipam audit --fix        free what the dead have left

Exit codes: 0 all is well, or was put right; 10 addresses are held by what is dead or unfinished;
others as in 'pontoon --help'.";

const INSTALL_EXAMPLES: &str = "\
Examples:
  pontoon cni install
  pontoon cni install --network web --subnet 10.9.0.0/24 --subnet fd00:9::/64
  pontoon cni install --dir /usr/lib/cni --dry-run

The network is created by the first container on it; what is not said here, it gets as from
'pontoon network create'. The plugin keeps its records in /var/lib/pontoon, or where
PONTOON_STATE_DIR in the runtime's environment says.";

const UNINSTALL_EXAMPLES: &str = "\
Examples:
  pontoon cni uninstall --dry-run
  pontoon cni uninstall --network web

Remove the network's containers first: a runtime needs the plugin to detach them.";

/// Container networking that needs no daemon.
///
/// Networks are bridges on this node; attaching gives a network namespace an address on one.
/// Every change is a plan of ip, bridge, nft and sysctl lines: --dry-run prints it and changes
/// nothing.
#[derive(Debug, Parser)]
#[command(name = "pontoon", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Common {
    /// Where this node's records are
    #[arg(
        long,
        global = true,
        env = STATE_DIR_VARIABLE,
        default_value = STATE_DIR,
        value_name = "DIR"
    )]
    pub state_dir: PathBuf,
    /// How long to wait for another process that is changing the node, 0 to 3600 seconds
    #[arg(
        long,
        global = true,
        default_value_t = LOCK_WAIT_SECS,
        value_name = "SECS",
        value_parser = clap::value_parser!(u64).range(0..=LOCK_WAIT_SECS_MAX)
    )]
    pub lock_wait: u64,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Print each plan on standard error before it is applied
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

#[derive(Debug, Args)]
pub struct Dry {
    /// Print the plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create, list, show and remove networks
    #[command(subcommand)]
    Network(Late<NetworkCommand>),
    /// Attach a network namespace to a network
    ///
    /// The namespace gets one end of a veth pair with an address of the network, and unless the
    /// network is internal a default route. With several networks, the first one's is used.
    Attach(Late<Attach>),
    /// Detach a network namespace from one network or from all
    Detach(Late<Detach>),
    /// List endpoints
    #[command(visible_alias = "endpoints")]
    Ls,
    /// Show the network stack of a namespace, or of the node
    ///
    /// Devices, addresses, routes, neighbours, listening sockets and firewall rules.
    Stack {
        /// A name under /run/netns, a path to a namespace, or pid:N; the node without
        target: Option<Target>,
    },
    /// Send one packet and show what each firewall chain says of it, and of its answer
    ///
    /// Says who dropped it, Pontoon's rules or another's, or where it was last seen. A table of its
    /// own marks the packets while it runs; nothing else is changed.
    Trace(Late<TraceArgs>),
    /// Make the kernel what the records say
    ///
    /// Restores what was deleted, flushed or moved, releases endpoints whose namespace is gone,
    /// takes back what a killed command left half done, and says what it found.
    Reconcile {
        #[command(flatten)]
        dry: Dry,
        /// Take over a namespace whose records are lost: what they made becomes these records',
        /// and is removed unless they know of it
        #[arg(long)]
        take_over: bool,
    },
    /// Check kernel, privileges, sysctls, other firewalls and the records
    Doctor,
    /// Keep this node in a cluster: join, follow its changes, heal what is flushed or deleted
    ///
    /// While the store is away the node goes on with its records, and so do all other commands.
    Agent(Late<Box<AgentArgs>>),
    /// List, show and remove the nodes of the cluster
    #[command(subcommand)]
    Node(Late<NodeCommand>),
    /// Show this node, its cluster, its networks and what is wrong, on one page
    Status(Late<StatusArgs>),
    /// Show nodes, networks and endpoints as a tree, or for Graphviz
    Topology(Late<TopologyArgs>),
    /// Look after addresses
    #[command(subcommand)]
    Ipam(Late<IpamCommand>),
    /// Make container runtimes use Pontoon
    #[command(subcommand)]
    Cni(Late<CniCommand>),
    /// Show the names by which endpoints find each other, and whether they are answered for
    Names(Late<NamesArgs>),
    /// Carry traffic between endpoints faster, by BPF programs on their ports
    ///
    /// The kernel's own way carries every packet without it. A flow is carried fast for a second
    /// after the kernel has delivered a packet of it, through all rules that there are.
    #[command(subcommand, name = "fastpath")]
    FastPath(Late<FastPathCommand>),
    /// Have an endpoint's packets go the kernel's way while this runs, so that captures see them
    ///
    /// What the fast path carries never passes the endpoint's port on the node, where tcpdump
    /// listens. Ends with Ctrl-C; two seconds after its end, however it came, packets are carried
    /// again.
    Capture(Late<CaptureArgs>),
    #[command(flatten)]
    Container(ContainerCommand),
    /// Make nodes of namespaces on this machine, to learn and to try
    Lab(Late<LabArgs>),
}

#[derive(Debug, Subcommand)]
pub enum IpamCommand {
    /// List every address that is not free, its owner, its age, and whether the owner is alive
    ///
    /// In use: the owner's namespace is there. Dead: it is gone, or another one has its name.
    /// Unfinished: a process that attached or detached the owner died half way. Resting:
    /// released a moment ago, given out again later.
    #[command(after_help = AUDIT_EXAMPLES)]
    Audit(IpamAudit),
}

#[derive(Debug, Args)]
pub struct IpamAudit {
    /// The network to look at; all without
    pub network: Option<NetworkName>,
    /// Free what is dead or unfinished, as 'pontoon reconcile' does: on the whole node
    #[arg(long)]
    pub fix: bool,
}

#[derive(Debug, Subcommand)]
pub enum CniCommand {
    /// Put the plugin and the configuration of a network where container runtimes look
    ///
    /// Copies pontoon-cni, which is looked for beside this pontoon, and writes the configuration
    /// list 10-pontoon-NETWORK.conflist. Nothing is done twice, and nothing by halves.
    #[command(after_help = INSTALL_EXAMPLES)]
    Install(CniInstall),
    /// Remove what install has written, and nothing else
    ///
    /// A file that is not as install writes it stays, and is named; so does the plugin as long as
    /// another configuration names it.
    #[command(after_help = UNINSTALL_EXAMPLES)]
    Uninstall(CniUninstall),
}

#[derive(Debug, Args)]
pub struct CniPlaces {
    /// Where runtimes look for plugins
    #[arg(long, default_value = "/opt/cni/bin", value_name = "DIR")]
    pub dir: PathBuf,
    /// Where runtimes look for configurations
    #[arg(long, default_value = "/etc/cni/net.d", value_name = "DIR")]
    pub conf_dir: PathBuf,
    /// The network that containers are attached to, and its name in runtimes
    #[arg(long, default_value = "pontoon", value_name = "NAME")]
    pub network: NetworkName,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct CniInstall {
    #[command(flatten)]
    pub places: CniPlaces,
    /// A prefix of the network, IPv4 or IPv6, once each at most
    #[arg(long, value_name = "CIDR")]
    pub subnet: Vec<Prefix>,
    /// What is given out of a subnet to containers that ask for no address; all of it without
    #[arg(long, value_name = "CIDR|FIRST-LAST", requires = "subnet")]
    pub ip_range: Vec<AddressRange>,
    /// No way out of the network and none in, but from the node
    #[arg(long)]
    pub internal: bool,
    /// Bytes a packet may have, 68 to 65535; auto is the MTU of the default route's device
    #[arg(long, value_name = "auto|N")]
    pub mtu: Option<MtuSetting>,
    /// The name of the bridge
    #[arg(long, value_name = "IFNAME")]
    pub bridge: Option<IfName>,
    /// Let containers find each other by name: puts the name server beside the plugin too
    #[arg(long)]
    pub names: bool,
    /// The version of the CNI specification that runtime and plugin speak
    ///
    /// The runtimes of Debian 12 know none above 1.0.0.
    #[arg(
        long,
        value_name = "VERSION",
        default_value = "1.0.0",
        value_parser = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]
    )]
    pub cni_version: String,
    /// Replace a configuration of this name that is there with other content
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct CniUninstall {
    #[command(flatten)]
    pub places: CniPlaces,
}

#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Create a network, on this node or over all nodes of a cluster
    #[command(after_help = CREATE_EXAMPLES)]
    Create(Box<NetworkCreate>),
    /// List networks
    Ls,
    /// Show one network and its endpoints
    Show { name: NetworkName },
    /// Remove a network that has no endpoints
    ///
    /// A network of the whole cluster is removed from the cluster: this node says what endpoints
    /// it has on it, other nodes with endpoints keep it for these until they are detached.
    Rm {
        name: NetworkName,
        #[command(flatten)]
        cluster: ClusterArgs,
        #[command(flatten)]
        dry: Dry,
    },
}

#[derive(Debug, Args)]
pub struct NetworkCreate {
    /// The new network's name
    pub name: NetworkName,
    /// A prefix of the network, IPv4 or IPv6, once each at most; a free private IPv4 /24 without
    #[arg(long, value_name = "CIDR")]
    pub subnet: Vec<Prefix>,
    /// Pick a free IPv6 prefix too (unique local, RFC 4193), where no --subnet is given
    #[arg(long, conflicts_with = "subnet")]
    pub ipv6: bool,
    /// The node's address in a subnet; its first address without
    #[arg(long, value_name = "IP")]
    pub gateway: Vec<IpAddr>,
    /// What is given out of a subnet to endpoints that name no --ip; all of it without
    #[arg(long, value_name = "CIDR|FIRST-LAST")]
    pub ip_range: Vec<AddressRange>,
    /// The name of the bridge; pn-NAME without
    #[arg(long, value_name = "IFNAME")]
    pub bridge: Option<IfName>,
    /// Bytes a packet may have, 68 to 65535; auto is the MTU of the default route's device
    #[arg(long, default_value = "auto", value_name = "auto|N")]
    pub mtu: MtuSetting,
    /// No way out of the network and none in, but from the node
    #[arg(long)]
    pub internal: bool,
    /// Let its endpoints find each other by name, by a name server at the network's gateway
    #[arg(long)]
    pub names: bool,
    #[command(flatten)]
    pub overlay: OverlayArgs,
    #[command(flatten)]
    pub dry: Dry,
}

#[derive(Debug, Args)]
pub struct Attach {
    /// The network to attach to
    pub network: NetworkName,
    /// A name under /run/netns, a path to a namespace, or pid:N
    pub target: Target,
    /// Make the named namespace first
    #[arg(long)]
    pub create: bool,
    /// The endpoint's name in the network; the target's without
    #[arg(long)]
    pub name: Option<EndpointName>,
    /// An address of the endpoint, once for each subnet at most; a free one without
    #[arg(long, value_name = "IP")]
    pub ip: Vec<IpAddr>,
    /// The endpoint's MAC address; made from its address without
    #[arg(long)]
    pub mac: Option<Mac>,
    /// The interface inside; the first free one of eth0, eth1, … without
    #[arg(long)]
    pub ifname: Option<IfName>,
    /// Publish a port or a range: [HOSTIP:]PORT[-PORT][:PORT[-PORT]][/tcp|udp|sctp]
    ///
    /// The node's port first, then the container's; the same without. HOSTIP is an address of
    /// the node, IPv6 in brackets; all of them without. A range that keeps its ports costs no
    /// more than one port.
    #[arg(short = 'p', long = "publish", value_name = "PORTS")]
    pub publish: Vec<Publish>,
    /// Bits a second that it sends, and that it receives, as 500kbit or 100mbit; no bound without
    #[arg(long, value_name = "RATE")]
    pub rate: Option<Rate>,
    /// Another name of the endpoint, on a network with names; several may share one
    #[arg(long, value_name = "NAME")]
    pub alias: Vec<Alias>,
    #[command(flatten)]
    pub dry: Dry,
}

#[derive(Debug, Args)]
pub struct Detach {
    /// A name under /run/netns, a path to a namespace, or pid:N
    pub target: Target,
    /// The network to detach from; all without
    pub network: Option<NetworkName>,
    /// Delete the named namespace too
    #[arg(long)]
    pub delete: bool,
    #[command(flatten)]
    pub dry: Dry,
}
