//! As much of the protocol buffers' wire format as the calls of [`crate::cri`] need: numbers and
//! byte strings, by field number (protobuf.dev, "Encoding").

/// Kinds of fields on the wire.
const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

/// A message being written.
#[derive(Debug, Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3 | VARINT);
        self.varint(value);
        self
    }

    pub fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub fn texts(self, field: u64, texts: &[&str]) -> Self {
        texts
            .iter()
            .fold(self, |message, text| message.text(field, text))
    }

    pub fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | LENGTH_DELIMITED);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}

/// The first byte string of that field number, None without one.
pub fn field(mut message: &[u8], number: u64) -> Option<&[u8]> {
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        let value = take_varint(&mut message)?;
        if key & 7 == LENGTH_DELIMITED {
            let (bytes, rest) = message.split_at_checked(usize::try_from(value).ok()?)?;
            if key >> 3 == number {
                return Some(bytes);
            }
            message = rest;
        }
    }
    None
}

pub fn text_field(message: &[u8], number: u64) -> Option<String> {
    field(message, number).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
