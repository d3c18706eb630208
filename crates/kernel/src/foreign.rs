//! Others' rules as nft(8) lists them, where it is installed: they are for people, and never for us
//! to judge by.

use std::process::Command;

/// What `nft` prints for these words about something; `None` where it does not, and for a name that
/// it would take for more than a name: it makes one command of its arguments, and a container may
/// call its tables what it likes.
pub fn listed<const N: usize>(words: &[&str], about: [&str; N]) -> Option<String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if !about.iter().all(|name| name.bytes().all(is_plain)) {
        return None;
    }
    let out = Command::new("nft").args(words).args(about).output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    out.status.success().then_some(text)
}
