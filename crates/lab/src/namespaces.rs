//! Making a node's namespaces, and those of the switch and the store. A process makes them for
//! itself and runs a script in them; then they get their names.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Tools;
use crate::error::LabError;
use crate::node::Node;
use crate::spec::LabName;
use crate::{mounts, place, run};

/// Marks the new namespace, before it has a name.
const PLAIN_SCRIPT: &str = r#"
ip link set lo up alias "$MARK"
# A switch is a wire: no firewall looks at what it carries.
for hook in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e "$hook" ] || echo 0 >"$hook"; done
"#;

/// The same, and a machine of its own: name, `/run`, `/sys`. Control groups stay the machine's.
/// Without mount(8)'s own list of mounts, which is in the machine's `/run`.
const NODE_SCRIPT: &str = r#"
ip link set lo up alias "$MARK"
echo "$NODE" >/proc/sys/kernel/hostname
mount -n --bind "$NODE_DIR/run" "$NODE_DIR/run"
mount -n --bind "$LAB_DIR" "$NODE_DIR/run/${LAB_DIR#/run/}"
mount -n --move "$NODE_DIR/run" /run
mkdir /run/cgroup
[ ! -d /sys/fs/cgroup ] || mount -n --rbind /sys/fs/cgroup /run/cgroup
mount -n -t sysfs -o nosuid,nodev,noexec sysfs /sys
! mountpoint -q /run/cgroup || mount -n --move /run/cgroup /sys/fs/cgroup
rmdir /run/cgroup
"#;

/// Says that a script is through, and waits until the namespaces have their names: where their
/// maker dies before that, so does this process, and they with it.
const NAMED: &str = "echo made\nread -r go || exit 0\n";
/// Keeps the node's mount namespace, which nothing else does for sure.
const KEEP: &str = "exec sleep infinity </dev/null >/dev/null 2>&1\n";
const MADE: &str = "made\n";
const GO: &[u8] = b"go\n";

/// Makes a node's namespaces and directories.
pub fn make(node: &Node, tools: &Tools) -> Result<(), LabError> {
    let lab_dir = place::lab_dir(&node.lab);
    let inner = lab_dir.strip_prefix("/run").unwrap_or(&lab_dir);
    for dir in [node.run_dir().join("netns"), node.run_dir().join(inner)] {
        fs::create_dir_all(&dir).map_err(|source| LabError::MakeDir { path: dir, source })?;
    }
    let inside = place::write_inside(&node.run_dir(), node.name.as_str());
    inside.map_err(|source| LabError::WriteFile {
        path: node.run_dir(),
        source,
    })?;
    let mut command = Command::new("setsid");
    command
        .args(["unshare", "--net", "--uts", "--mount"])
        .args(["--propagation", "slave"])
        .env("NODE", node.name.as_str())
        .env("NODE_DIR", node.dir())
        .env("LAB_DIR", lab_dir)
        .env("MARK", place::mark(&node.lab))
        .current_dir("/");
    let script = format!("{NODE_SCRIPT}{NAMED}{KEEP}");
    let mut keeper = begin(&mut command, &script, tools)?;
    name(&keeper, "net", &node.netns_file())?;
    name(&keeper, "uts", &node.uts_file())?;
    let pid = keeper.id().to_string();
    let file = node.keeper_file();
    fs::write(&file, pid).map_err(|source| LabError::WriteFile { path: file, source })?;
    let go = keeper.stdin.take().map(|mut stdin| stdin.write_all(GO));
    match go {
        Some(Err(source)) => Err(run::start_failed(&command, source)),
        _ => Ok(()),
    }
}

/// Makes the namespace of what is no node: the switch, the store.
pub fn make_plain(lab: &LabName, netns: &str, tools: &Tools) -> Result<(), LabError> {
    let mut command = Command::new("unshare");
    command.arg("--net").env("MARK", place::mark(lab));
    let script = format!("{PLAIN_SCRIPT}{NAMED}");
    let mut holder = begin(&mut command, &script, tools)?;
    let named = name(&holder, "net", &place::netns_path(netns));
    drop(holder.stdin.take());
    let ended = holder.wait();
    named?;
    ended
        .map(|_| ())
        .map_err(|source| run::start_failed(&command, source))
}

/// Starts a process in new namespaces and waits until its script is through.
fn begin(command: &mut Command, script: &str, tools: &Tools) -> Result<Child, LabError> {
    (tools.announce)(&run::as_typed(command, script));
    command.args(["sh", "-euc", script]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| run::start_failed(command, source))?;
    wait_made(&mut child)?;
    Ok(child)
}

/// Gives a namespace of a process its file.
fn name(process: &Child, word: &str, file: &Path) -> Result<(), LabError> {
    let namespace = PathBuf::from(format!("/proc/{}/ns/{word}", process.id()));
    mounts::mount_namespace(&namespace, file)
}

fn wait_made(holder: &mut Child) -> Result<(), LabError> {
    let mut line = String::new();
    let stdout = holder.stdout.take().map(BufReader::new);
    let read = stdout.map(|mut stdout| stdout.read_line(&mut line));
    if line == MADE {
        return Ok(());
    }
    let mut said = Vec::new();
    if let Some(Err(error)) = read {
        said.extend(error.to_string().into_bytes());
    }
    if let Some(mut stderr) = holder.stderr.take() {
        // What can't be read is not shown: the failure itself is told all the same.
        let _ = stderr.read_to_end(&mut said);
    }
    Err(run::failed("making a namespace", &said))
}
