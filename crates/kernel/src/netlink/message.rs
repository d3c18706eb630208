//! Messages and attributes.

use std::ffi::CStr;

/// Bytes of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
/// Messages and attributes start at multiples of this (`NLMSG_ALIGNTO`, `NLA_ALIGNTO`).
const ALIGN: usize = 4;
/// Bytes of `struct nlattr`.
const ATTR_HEADER: usize = 4;
/// `NLA_F_NESTED`, and the mask that takes the flags off an attribute's type.
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;

fn align(len: usize) -> usize {
    len.next_multiple_of(ALIGN)
}

/// A message under construction. Integers are in the byte order that the caller wrote.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A message of this type with these `NLM_F_` flags, then the family's own fixed header.
    pub fn new(kind: u16, flags: u16, family_header: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(family_header);
        bytes.resize(align(bytes.len()), 0);
        Self { bytes }
    }

    /// Appends an attribute. `data` above 65,531 bytes can't be expressed and is cut; no caller
    /// comes near.
    pub fn attr(&mut self, kind: u16, data: &[u8]) -> &mut Self {
        let room = usize::from(u16::MAX) - ATTR_HEADER;
        let data = &data[..data.len().min(room)];
        let len = (ATTR_HEADER + data.len()) as u16;
        self.bytes.extend_from_slice(&len.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(data);
        self.bytes.resize(align(self.bytes.len()), 0);
        self
    }

    /// Appends a text attribute with its closing NUL.
    pub fn attr_str(&mut self, kind: u16, text: &str) -> &mut Self {
        let mut data = text.as_bytes().to_vec();
        data.push(0);
        self.attr(kind, &data)
    }

    /// Appends raw bytes, as the fixed part of a nested attribute.
    pub fn raw(&mut self, data: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(data);
        self.bytes.resize(align(self.bytes.len()), 0);
        self
    }

    /// Appends an attribute whose content `fill` appends.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&(kind | NESTED).to_ne_bytes());
        fill(self);
        let len = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self
    }

    /// The bytes to send, with their length and this sequence number filled in.
    pub(super) fn finish(mut self, seq: u32, extra_flags: u16) -> Vec<u8> {
        let len = self.bytes.len() as u32;
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | extra_flags;
        self.bytes[0..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&seq.to_ne_bytes());
        self.bytes
    }
}

/// The attributes in a stretch of bytes. Ends at the first malformed one.
#[derive(Debug, Clone, Copy)]
pub struct Attrs<'a>(&'a [u8]);

impl<'a> Attrs<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The attributes behind a fixed header of `len` bytes.
    pub fn behind(payload: &'a [u8], len: usize) -> Self {
        Self(payload.get(align(len)..).unwrap_or_default())
    }

    /// The data of the first attribute of this type.
    pub fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.into_iter()
            .find(|(k, _)| *k == kind)
            .map(|(_, data)| data)
    }

    /// The attributes nested in the first attribute of this type; none where it is missing.
    pub fn nested(self, kind: u16) -> Attrs<'a> {
        Attrs(self.get(kind).unwrap_or_default())
    }

    /// The text of the first attribute of this type, up to its first NUL.
    pub fn text(self, kind: u16) -> Option<&'a str> {
        self.get(kind).and_then(c_string)
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let len = usize::from(read_u16(self.0)?);
        let kind = read_u16(self.0.get(2..)?)? & TYPE_MASK;
        let data = self.0.get(ATTR_HEADER..len)?;
        self.0 = self.0.get(align(len)..).unwrap_or_default();
        Some((kind, data))
    }
}

/// The first two bytes, in the machine's byte order.
pub fn read_u16(bytes: &[u8]) -> Option<u16> {
    bytes.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

/// The first four bytes, in the machine's byte order.
pub fn read_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

/// The text up to the first NUL, or all of it.
pub fn c_string(bytes: &[u8]) -> Option<&str> {
    match CStr::from_bytes_until_nul(bytes) {
        Ok(text) => text.to_str().ok(),
        Err(_) => std::str::from_utf8(bytes).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nested_attributes_read_back() {
        let mut message = Message::new(16, 0, &[0; 16]);
        message.attr_str(3, "eth0").nest(18, |m| {
            m.attr_str(1, "veth").attr(2, &[1, 2, 3]);
        });
        let bytes = message.finish(1, 0);
        let attrs = Attrs::behind(&bytes[HEADER..], 16);
        assert_eq!(attrs.text(3), Some("eth0"));
        assert_eq!(attrs.nested(18).text(1), Some("veth"));
        assert_eq!(attrs.nested(18).get(2), Some(&[1, 2, 3][..]));
        assert_eq!(attrs.get(99), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            for (kind, data) in Attrs::new(&bytes) {
                let _ = (kind, Attrs::new(data).count());
            }
        }
    }
}
