//! What is being done, on standard error while a person looks.

use std::io::{IsTerminal, Write, stderr};

pub fn progress(text: &str) {
    if stderr().is_terminal() {
        // Back to the first column, and clear what was there.
        let _ = write!(stderr(), "\r\x1b[K{text}");
    }
}
