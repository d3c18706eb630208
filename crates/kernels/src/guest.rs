//! Inside the virtual machine: the tests of a job, one after the other, each in a process group.
//!
//! The machine is thrown away afterwards, so nothing is tidied up here. It ends by itself when the
//! host is not there any more.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper, wait,
};

use crate::disk::DRIVER;
use crate::files;
use crate::job::{Desk, Event, Files, Job, Outcome, Test};

/// Between two looks whether a test has ended.
const PAUSE: Duration = Duration::from_millis(50);
/// How often what a test has left is killed before it is taken to be immortal.
const LEFT_OVER_ROUNDS: usize = 200;
/// How long the host may be silent. It beats every second.
const HOST_BOUND: Duration = Duration::from_secs(120);
/// How testnet learns by how much waits are to be longer.
const PATIENCE_VARIABLE: &str = "PONTOON_TEST_PATIENCE";
/// Where testnet writes the reason of a test that can't run.
const SKIPS_VARIABLE: &str = "PONTOON_TEST_SKIPS";

/// Does the job that lies on the desk.
pub fn work(dir: &Path) -> Result<()> {
    let desk = Desk::at(dir);
    let job = desk.job()?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("read the release")?;
    desk.tell(&Event::Up {
        release: release.trim().to_owned(),
    })?;
    for module in &job.modules {
        load(module)?;
    }
    if let Some(disk) = &job.disk {
        load(DRIVER)?;
        disk.mount()?;
    }
    match job.files {
        Files::KeptInMemory => files::keep_in_memory(&job.tests)?,
        Files::AsTheyAre => {}
    }
    // What tests leave to process 1 comes here: virtme-ng's does not wait for what is not its own.
    set_child_subreaper(Some(getpid())).context("take in what tests leave")?;
    let mut host = Host::new();
    for (number, test) in &job.tests {
        desk.tell(&Event::Started { test: *number })?;
        let begun = Instant::now();
        let outcome = run(&desk, &job, (*number, test), &mut host)?;
        let millis = begun.elapsed().as_millis().try_into()?;
        desk.tell(&Event::Ended {
            test: *number,
            millis,
            outcome,
        })?;
    }
    Ok(())
}

fn load(module: &str) -> Result<()> {
    let status = Command::new("modprobe").arg(module).status();
    let status = status.context("start modprobe")?;
    ensure!(status.success(), "modprobe {module}: {status}");
    Ok(())
}

fn run(desk: &Desk, job: &Job, (number, test): (usize, &Test), host: &mut Host) -> Result<Outcome> {
    let log = File::create(desk.log(number)).context("make a log")?;
    let started = Command::new(&test.binary)
        .args(["--exact", &test.name, "--nocapture"])
        .current_dir(&test.working_dir)
        .env(PATIENCE_VARIABLE, job.patience.to_string())
        .env(SKIPS_VARIABLE, desk.skips(number))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            let how = format!("cannot start {}: {error}", test.binary.display());
            return Ok(Outcome::Failed { how });
        }
    };
    let deadline = Instant::now() + Duration::from_secs(test.limit_secs);
    let status = loop {
        if let Some(status) = ended(&child)? {
            break status;
        }
        if Instant::now() > deadline {
            kill(&mut child);
            kill_left_over()?;
            return Ok(Outcome::TimedOut);
        }
        if host.is_gone(desk) {
            kill(&mut child);
            bail!("the host has been silent for {HOST_BOUND:?}");
        }
        thread::sleep(PAUSE);
    };
    // What it has left behind must not disturb the next.
    kill(&mut child);
    kill_left_over()?;
    Ok(judge(status, reason_to_skip(&desk.skips(number))))
}

/// A test that says it can't run, and then fails, has failed.
fn judge(status: ExitStatus, skipped: Option<String>) -> Outcome {
    match (status.code(), skipped) {
        (Some(0), None) => Outcome::Passed,
        (Some(0), Some(reason)) => Outcome::Skipped { reason },
        (Some(code), _) => Outcome::Failed {
            how: format!("exit code {code}"),
        },
        (None, _) => Outcome::Failed {
            how: format!("signal {}", status.signal().unwrap_or_default()),
        },
    }
}

/// Lines of test and reason, as testnet writes them.
fn reason_to_skip(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().next()?;
    let reason = line.split_once('\t').map_or(line, |(_, reason)| reason);
    Some(reason.to_owned())
}

/// How the child has ended, if it has. Whoever else has ended is let go.
fn ended(child: &Child) -> Result<Option<ExitStatus>> {
    let child = Pid::from_raw(child.id().cast_signed());
    while let Some((pid, status)) = wait(WaitOptions::NOHANG).context("wait for a test")? {
        if Some(pid) == child {
            return Ok(Some(ExitStatus::from_raw(status.as_raw())));
        }
    }
    Ok(None)
}

/// Ends processes that a test has left: each one's own are this one's as soon as it is gone.
fn kill_left_over() -> Result<()> {
    let list = format!("/proc/self/task/{}/children", getpid());
    for _ in 0..LEFT_OVER_ROUNDS {
        let left = fs::read_to_string(&list).context("list what a test has left")?;
        let left = left.split_whitespace().filter_map(|pid| pid.parse().ok());
        let left: Vec<Pid> = left.filter_map(Pid::from_raw).collect();
        if left.is_empty() {
            return Ok(());
        }
        for pid in left {
            // Gone already is as good as killed.
            let _ = kill_process(pid, Signal::KILL);
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        thread::sleep(PAUSE);
    }
    bail!("what a test has left can't be killed")
}

fn kill(child: &mut Child) {
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        // Gone already is as good as killed.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// What is known of the host.
struct Host {
    last_beat: Option<String>,
    heard: Instant,
}

impl Host {
    fn new() -> Self {
        Self {
            last_beat: None,
            heard: Instant::now(),
        }
    }

    fn is_gone(&mut self, desk: &Desk) -> bool {
        let beat = desk.last_beat();
        if beat != self.last_beat {
            self.last_beat = beat;
            self.heard = Instant::now();
        }
        self.heard.elapsed() > HOST_BOUND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(wait_status: i32) -> ExitStatus {
        ExitStatus::from_raw(wait_status)
    }

    #[test]
    fn only_a_test_that_ends_well_has_passed_or_can_be_skipped() {
        assert_eq!(judge(status(0), None), Outcome::Passed);
        let reason = || "no ipip".to_owned();
        let skipped = Outcome::Skipped { reason: reason() };
        assert_eq!(judge(status(0), Some(reason())), skipped);
        for skipped in [None, Some(reason())] {
            assert!(judge(status(101 << 8), skipped.clone()).is_failure());
            assert!(judge(status(9), skipped).is_failure());
        }
    }
}
