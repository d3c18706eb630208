//! System calls that kill, and system calls that fail, at any place of attach, detach and network
//! create: by strace(1), which counts the calls of each thread.

use testnet::{Output, output, stride};

use crate::ground::{WEB, assert_same};
use crate::node::{PONTOON, PontoonNode};

const KILLED: i32 = 128 + 9;
const LOG: &str = "/run/strace.log";
/// The system call, what is done to it, and to which of them.
type Fault<'a> = (&'a str, &'a str, &'a str);
/// More calls of one kind than any command here makes.
const CALLS_MAX: usize = 200;
const ATTACH: &str = "attach web b --create --ip 10.5.0.8 --ip fd00:5::8 -p 8080:80";
const DETACH: &str = "detach b --delete";
const CREATE: &str = "network create blue --subnet 10.6.0.0/24 --subnet fd00:6::/64";
const RM: &str = "network rm blue";

/// Runs `pontoon` with something done to a system call; true when it came to that call.
fn injected(node: &PontoonNode, (call, what, when): Fault, line: &str) -> (Output, bool) {
    let mut command = (**node).command("strace");
    let (trace, inject) = (
        format!("trace={call}"),
        format!("inject={call}:{what}:when={when}"),
    );
    command.args(["-f", "-qq", "-o", LOG, "-e", &trace, "-e", &inject, PONTOON]);
    let out = output(command.args(line.split_whitespace()));
    let log = std::fs::read_to_string(LOG).unwrap();
    let hit = log.contains("(INJECTED)") || log.contains("killed by SIGKILL");
    (out, hit)
}

/// One command, the command that undoes it, and the states before and after it.
struct Pair<'a> {
    node: &'a PontoonNode,
    line: &'static str,
    back: &'static str,
}

impl Pair<'_> {
    /// Back to the state before, whatever became of the command.
    fn reset(&self, before: &str, context: &str) {
        self.node.heal();
        let again = self.node.try_pontoon(self.back);
        assert!([0, 3].contains(&again.code), "{context}: {again}");
        self.node.assert_settled();
        assert_same(&self.node.state(), before, context);
    }
}

/// Kills at every `stride`-th call of each kind, until the command gets through.
fn kills(node: &PontoonNode, line: &'static str, back: &'static str, undo: bool) {
    let pair = Pair { node, line, back };
    let before = node.state();
    let slow = usize::try_from(stride()).unwrap();
    for (call, stride) in [
        ("sendto", 1),
        ("pwrite64", 3),
        ("mount,umount2", 1),
        ("openat", 2),
    ] {
        for n in (1..CALLS_MAX).step_by(stride * slow) {
            if undo {
                node.pontoon(pair.line);
            }
            let doomed = if undo { pair.back } else { pair.line };
            let (out, hit) = injected(node, (call, "signal=SIGKILL", &n.to_string()), doomed);
            let context = format!("{doomed}, killed at {call} {n}");
            assert!([0, KILLED].contains(&out.code), "{context}: {out}");
            node.pontoon("ls");
            pair.reset(&before, &context);
            if !hit {
                break;
            }
        }
    }
}

/// Fails one call, or all from it on, at every place; then settles.
fn fails(node: &PontoonNode, line: &'static str, back: &'static str, faults: &[(&str, &str)]) {
    let pair = Pair { node, line, back };
    let before = node.state();
    let slow = usize::try_from(stride()).unwrap();
    for (call, errors) in faults {
        for (e, error) in errors.split_whitespace().enumerate() {
            // Each error begins at another place. Netlink is walked whole by the first; SQLite
            // writes page after page.
            let stride = match (e, *call) {
                (_, "pwrite64") => 4,
                (0, _) => 1,
                _ => 6,
            };
            for n in (e + 1..CALLS_MAX).step_by(stride * slow) {
                // Nothing is interrupted for ever.
                let once = n % 2 == 1 || error == "EINTR";
                let when = format!("{n}{}", if once { "" } else { "+" });
                let what = format!("error={error}");
                let (out, hit) = injected(node, (call, &what, &when), pair.line);
                let context = format!("{}, {call} {when} fails with {error}: {out}", pair.line);
                assert!(is_clear(&out), "{context}");
                pair.reset(&before, &context);
                if !hit {
                    break;
                }
            }
        }
    }
}

/// Success, or an error in `pontoon`'s own words. The loader's calls fail too, before its main.
fn is_clear(out: &Output) -> bool {
    let loader = out.code == 127 && out.stderr.contains("loading shared libraries");
    let own = (1..10).contains(&out.code) && out.stderr.starts_with("pontoon: ");
    out.code == 0 || own || loader
}

fn node() -> PontoonNode {
    let node = PontoonNode::new();
    node.script(&format!("{WEB}pontoon attach web a --create"));
    node
}

mod heavy {
    use super::*;

    #[test]
    fn an_attach_killed_at_any_call_is_healed() {
        kills(&node(), ATTACH, DETACH, false);
    }

    #[test]
    fn a_detach_killed_at_any_call_is_healed() {
        kills(&node(), ATTACH, DETACH, true);
    }

    #[test]
    fn a_network_create_killed_at_any_call_is_healed() {
        kills(&node(), CREATE, RM, false);
    }

    #[test]
    fn an_attach_whose_calls_fail_leaves_nothing() {
        let faults = [
            ("sendto", "ENOBUFS EINTR EBUSY EEXIST ENOMEM"),
            ("recvfrom", "ENOBUFS EINTR"),
            ("pwrite64", "ENOSPC EIO"),
            ("mount", "EPERM"),
            ("unshare", "ENOSPC"),
            ("openat", "EMFILE"),
        ];
        fails(&node(), ATTACH, DETACH, &faults);
    }

    #[test]
    fn a_network_create_whose_calls_fail_leaves_nothing() {
        let faults = [
            ("sendto", "ENOBUFS EEXIST"),
            ("fdatasync", "EIO"),
            ("fsync", "EIO"),
            ("pwrite64", "ENOSPC"),
        ];
        fails(&node(), CREATE, RM, &faults);
    }
}
