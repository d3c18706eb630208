//! Reading one request, within bounds.

use std::io::{self, Read};
use std::time::Instant;

use httparse::{EMPTY_HEADER, Request, Status};

/// Line and header fields together; what Prometheus and curl send is a tenth of it.
const BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    /// Without what follows a question mark.
    pub path: String,
}

/// Why nothing was asked.
#[derive(Debug)]
pub enum Unread {
    /// Too slow, or gone.
    Left,
    Malformed,
    TooLong,
    /// No question here has more than its first lines.
    HasBody,
}

/// A connection that a read can be bounded on.
pub trait Bounded: Read {
    /// # Errors
    /// What the kernel says, or that the deadline has passed.
    fn read_until(&self, deadline: Instant) -> io::Result<()>;
}

/// Reads up to the end of the header fields.
pub fn read(stream: &mut impl Bounded, deadline: Instant) -> Result<Asked, Unread> {
    let mut bytes = Vec::new();
    loop {
        if let Some(asked) = parse(&bytes)? {
            return Ok(asked);
        }
        if bytes.len() >= BYTES_MAX {
            return Err(Unread::TooLong);
        }
        stream.read_until(deadline).map_err(|_| Unread::Left)?;
        let mut more = [0; 1024];
        match stream.read(&mut more) {
            Ok(0) => return Err(Unread::Left),
            Ok(len) => bytes.extend_from_slice(&more[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Unread::Left),
        }
    }
}

/// `None` for what is not whole yet.
fn parse(bytes: &[u8]) -> Result<Option<Asked>, Unread> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Unread::TooLong),
        Err(_) => return Err(Unread::Malformed),
    }
    let has_body = request.headers.iter().any(|header| {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        is("transfer-encoding") || (is("content-length") && header.value != b"0")
    });
    if has_body {
        return Err(Unread::HasBody);
    }
    let method = request.method.ok_or(Unread::Malformed)?;
    let target = request.path.ok_or(Unread::Malformed)?;
    let path = target.split('?').next().unwrap_or(target);
    Ok(Some(Asked {
        method: method.to_owned(),
        path: path.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_its_method_and_path() {
        let asked = parse(b"GET /metrics?x=1 HTTP/1.1\r\nHost: agent\r\n\r\n").unwrap();
        let asked = asked.unwrap();
        assert_eq!(
            (asked.method.as_str(), asked.path.as_str()),
            ("GET", "/metrics")
        );
        assert!(parse(b"GET /metrics HTTP/1.1\r\nHost").unwrap().is_none());
        let empty = b"POST /resync HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        assert!(parse(empty).unwrap().is_some());
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for (bytes, why) in [
            (&b"\x16\x03\x01\x02\x00"[..], "Malformed"),
            (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", "HasBody"),
            (
                b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "HasBody",
            ),
            (b"GET\0 / HTTP/1.1\r\n\r\n", "Malformed"),
        ] {
            let said = format!("{:?}", parse(bytes).unwrap_err());
            assert_eq!(said, why, "{}", bytes.escape_ascii());
        }
        let many = "A: b\r\n".repeat(HEADERS_MAX + 1);
        let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
        assert!(matches!(parse(many.as_bytes()), Err(Unread::TooLong)));
    }

    impl Bounded for &[u8] {
        fn read_until(&self, _: Instant) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_without_end_ends() {
        let line = vec![b'a'; BYTES_MAX * 2];
        let outcome = read(&mut &line[..], Instant::now());
        assert!(matches!(outcome, Err(Unread::TooLong)));
    }
}
