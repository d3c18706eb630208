//! A virtual machine: this machine's files under another kernel, by virtme-ng and QEMU.
//!
//! The guest sees the files of the host read-only, or with changes that stay in its memory; the
//! desk alone is shared. QEMU emulates, so that it needs no rights and no hardware for it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::config::{Config, KernelEntry, Machine};
use crate::files;
use crate::job::Desk;

/// How QEMU runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Emulation,
    Kvm,
}

/// What a machine is made of.
#[derive(Debug)]
pub struct Blueprint<'a> {
    pub config: &'a Config,
    pub kernel: &'a KernelEntry,
    pub engine: Engine,
}

impl Blueprint<'_> {
    /// Boots a machine that runs `script` and ends. What it prints goes to the desk's console.
    pub fn boot(&self, desk: &Desk, script: &str) -> Result<Running> {
        let console = File::create(desk.console()).context("make the console's log")?;
        let _ = fs::remove_file(desk.pid_file());
        let mut command = self.command()?;
        command.arg("--verbose");
        command.arg("--rwdir").arg(desk.dir());
        let pid_file = desk.pid_file();
        let image = desk.disk();
        let disk = self.config.machine.disk.as_ref();
        let disk = disk.map_or(Ok(String::new()), |disk| disk.make(&image))?;
        command.arg(format!(
            "--qemu-opts=-pidfile {} {} {disk}",
            pid_file.display(),
            files::qemu_options()
        ));
        command.arg("--exec").arg(script);
        command.stdin(Stdio::null());
        command.stdout(console.try_clone()?).stderr(console);
        let vng = command.spawn().context("start virtme-ng")?;
        Ok(Running {
            vng,
            pid_file,
            image,
        })
    }

    /// A shell inside, for a person at a terminal.
    pub fn shell(&self) -> Result<ExitStatus> {
        self.command()?.status().context("start virtme-ng")
    }

    fn command(&self) -> Result<Command> {
        let Machine {
            cpus, memory_mib, ..
        } = self.config.machine;
        let bin = self.config.virtme_bin()?;
        let mut command = Command::new(bin.join("vng"));
        // It starts its other programs by name, QEMU too.
        let emulator = Config::cache()?.join("emulator/bin");
        command.env("PATH", with_dirs([bin, emulator])?);
        command.arg("--run").arg(image(self.kernel)?);
        command.args(["--user", "root", "--force-9p"]);
        command.args(["--cpus", &cpus.to_string()]);
        command.args(["--memory", &format!("{memory_mib}M")]);
        for word in &self.config.machine.append {
            command.arg("--append").arg(word);
        }
        if self.engine == Engine::Emulation {
            command.arg("--disable-kvm");
        }
        Ok(command)
    }
}

/// A machine that has been booted. Dropped it is killed.
#[derive(Debug)]
pub struct Running {
    vng: Child,
    pid_file: PathBuf,
    /// Of its disk, if it has one.
    image: PathBuf,
}

impl Running {
    pub fn has_ended(&mut self) -> Result<bool> {
        let status = self.vng.try_wait().context("wait for virtme-ng")?;
        Ok(status.is_some())
    }

    fn end(&mut self) {
        if matches!(self.vng.try_wait(), Ok(Some(_))) {
            return;
        }
        // virtme-ng has a shell start QEMU and ends after it.
        match qemu(&self.pid_file) {
            Some(pid) => {
                let _ = kill_process(pid, Signal::KILL);
            }
            None => {
                let _ = self.vng.kill();
            }
        }
        let _ = self.vng.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
        // It has none, or the next machine makes another in its place.
        let _ = fs::remove_file(&self.image);
    }
}

/// Kills the machine of a desk whose host was killed.
pub fn end_left_over(desk: &Desk) {
    if let Some(pid) = qemu(&desk.pid_file()) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// QEMU's process, if it is running: a number alone may be another's by now.
fn qemu(pid_file: &Path) -> Option<Pid> {
    let number: i32 = fs::read_to_string(pid_file).ok()?.trim().parse().ok()?;
    let line = fs::read(format!("/proc/{number}/cmdline")).ok()?;
    let file = pid_file.as_os_str().as_encoded_bytes();
    let is_ours = line.split(|byte| *byte == 0).any(|word| word == file);
    is_ours.then(|| Pid::from_raw(number))?
}

/// The image of a kernel, as its package has it.
fn image(kernel: &KernelEntry) -> Result<PathBuf> {
    let boot = Config::cache()?.join(&kernel.name).join("boot");
    let images = fs::read_dir(&boot).into_iter().flatten().flatten();
    let mut images = images.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b"vmlinuz-")
    });
    images.next().with_context(|| {
        format!(
            "{} has no kernel: run 'scripts/setup kernels'",
            boot.display()
        )
    })
}

fn with_dirs(first: [PathBuf; 2]) -> Result<OsString> {
    let old = env::var_os("PATH").unwrap_or_default();
    let dirs = first.into_iter().chain(env::split_paths(&old));
    env::join_paths(dirs).context("make the search path")
}
