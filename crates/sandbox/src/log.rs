//! What a detached container writes, kept: two files of a bounded size, the older one replaced.
//!
//! Each entry is a line `MILLISECONDS STREAM TEXT`; the stream is `o` or `e`, in capitals where
//! the text does not end a line. What can't be written (a full disk) is dropped and counted: a
//! container is never made to wait for its log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::place::Home;

const FILE: &str = "log";
const OLDER: &str = "log.1";
/// Of each of the two files, in bytes.
const MAX: u64 = 1 << 20;
/// The longest text in one entry: longer lines are kept in parts.
const TEXT_MAX: usize = 16_384;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Output,
    Error,
}

/// Where a supervisor writes.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    older: PathBuf,
    file: Option<File>,
    size: u64,
    dropped: u64,
}

impl Log {
    pub fn new(home: &Home) -> Self {
        Self {
            path: home.file(FILE),
            older: home.file(OLDER),
            file: None,
            size: 0,
            dropped: 0,
        }
    }

    /// Keeps what a stream has said.
    pub fn write(&mut self, stream: Stream, said: &[u8]) {
        let millis = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let mut entries = Vec::with_capacity(said.len() + 32);
        for part in parts(said) {
            append(&mut entries, millis, stream, part);
        }
        if self.dropped > 0 {
            let note = format!("[{} bytes of this log could not be kept]\n", self.dropped);
            append(&mut entries, millis, Stream::Error, note.as_bytes());
        }
        match self.keep(&entries) {
            Ok(()) => self.dropped = 0,
            Err(_) => self.dropped += said.len() as u64,
        }
    }

    fn keep(&mut self, entries: &[u8]) -> io::Result<()> {
        if self.size > MAX {
            self.file = None;
            fs::rename(&self.path, &self.older)?;
            self.size = 0;
        }
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            self.file = Some(
                options
                    .create(true)
                    .append(true)
                    .mode(0o600)
                    .open(&self.path)?,
            );
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let before = self.size;
        let written = file.write_all(entries);
        match written {
            Ok(()) => self.size += entries.len() as u64,
            // No entry stays behind by halves.
            Err(_) => file.set_len(before)?,
        }
        written
    }
}

/// Lines, and long ones in parts.
fn parts(said: &[u8]) -> impl Iterator<Item = &[u8]> {
    said.split_inclusive(|byte| *byte == b'\n')
        .flat_map(|line| line.chunks(TEXT_MAX))
}

fn append(entries: &mut Vec<u8>, millis: u128, stream: Stream, part: &[u8]) {
    let whole = part.ends_with(b"\n");
    let mark = match (stream, whole) {
        (Stream::Output, true) => 'o',
        (Stream::Error, true) => 'e',
        (Stream::Output, false) => 'O',
        (Stream::Error, false) => 'E',
    };
    entries.extend(format!("{millis} {mark} ").as_bytes());
    entries.extend(part);
    if !whole {
        entries.push(b'\n');
    }
}

/// One entry as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub millis: u64,
    pub stream: Stream,
    /// With the end of its line, where it had one.
    pub text: Vec<u8>,
}

/// Reads a log from where it was left.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    older: PathBuf,
    /// Bytes of the newer file that are read.
    at: u64,
    /// The number of the newer file's inode: another one after the files were changed over.
    inode: Option<u64>,
}

impl Reader {
    pub fn new(home: &Home) -> Self {
        Self {
            path: home.file(FILE),
            older: home.file(OLDER),
            at: 0,
            inode: None,
        }
    }

    /// All entries since the last call.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn entries(&mut self) -> io::Result<Vec<Entry>> {
        use std::os::unix::fs::MetadataExt;
        let mut bytes = Vec::new();
        let inode = match fs::metadata(&self.path) {
            Ok(meta) => meta.ino(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if self.inode != Some(inode) {
            // What was the newer file is the older one now, read up to `at`; at first, not at all.
            bytes.extend(read_from(&self.older, self.at)?);
            (self.at, self.inode) = (0, Some(inode));
        }
        let newer = read_from(&self.path, self.at)?;
        let whole = newer
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        self.at += whole as u64;
        bytes.extend(&newer[..whole]);
        Ok(parse(&bytes))
    }
}

fn read_from(path: &PathBuf, at: u64) -> io::Result<Vec<u8>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let at = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    Ok(bytes[at..].to_vec())
}

/// Entries; a line that is none was cut by a crash, and is left out.
fn parse(bytes: &[u8]) -> Vec<Entry> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .filter_map(parse_entry)
        .collect()
}

fn parse_entry(line: &[u8]) -> Option<Entry> {
    let blank = line.iter().position(|byte| *byte == b' ')?;
    let millis = std::str::from_utf8(&line[..blank]).ok()?.parse().ok()?;
    let mark = *line.get(blank + 1)?;
    let mut text = line.get(blank + 3..)?.to_vec();
    if mark.is_ascii_uppercase() {
        text.pop();
    }
    let stream = match mark.to_ascii_lowercase() {
        b'o' => Stream::Output,
        b'e' => Stream::Error,
        _ => return None,
    };
    Some(Entry {
        millis,
        stream,
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(name: &str) -> Home {
        let dir = std::env::temp_dir().join(format!("pontoon-log-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Home::at(dir)
    }

    fn text(entries: &[Entry]) -> Vec<u8> {
        entries
            .iter()
            .flat_map(|entry| entry.text.clone())
            .collect()
    }

    #[test]
    fn what_was_said_is_read_back_byte_for_byte() {
        let home = home("bytes");
        let mut log = Log::new(&home);
        let said = [
            b"one\ntwo\0\xff".to_vec(),
            b"\n".to_vec(),
            vec![b'x'; 40_000],
            b"\nend".to_vec(),
        ];
        for said in &said {
            log.write(Stream::Output, said);
        }
        let mut reader = Reader::new(&home);
        assert_eq!(text(&reader.entries().unwrap()), said.concat());
        log.write(Stream::Error, b"later\n");
        let later = reader.entries().unwrap();
        assert_eq!((later.len(), later[0].stream), (1, Stream::Error));
        assert!(reader.entries().unwrap().is_empty());
        home.remove().unwrap();
    }

    #[test]
    fn a_log_takes_no_more_than_two_files() {
        let home = home("bound");
        let mut log = Log::new(&home);
        let mut reader = Reader::new(&home);
        let line = [[b'y'; 1023].as_slice(), b"\n"].concat();
        let mut followed = 0;
        for _ in 0..4096 {
            log.write(Stream::Output, &line);
            followed += reader.entries().unwrap().len();
        }
        let size = |name| fs::metadata(home.file(name)).unwrap().len();
        assert!(size(FILE) + size(OLDER) < 2 * (MAX + 32_768));
        assert_eq!(followed, 4096, "a reader that keeps up misses nothing");
        let kept = Reader::new(&home).entries().unwrap().len();
        assert!((1000..3000).contains(&kept), "{kept}");
        home.remove().unwrap();
    }
}
