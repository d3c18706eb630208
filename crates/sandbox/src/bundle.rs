//! The OCI bundle of a container: `config.json`, and the root it names (runtime specification
//! 1.0.2; `rro` is of 1.1).
//!
//! The network namespace has no path in it: the runtime makes one that belongs to the container's
//! users, and the endpoint is attached before the command starts.

mod mounts;
mod root;

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::cgroup::Cgroups;
use crate::container::{Container, Root, Users};
use crate::error::SandboxError;
use crate::limit::{Bytes, Cpus, Limits};
use crate::place::Home;
use crate::{seccomp, users};

/// The file's name in a bundle.
pub const CONFIG: &str = "config.json";
/// The container's `/etc/hosts`, and its `/etc/hostname`.
pub const HOSTS: &str = "hosts";
pub const HOSTNAME: &str = "hostname";
/// Its `/etc/resolv.conf`, where it has one of its own.
pub const RESOLV_CONF: &str = "resolv.conf";
const ROOTFS: &str = "rootfs";
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What root may do inside: what services need, and none of what makes devices (`MKNOD`), gives
/// files capabilities (`SETFCAP`) or writes the audit log. `NET_RAW` stays, for ping: the guard at
/// the endpoint's port passes no forged address. With their numbers (linux/capability.h).
pub const CAPABILITIES: [(&str, u32); 11] = [
    ("CAP_CHOWN", 0),
    ("CAP_DAC_OVERRIDE", 1),
    ("CAP_FOWNER", 3),
    ("CAP_FSETID", 4),
    ("CAP_KILL", 5),
    ("CAP_NET_BIND_SERVICE", 10),
    ("CAP_NET_RAW", 13),
    ("CAP_SETGID", 6),
    ("CAP_SETPCAP", 8),
    ("CAP_SETUID", 7),
    ("CAP_SYS_CHROOT", 18),
];

/// Files of the kernel's that tell or change the machine.
const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Secrets of the machine's own root file system.
const MASKED_OF_MACHINE: [&str; 4] = [
    "/etc/gshadow",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/ssl/private",
];
const READ_ONLY: [&str; 6] = [
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Writes the bundle into the container's directory.
///
/// # Errors
/// A root or a mount that can't be; a file that can't be written.
pub fn write(home: &Home, container: &Container, cgroups: &Cgroups) -> Result<(), SandboxError> {
    let name = container.hostname.as_str();
    home.write_shown(HOSTS, &hosts(name, &[]))?;
    home.write_shown(HOSTNAME, &format!("{name}\n"))?;
    if !container.nameservers.is_empty() {
        home.write_shown(RESOLV_CONF, &resolv_conf(&container.nameservers))?;
    }
    let mounts = mounts::of(home, container)?;
    root::prepare(home, container, &mounts)?;
    let masked = masked(container)?;
    let config = config(container, cgroups, &mounts, &masked);
    home.write_json(CONFIG, &config)
}

/// The text of `/etc/resolv.conf`: no suffixes of the machine's, which are not of these names.
fn resolv_conf(nameservers: &[IpAddr]) -> String {
    let lines = nameservers.iter().map(|a| format!("nameserver {a}\n"));
    lines.collect()
}

/// The text of `/etc/hosts`, with the container's own addresses.
pub fn hosts(name: &str, addresses: &[String]) -> String {
    let own = addresses
        .iter()
        .map(|address| format!("{address}\t{name}\n"));
    let own: String = own.collect();
    format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}")
}

fn config(
    container: &Container,
    cgroups: &Cgroups,
    mounts: &[mounts::Mount],
    masked: &[String],
) -> Value {
    let root = match &container.root {
        Root::Machine => json!({"path": ROOTFS, "readonly": true}),
        Root::Dir(dir) => json!({"path": dir, "readonly": false}),
    };
    json!({
        "ociVersion": "1.0.2",
        "process": process(container),
        "root": root,
        "hostname": container.hostname,
        "mounts": mounts.iter().map(mounts::Mount::oci).collect::<Vec<_>>(),
        "linux": linux(container, cgroups, masked),
    })
}

fn process(container: &Container) -> Value {
    let mut env = vec![PATH.to_owned(), "HOME=/root".to_owned()];
    if container.stdio.is_terminal() {
        env.push("TERM=xterm".to_owned());
    }
    let key = |entry: &str| entry.split('=').next().map(str::to_owned);
    for entry in &container.env {
        env.retain(|other| key(other) != key(entry));
        env.push(entry.clone());
    }
    let capabilities = CAPABILITIES.map(|(name, _)| name);
    json!({
        "terminal": container.stdio.is_terminal(),
        "user": {"uid": 0, "gid": 0},
        "args": container.command,
        "env": env,
        "cwd": "/",
        "capabilities": {
            "bounding": capabilities,
            "effective": capabilities,
            "permitted": capabilities,
        },
        "noNewPrivileges": true,
    })
}

/// What is hidden from a container. Not by mounts of its own: to put one on a directory it would
/// have to open it, and the records' is closed to its users.
fn masked(container: &Container) -> Result<Vec<String>, SandboxError> {
    let mut masked = MASKED.map(str::to_owned).to_vec();
    if container.root == Root::Machine {
        masked.extend(MASKED_OF_MACHINE.map(str::to_owned));
        // The node's records; a directory that is not shown has none to hide.
        if let Ok(state_dir) = container.state_dir.canonicalize() {
            let state_dir = state_dir.into_os_string().into_string();
            masked.push(state_dir.map_err(|path| SandboxError::NotText(path.into()))?);
        }
    }
    Ok(masked)
}

fn linux(container: &Container, cgroups: &Cgroups, masked: &[String]) -> Value {
    let kinds = ["pid", "ipc", "uts", "mount", "network", "cgroup"];
    let mut namespaces: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
    let mut linux = json!({
        "cgroupsPath": container.cgroup,
        "resources": resources(container, cgroups),
        "maskedPaths": masked,
        "readonlyPaths": READ_ONLY,
        "seccomp": seccomp::oci(),
    });
    if let Users::Range { first } = container.users {
        namespaces.push(json!({"type": "user"}));
        let mapping = json!([{"containerID": 0, "hostID": first, "size": users::SIZE}]);
        linux["uidMappings"] = mapping.clone();
        linux["gidMappings"] = mapping;
    }
    linux["namespaces"] = Value::from(namespaces);
    linux
}

fn resources(container: &Container, cgroups: &Cgroups) -> Value {
    let Limits {
        memory,
        cpus,
        cpuset,
        pids,
        net_class,
        ..
    } = &container.limits;
    let mut resources = json!({"devices": [{"allow": false, "access": "rwm"}]});
    if let Some(memory) = memory {
        resources["memory"] = json!({"limit": memory.get()});
        if cgroups.counts_swap() {
            // Memory and swap together: none may be swapped to get around the limit.
            resources["memory"]["swap"] = json!(memory.get());
        }
    }
    if let Some(cpus) = cpus {
        resources["cpu"] = json!({"quota": cpus.quota_micros(), "period": Cpus::PERIOD_MICROS});
    }
    if let Some(set) = cpuset {
        resources["cpu"]["cpus"] = json!(set);
    }
    if let Some(pids) = pids {
        // The first process of the container is ours: it passes signals on and reaps.
        resources["pids"] = json!({"limit": u64::from(pids.get()) + 1});
    }
    if let Some(class) = net_class {
        resources["network"] = json!({"classID": class});
    }
    if let Some(io) = block_io(container) {
        resources["blockIO"] = io;
    }
    resources
}

fn block_io(container: &Container) -> Option<Value> {
    let limits = &container.limits;
    if limits.io_read.is_none() && limits.io_write.is_none() {
        return None;
    }
    let (major, minor) = container.disk()?;
    let rate = |bytes: &Bytes| json!([{"major": major, "minor": minor, "rate": bytes.get()}]);
    let mut io = json!({});
    if let Some(bytes) = &limits.io_read {
        io["throttleReadBpsDevice"] = rate(bytes);
    }
    if let Some(bytes) = &limits.io_write {
        io["throttleWriteBpsDevice"] = rate(bytes);
    }
    Some(io)
}
