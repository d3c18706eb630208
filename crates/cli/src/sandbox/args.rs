//! What the commands of containers take.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use model::{Alias, EndpointName, NetworkName, Publish, Rate, Target};
use sandbox::container::{Access, Bind};
use sandbox::limit::{Bytes, CpuSet, Cpus, Device, Limits};

use crate::args::Dry;

pub const RUN_EXAMPLES: &str = "\
Examples:
  pontoon run web -- sh -c 'hostname; ip addr'
  pontoon run web -d --name shop -p 8080:80 --memory 256M --cpus 0.5 -- httpd -f -p 80
  pontoon run web -t --rootfs /srv/alpine -- sh

The exit code is the command's own, 128 and the signal's number where a signal ended it; 127 where
there is no such command, 126 where it can't be run, 125 where the container can't. With -d it is
one of 'pontoon --help'.";

pub const LIMIT_EXAMPLES: &str = "\
Examples:
  pontoon limit shop --memory 512M --cpus 1.5
  pontoon limit shop --net-rate 20mbit --dry-run";

#[derive(Debug, Args)]
pub struct Run {
    /// The network to attach to
    pub network: NetworkName,
    /// The container's name, and its endpoint's; one is made up without
    #[arg(long)]
    pub name: Option<EndpointName>,
    /// Its host name; its name without
    #[arg(long)]
    pub hostname: Option<EndpointName>,
    /// The directory that becomes its /; the machine's own files without, for reading alone, with
    /// a /tmp, /run, /root and /home of its own
    #[arg(long, value_name = "DIR")]
    pub rootfs: Option<PathBuf>,
    /// An address of its endpoint, once for each subnet at most; a free one without
    #[arg(long, value_name = "IP")]
    pub ip: Vec<IpAddr>,
    /// Publish a port or a range, as 'pontoon attach' does
    #[arg(short = 'p', long = "publish", value_name = "PORTS")]
    pub publish: Vec<Publish>,
    /// Another name of its endpoint, on a network with names; several may share one
    #[arg(long, value_name = "NAME")]
    pub alias: Vec<Alias>,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Whose users the container's are: auto gives it a range of numbers that nobody has, so that
    /// its root is nobody on the machine; host gives it the machine's
    #[arg(long, value_enum, default_value = "auto")]
    pub user_ns: UserNs,
    /// A variable of its environment
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_env)]
    pub env: Vec<String>,
    /// Show a directory or file of the machine inside: SRC:DST, for reading alone with :ro
    #[arg(long, value_name = "SRC:DST[:ro]", value_parser = parse_mount)]
    pub mount: Vec<Bind>,
    /// Forget the container when it has ended
    #[arg(long)]
    pub rm: bool,
    /// Print its name and leave it running; 'pontoon logs' shows what it writes
    #[arg(short, long)]
    pub detach: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    #[command(flatten)]
    pub amounts: Amounts,
    /// Mark its packets with a class, for a filter of yours (net_cls, cgroup v1)
    #[arg(long, value_name = "N", conflicts_with = "net_prio")]
    pub net_class: Option<NonZeroU32>,
    /// The priority of its packets on the machine's devices (net_prio, cgroup v1)
    #[arg(long, value_name = "N")]
    pub net_prio: Option<u32>,
    /// Leave out the limits that this machine can't enforce, and say so, instead of refusing
    #[arg(long)]
    pub best_effort: bool,
}

/// How much a container may use at most: what it starts with, and what can be changed while it runs.
#[derive(Debug, Args)]
#[group(id = AMOUNTS)]
#[command(next_help_heading = "Limits")]
pub struct Amounts {
    /// Memory in bytes, or with K, M, G; beyond it the kernel kills
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Bytes>,
    /// CPU time by the second, in CPUs: 0.5 is half of one
    #[arg(long, value_name = "N")]
    pub cpus: Option<Cpus>,
    /// The CPUs to run on, as 0-1,4
    #[arg(long, value_name = "SET")]
    pub cpuset: Option<CpuSet>,
    /// Processes and threads at once
    #[arg(long, value_name = "N")]
    pub pids: Option<NonZeroU32>,
    /// Bytes a second read from a disk, or with K, M, G
    #[arg(long, value_name = "RATE")]
    pub io_read: Option<Bytes>,
    /// Bytes a second written to a disk; on cgroup v1 only what is written directly
    #[arg(long, value_name = "RATE")]
    pub io_write: Option<Bytes>,
    /// The disk that rates are about, a path or MAJOR:MINOR; the one its / is on without
    #[arg(long, value_name = "DEV")]
    pub io_device: Option<Device>,
    /// Bits a second that it sends, and that it receives, as 500kbit or 100mbit
    #[arg(long, value_name = "RATE")]
    pub net_rate: Option<Rate>,
}

/// The name of the group of these arguments.
const AMOUNTS: &str = "amounts";

impl Amounts {
    /// Those of its processes; the rate is its endpoint's.
    pub fn limits(&self) -> Limits {
        Limits {
            memory: self.memory,
            cpus: self.cpus,
            cpuset: self.cpuset.clone(),
            pids: self.pids,
            io_read: self.io_read,
            io_write: self.io_write,
            io_device: self.io_device.clone(),
            net_class: None,
            net_prio: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UserNs {
    Auto,
    Host,
}

#[derive(Debug, Args)]
#[command(mut_group(AMOUNTS, |group| group.required(true).multiple(true)))]
pub struct Limit {
    /// The container
    pub name: EndpointName,
    #[command(flatten)]
    pub limits: Amounts,
    #[command(flatten)]
    pub dry: Dry,
}

#[derive(Debug, Args)]
pub struct Ps {
    /// Show those that have ended too
    #[arg(short, long)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The container
    pub name: EndpointName,
    /// A variable of the command's environment
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_env)]
    pub env: Vec<String>,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Logs {
    /// The container
    pub name: EndpointName,
    /// Go on with what it writes until it ends
    #[arg(short, long)]
    pub follow: bool,
    /// When each line was written, in seconds since 1970
    #[arg(long)]
    pub timestamps: bool,
}

#[derive(Debug, Args)]
pub struct Stop {
    /// The containers
    #[arg(required = true)]
    pub names: Vec<EndpointName>,
    /// Seconds until it is killed that does not end by SIGTERM, 0 to 3600
    #[arg(long, default_value_t = 10, value_name = "SECS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub time: u64,
}

#[derive(Debug, Args)]
pub struct Rm {
    /// The containers
    #[arg(required_unless_present = "all")]
    pub names: Vec<EndpointName>,
    /// Those that run are killed first
    #[arg(short, long)]
    pub force: bool,
    /// All containers of this node
    #[arg(long, conflicts_with = "names")]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct Stats {
    /// The containers; all that run without
    pub names: Vec<EndpointName>,
    /// Show it again every second, until a key like Ctrl-C ends it
    #[arg(short, long)]
    pub follow: bool,
}

/// What a supervisor asks for when a container's network namespace is there and its command is not.
#[derive(Debug, Args)]
pub struct Created {
    pub name: EndpointName,
    #[arg(long)]
    pub ip: Vec<IpAddr>,
    #[arg(short = 'p', long = "publish")]
    pub publish: Vec<Publish>,
    #[arg(long)]
    pub rate: Option<Rate>,
    #[arg(long)]
    pub alias: Vec<Alias>,
    /// The container's network namespace
    pub target: Target,
}

fn parse_env(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() && !text.contains('\0') => Ok(text.to_owned()),
        _ => Err("KEY=VALUE is wanted".to_owned()),
    }
}

fn parse_mount(text: &str) -> Result<Bind, String> {
    let (rest, access) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, Access::Read),
        None => (text, Access::Write),
    };
    match rest.split_once(':') {
        Some((source, target)) if !source.is_empty() && target.starts_with('/') => Ok(Bind {
            source: PathBuf::from(source),
            target: PathBuf::from(target),
            access,
        }),
        _ => Err("SRC:DST or SRC:DST:ro is wanted, DST from / on".to_owned()),
    }
}

/// A random name, for a container that got none.
pub fn made_up_name() -> anyhow::Result<EndpointName> {
    let mut random = [0; 4];
    getrandom::fill(&mut random)?;
    let text = format!("c{:08x}", u32::from_ne_bytes(random));
    Ok(EndpointName::from_str(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_and_variables_are_checked() {
        let bind = parse_mount("/a:/b:ro").unwrap();
        assert_eq!(
            (bind.target.to_str(), bind.access),
            (Some("/b"), Access::Read)
        );
        assert_eq!(parse_mount("/a:/b").unwrap().access, Access::Write);
        for text in ["", "/a", ":/b", "/a:b", "/a:"] {
            assert!(parse_mount(text).is_err(), "{text:?}");
        }
        assert!(parse_env("A=").is_ok());
        assert!(parse_env("A").is_err() && parse_env("=b").is_err());
    }
}
