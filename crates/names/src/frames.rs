//! Messages over TCP, each behind its length (RFC 1035 section 4.2.2), on sockets that never wait.

use std::io::{self, ErrorKind, Read, Write};

/// Bytes of a length.
const LENGTH: usize = 2;
/// How much is read at once, in bytes.
const CHUNK: usize = 4096;

/// What has come and is not whole yet, and what has yet to go.
#[derive(Debug)]
pub struct Frames {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// How much of `outgoing` is gone.
    gone: usize,
    /// The longest message taken, in bytes.
    longest: usize,
}

/// How a read went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Open,
    /// The other side says nothing more.
    Ended,
}

impl Frames {
    pub fn new(longest: usize) -> Self {
        Self {
            incoming: Vec::new(),
            outgoing: Vec::new(),
            gone: 0,
            longest,
        }
    }

    /// Takes what there is, no more than a message's worth: the rest waits in the kernel.
    ///
    /// # Errors
    /// A connection that broke; a message longer than taken.
    pub fn read(&mut self, stream: &mut impl Read) -> io::Result<Flow> {
        let mut chunk = [0; CHUNK];
        while self.incoming.len() < LENGTH + self.longest {
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(Flow::Ended),
                Ok(n) => self.incoming.extend(chunk.iter().take(n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        match self.length() {
            Some(length) if length > self.longest => Err(ErrorKind::InvalidData.into()),
            _ => Ok(Flow::Open),
        }
    }

    fn length(&self) -> Option<usize> {
        let length = self.incoming.first_chunk::<LENGTH>()?;
        Some(u16::from_be_bytes(*length).into())
    }

    /// The next whole message.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let end = LENGTH + self.length()?;
        if self.incoming.len() < end {
            return None;
        }
        let message = self.incoming.get(LENGTH..end)?.to_vec();
        self.incoming.drain(..end);
        Some(message)
    }

    /// Puts a message in line. One that no length can say is left out: none is made so long.
    pub fn push(&mut self, message: &[u8]) {
        if let Ok(length) = u16::try_from(message.len()) {
            self.outgoing.extend(length.to_be_bytes());
            self.outgoing.extend(message);
        }
    }

    /// Gives the kernel what it takes.
    ///
    /// # Errors
    /// A connection that broke.
    pub fn write(&mut self, stream: &mut impl Write) -> io::Result<()> {
        while self.has_more() {
            match stream.write(&self.outgoing[self.gone..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.gone += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outgoing.clear();
        self.gone = 0;
        Ok(())
    }

    /// Whether something has yet to go.
    pub fn has_more(&self) -> bool {
        self.gone < self.outgoing.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A stream that gives so many bytes each time, and has nothing after them.
    struct Drip<'b>(&'b [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            let n = self.1.min(self.0.len()).min(into.len());
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            step in 1_usize..500,
        ) {
            let mut out = Frames::new(300);
            for message in &messages {
                out.push(message);
            }
            let mut wire = Vec::new();
            out.write(&mut wire).unwrap();
            prop_assert!(!out.has_more());
            let (mut into, mut drip) = (Frames::new(300), Drip(&wire, step));
            let mut seen = Vec::new();
            while seen.len() < messages.len() {
                prop_assert_eq!(into.read(&mut drip).unwrap(), Flow::Open);
                while let Some(message) = into.take() {
                    seen.push(message);
                }
            }
            prop_assert_eq!(seen, messages);
        }
    }

    #[test]
    fn a_message_that_is_too_long_breaks_the_connection() {
        let wire = [[1, 45].as_slice(), &[0; 301]].concat();
        let mut frames = Frames::new(300);
        assert!(frames.read(&mut Drip(&wire, 400)).is_err());
    }

    #[test]
    fn an_end_is_told() {
        let mut frames = Frames::new(300);
        assert_eq!(frames.read(&mut [0_u8; 0].as_slice()).unwrap(), Flow::Ended);
    }
}
