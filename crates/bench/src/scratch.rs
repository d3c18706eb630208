//! A directory on the disk for everybody's records, removed however the bench ends, and the
//! control groups of the same name with it.
//!
//! On the disk, because that is where records are: in memory, what waits for the disk costs
//! nothing.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Waits until the bench is gone, killed or not: its end of the pipe is closed then. What the bench
/// started is killed with it, and may need a moment to be gone.
const SWEEP: &str = r#"
    cat >/dev/null
    name=${1##*/}
    for try in $(seq 100); do
        rm -rf -- "$1" 2>/dev/null
        groups=$(find /sys/fs/cgroup -depth -type d \
            \( -path "/sys/fs/cgroup/$name" -o -path "/sys/fs/cgroup/*/$name" \
            -o -path "*/$name/*" \) 2>/dev/null)
        for group in $groups; do rmdir -- "$group" 2>/dev/null; done
        [ -n "$groups" ] || [ -e "$1" ] || exit 0
        sleep 0.1
    done
    rm -rf -- "$1"
    echo "bench: these control groups are left: $groups" >&2"#;

pub struct Scratch {
    name: String,
    dir: PathBuf,
    sweeper: Child,
}

impl Scratch {
    pub fn new(parent: &Path) -> Result<Self> {
        let name = format!("pontoon-bench-{}", std::process::id());
        let dir = parent.join(&name);
        fs::create_dir(&dir).with_context(|| format!("make {}", dir.display()))?;
        let sweeper = Command::new("sh")
            .args(["-c", SWEEP, "sh"])
            .arg(&dir)
            .stdin(Stdio::piped())
            // Not in the bench's group: ctrl-C is for the bench alone.
            .process_group(0)
            .spawn()
            .context("start sh")?;
        Ok(Self { name, dir, sweeper })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}
