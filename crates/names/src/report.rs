//! What the server leaves beside the records for `pontoon names` to read. Not a record: nothing
//! depends on it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

const FILE: &str = "names.json";
const NEW_FILE: &str = "names.json.new";

/// How a server is, or was when it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its process.
    pub pid: u32,
    /// Questions that were not answered because there were too many, by who asked.
    pub refused: BTreeMap<IpAddr, u64>,
}

impl Report {
    /// Writes it whole: no reader ever sees half of it.
    pub(crate) fn write(&self, state_dir: &Path) -> io::Result<()> {
        let new = state_dir.join(NEW_FILE);
        fs::write(&new, serde_json::to_string(self)?)?;
        fs::rename(new, state_dir.join(FILE))
    }
}

/// What the last server that had to refuse questions says.
pub fn read_report(state_dir: &Path) -> Option<Report> {
    let text = fs::read_to_string(state_dir.join(FILE)).ok()?;
    serde_json::from_str(&text).ok()
}
