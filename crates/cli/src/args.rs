//! What the command line takes.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use model::{
    AddressRange, EndpointName, IfName, Mac, MtuSetting, NetworkName, Prefix, Publish, Target,
};

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
  10  a dry run of reconcile found something to do, or doctor found something bad";

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
        env = "PONTOON_STATE_DIR",
        default_value = "/var/lib/pontoon",
        value_name = "DIR"
    )]
    pub state_dir: PathBuf,
    /// How long to wait for another process that is changing the node, 0 to 3600 seconds
    #[arg(
        long,
        global = true,
        default_value_t = 30,
        value_name = "SECS",
        value_parser = clap::value_parser!(u64).range(0..=3600)
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
    Network(NetworkCommand),
    /// Attach a network namespace to a network
    ///
    /// The namespace gets one end of a veth pair with an address of the network, and unless the
    /// network is internal a default route. With several networks, the first one's is used.
    Attach(Attach),
    /// Detach a network namespace from one network or from all
    Detach(Detach),
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
}

#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Create a network
    Create(NetworkCreate),
    /// List networks
    Ls,
    /// Show one network and its endpoints
    Show { name: NetworkName },
    /// Remove a network that has no endpoints
    Rm {
        name: NetworkName,
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
