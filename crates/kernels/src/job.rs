//! What host and guest tell each other, as files of a directory that both see.
//!
//! The host writes the job and signs of life; the guest appends events and writes a log for each
//! test. Nothing here knows which side it is on.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::disk::Disk;

/// One test of one binary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// As nextest names its binary: package and binary.
    pub suite: String,
    pub name: String,
    pub binary: PathBuf,
    pub working_dir: PathBuf,
    pub limit_secs: u64,
}

impl Test {
    pub fn title(&self) -> String {
        format!("{} {}", self.suite, self.name)
    }
}

/// How a test came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    Passed,
    /// It can't run on this kernel, and says why.
    Skipped {
        reason: String,
    },
    /// It ended otherwise than a test should.
    Failed {
        how: String,
    },
    /// It was killed at its limit.
    TimedOut,
    /// The whole machine stood still and was killed.
    Hung,
    /// The machine ended before its turn came.
    NotRun,
}

impl Outcome {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped { .. } => "skipped",
            Self::Failed { .. } => "failed",
            Self::TimedOut => "timed out",
            Self::Hung => "hung",
            Self::NotRun => "not run",
        }
    }

    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Passed | Self::Skipped { .. })
    }

    /// What there is to say beyond the word.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Skipped { reason } => Some(reason),
            Self::Failed { how } => Some(how),
            Self::Passed | Self::TimedOut | Self::Hung | Self::NotRun => None,
        }
    }
}

/// What the guest has to do. Tests are called by their numbers from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    pub tests: Vec<(usize, Test)>,
    pub patience: u32,
    pub modules: Vec<String>,
    pub files: Files,
    pub disk: Option<Disk>,
}

/// How the guest sees the files of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Files {
    /// As virtme-ng shows them.
    #[default]
    AsTheyAre,
    /// Programs are read once; see [`crate::files`].
    KeptInMemory,
}

/// What the guest has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The guest is up, and says what kernel it has.
    Up {
        release: String,
    },
    Started {
        test: usize,
    },
    Ended {
        test: usize,
        millis: u64,
        #[serde(flatten)]
        outcome: Outcome,
    },
}

/// The directory that host and guest share.
#[derive(Debug, Clone)]
pub struct Desk {
    dir: PathBuf,
}

impl Desk {
    /// An empty one, whatever was there.
    pub fn new(dir: &Path) -> Result<Self> {
        if dir.exists() {
            fs::remove_dir_all(dir).with_context(|| format!("remove {}", dir.display()))?;
        }
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        Ok(Self::at(dir))
    }

    pub fn at(dir: &Path) -> Self {
        let dir = dir.to_owned();
        Self { dir }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn log(&self, test: usize) -> PathBuf {
        self.dir.join(format!("{test}.log"))
    }

    /// Where a test says that it can't run.
    pub fn skips(&self, test: usize) -> PathBuf {
        self.dir.join(format!("{test}.skips"))
    }

    /// What the kernel and the machine say.
    pub fn console(&self) -> PathBuf {
        self.dir.join("console.log")
    }

    /// The image of the machine's disk.
    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk.img")
    }

    pub fn pid_file(&self) -> PathBuf {
        self.dir.join("qemu.pid")
    }

    /// Hands the job over, and forgets the events of the one before.
    pub fn put_job(&self, job: &Job) -> Result<()> {
        let text = serde_json::to_string(job)?;
        File::create(self.events_file()).context("make the list of events")?;
        fs::write(self.dir.join("job.json"), text).context("write the job")
    }

    pub fn job(&self) -> Result<Job> {
        let text = fs::read_to_string(self.dir.join("job.json")).context("read the job")?;
        serde_json::from_str(&text).context("parse the job")
    }

    pub fn tell(&self, event: &Event) -> Result<()> {
        let line = format!("{}\n", serde_json::to_string(event)?);
        let mut file = OpenOptions::new()
            .append(true)
            .open(self.events_file())
            .context("open the list of events")?;
        file.write_all(line.as_bytes()).context("tell an event")
    }

    /// All events so far. A line that is not whole yet is not told.
    pub fn events(&self) -> Result<Vec<Event>> {
        let text = fs::read_to_string(self.events_file()).context("read the list of events")?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).context("parse an event"))
            .collect()
    }

    /// The host says that it is there, with another number each time.
    pub fn beat(&self, number: u64) -> Result<()> {
        fs::write(self.dir.join("host"), number.to_string()).context("say that the host is there")
    }

    pub fn last_beat(&self) -> Option<String> {
        fs::read_to_string(self.dir.join("host")).ok()
    }

    fn events_file(&self) -> PathBuf {
        self.dir.join("events")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_no_event_yet() {
        let dir = std::env::temp_dir().join(format!("kernels-desk-{}", std::process::id()));
        let desk = Desk::new(&dir).unwrap();
        let job = Job {
            tests: Vec::new(),
            patience: 3,
            modules: vec!["m".to_owned()],
            files: Files::KeptInMemory,
            disk: Some(Disk {
                mib: 64,
                on: "/var/tmp".into(),
            }),
        };
        desk.put_job(&job).unwrap();
        assert_eq!(desk.job().unwrap(), job);
        assert_eq!(desk.events().unwrap(), []);
        let ended = Event::Ended {
            test: 7,
            millis: 20,
            outcome: Outcome::Skipped {
                reason: "no ipip".to_owned(),
            },
        };
        desk.tell(&Event::Started { test: 7 }).unwrap();
        desk.tell(&ended).unwrap();
        let mut file = OpenOptions::new()
            .append(true)
            .open(dir.join("events"))
            .unwrap();
        file.write_all(b"{\"event\":\"sta").unwrap();
        let events = desk.events().unwrap();
        assert_eq!(events, [Event::Started { test: 7 }, ended]);
        fs::remove_dir_all(dir).unwrap();
    }
}
