//! Kernel parameters of the calling thread's namespace, by their path below `/proc/sys`.

use std::fs::OpenOptions;
use std::io::{Read, Write};

use rustix::io::Errno;

/// The longest value read, in bytes: ours are numbers.
const VALUE_BYTES: usize = 256;

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// # Errors
/// What open(2) or write(2) says: ENOENT for an unknown parameter.
pub fn write(path: &str, value: &str) -> Result<(), Errno> {
    OpenOptions::new()
        .write(true)
        .open(format!("/proc/sys/{path}"))
        .and_then(|mut file| file.write_all(value.as_bytes()))
        .map_err(|error| errno(&error))
}

/// The value without its line end; `None` for a parameter that does not exist.
///
/// # Errors
/// What open(2) or read(2) says otherwise.
pub fn read(path: &str) -> Result<Option<String>, Errno> {
    let mut value = [0; VALUE_BYTES];
    let read = OpenOptions::new()
        .read(true)
        .open(format!("/proc/sys/{path}"))
        .and_then(|mut file| file.read(&mut value));
    match read.map_err(|error| errno(&error)) {
        Ok(len) => Ok(Some(
            String::from_utf8_lossy(&value[..len]).trim_end().to_owned(),
        )),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}
