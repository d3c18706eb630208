//! A directory on the disk for everybody's records, removed however the bench ends.
//!
//! On the disk, because that is where records are: in memory, what waits for the disk costs
//! nothing.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Waits until the bench is gone, killed or not: its end of the pipe is closed then.
const SWEEP: &str = r#"cat >/dev/null; rm -rf -- "$1""#;

pub struct Scratch {
    dir: PathBuf,
    sweeper: Child,
}

impl Scratch {
    pub fn new(parent: &Path) -> Result<Self> {
        let dir = parent.join(format!("pontoon-bench-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("make {}", dir.display()))?;
        let sweeper = Command::new("sh")
            .args(["-c", SWEEP, "sh"])
            .arg(&dir)
            .stdin(Stdio::piped())
            // Not in the bench's group: ctrl-C is for the bench alone.
            .process_group(0)
            .spawn()
            .context("start sh")?;
        Ok(Self { dir, sweeper })
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
