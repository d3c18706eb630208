//! `pontoon-names`: answers for the names of containers. Not for people to call: an attach starts
//! it, and `pontoon names serve` becomes it.

use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use names::{READY, Stay, serve};

/// How long one that was started waits for another to show itself as the one.
const OTHERS: Duration = Duration::from_millis(300);
/// A service that is to be up while another one runs: as in 'pontoon --help'.
const BUSY: u8 = 7;
const OTHER: u8 = 1;

struct Task {
    stay: Stay,
    dir: PathBuf,
    wait: Duration,
}

fn main() -> ExitCode {
    let Some(task) = parse() else {
        say("pontoon-names is started by 'pontoon attach' and 'pontoon names serve'");
        return ExitCode::from(2);
    };
    if task.stay == Stay::WhileUsed {
        stand_alone();
    }
    let waits_for_us = Cell::new(task.stay == Stay::WhileUsed);
    let ready = || {
        if waits_for_us.replace(false) {
            // Who started us may be gone already.
            let _ = std::io::stdout().lock().write_all(READY.as_bytes());
        }
    };
    let tell = |complaint: &names::Complaint| {
        if waits_for_us.get() {
            let _ = writeln!(std::io::stdout().lock(), "{complaint}");
        }
        say(&complaint.to_string());
    };
    match serve(&task.dir, task.stay, task.wait, &tell, &ready) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let busy = error.is_busy();
            let error = anyhow::Error::from(error);
            say(&format!("{error:#}"));
            ExitCode::from(if busy { BUSY } else { OTHER })
        }
    }
}

/// `while-used DIR`, or `always DIR SECONDS`.
fn parse() -> Option<Task> {
    let mut words = std::env::args_os().skip(1);
    let verb = words.next()?;
    let dir = PathBuf::from(words.next()?);
    let (stay, wait) = match verb.to_str()? {
        "while-used" => (Stay::WhileUsed, OTHERS),
        "always" => {
            let secs = words.next()?.to_str()?.parse().ok()?;
            (Stay::Always, Duration::from_secs(secs))
        }
        _ => return None,
    };
    words.next().is_none().then_some(Task { stay, dir, wait })
}

fn say(text: &str) {
    // Where standard error is closed, 'pontoon names' still tells.
    let _ = writeln!(std::io::stderr().lock(), "pontoon-names: {text}");
}

/// Whoever attached may end, be stopped with all of its processes, or wait for its descriptors to
/// be closed: none of it concerns us.
fn stand_alone() {
    sandbox::close_inherited();
    let _ = names::own_session();
    leave_control_groups();
}

/// Moves to the root of each hierarchy of control groups that lets us (cgroups(7)). A service
/// manager that ends a service, or a container, ends what is in its group.
fn leave_control_groups() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in mounts.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else {
            continue;
        };
        let mut fields = mount.split(' ').skip(3);
        if let (Some("/"), Some(on)) = (fields.next(), fields.next())
            && kind.starts_with("cgroup")
        {
            // One that is not ours to write leaves us where we are.
            let file = PathBuf::from(on).join("cgroup.procs");
            let opened = fs::OpenOptions::new().write(true).open(file);
            let _ = opened.and_then(|mut file| file.write_all(b"0"));
        }
    }
}
