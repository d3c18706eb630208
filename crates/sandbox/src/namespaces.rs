//! The namespaces a process is in, by the numbers the kernel gives them (namespaces(7)).

use std::fs;

use serde::Serialize;

/// A kind of namespace that containers have, and which one of it a process is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InNamespace {
    /// As below `/proc/PID/ns`.
    pub kind: &'static str,
    /// What `lsns` and `ls -l /proc/PID/ns` show.
    pub inode: u64,
    pub whose: Whose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    Own,
    /// Shared with the process that asks: the node's.
    Node,
}

const KINDS: [&str; 6] = ["pid", "user", "ipc", "net", "uts", "mnt"];

/// Where the process is; what can't be read, because it has ended, is left out.
pub fn namespaces(pid: u32) -> Vec<InNamespace> {
    let kinds = KINDS.iter();
    let of = |kind: &&'static str| {
        let inode = inode(&pid.to_string(), kind)?;
        let whose = match inode_of_own(kind) == Some(inode) {
            true => Whose::Node,
            false => Whose::Own,
        };
        Some(InNamespace { kind, inode, whose })
    };
    kinds.filter_map(of).collect()
}

fn inode_of_own(kind: &str) -> Option<u64> {
    inode("self", kind)
}

fn inode(process: &str, kind: &str) -> Option<u64> {
    let link = fs::read_link(format!("/proc/{process}/ns/{kind}")).ok()?;
    parse_inode(link.to_str()?)
}

/// `net:[4026531840]`.
fn parse_inode(link: &str) -> Option<u64> {
    let (_, number) = link.split_once(":[")?;
    number.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_namespaces_are_the_nodes() {
        let own = namespaces(std::process::id());
        assert_eq!(own.len(), KINDS.len());
        assert!(own.iter().all(|n| n.whose == Whose::Node && n.inode > 0));
        assert_eq!(parse_inode("net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(parse_inode("net:4026531840"), None);
    }
}
