//! What the agent leaves beside the records for `pontoon status` to read: whom it asks, when it
//! last agreed with the cluster, and what is in the way. Not a record: nothing depends on it.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

const FILE: &str = "agent.json";
const NEW_FILE: &str = "agent.json.new";

/// How the agent is, or was when it ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// The cluster's address, as given.
    pub cluster: String,
    /// When it last agreed with the cluster, in seconds since 1970.
    pub synced_at: Option<u64>,
    pub trouble: Option<Trouble>,
    /// Records of the cluster, or parts of them, that are not believed, and why.
    #[serde(default)]
    pub left_out: Vec<String>,
}

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub message: String,
    /// In seconds since 1970.
    pub since: u64,
}

impl Report {
    /// After a look at `now`, with what went wrong in it.
    pub fn looked(&mut self, fault: Option<String>, agreed: bool, now: u64) {
        if agreed {
            self.synced_at = Some(now);
        }
        let since = match (&self.trouble, &fault) {
            (Some(old), Some(message)) if old.message == *message => old.since,
            _ => now,
        };
        self.trouble = fault.map(|message| Trouble { message, since });
    }

    /// Writes it whole: no reader ever sees half of it.
    pub fn write(&self, state_dir: &Path) -> io::Result<()> {
        let new = state_dir.join(NEW_FILE);
        fs::write(&new, serde_json::to_string_pretty(self)?)?;
        fs::rename(new, state_dir.join(FILE))
    }
}

/// What an agent last left here; `None` where none ever ran.
pub fn read_report(state_dir: &Path) -> Option<Report> {
    let text = fs::read_to_string(state_dir.join(FILE)).ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_has_its_beginning_and_its_end() {
        let mut report = Report::default();
        report.looked(None, true, 100);
        assert_eq!((report.synced_at, &report.trouble), (Some(100), &None));
        report.looked(Some("away".to_owned()), false, 110);
        report.looked(Some("away".to_owned()), false, 120);
        assert_eq!(report.trouble.as_ref().unwrap().since, 110);
        report.looked(Some("denied".to_owned()), false, 130);
        assert_eq!(report.trouble.as_ref().unwrap().since, 130);
        report.looked(None, true, 140);
        assert_eq!((report.synced_at, &report.trouble), (Some(140), &None));
    }
}
