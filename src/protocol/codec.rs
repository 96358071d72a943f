//! Reading and writing the fields of a payload. A read past the end is `None`, and never a panic.

use byteorder::{BigEndian, ByteOrder};

/// A cursor over a payload.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Reader { rest: payload }
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn bool(&mut self) -> Option<bool> {
        self.take(1).map(|bytes| bytes[0] != 0)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2).map(BigEndian::read_u16)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4).map(BigEndian::read_u32)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8).map(BigEndian::read_u64)
    }

    /// A length and that many bytes of UTF-8.
    pub(super) fn str(&mut self) -> Option<&'a str> {
        let len = self.u16()?;
        std::str::from_utf8(self.take(len.into())?).ok()
    }

    /// Everything that has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

pub(super) fn put_bool(out: &mut Vec<u8>, value: bool) {
    out.push(value.into());
}

pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    let mut bytes = [0; 2];
    BigEndian::write_u16(&mut bytes, value);
    out.extend_from_slice(&bytes);
}

pub(super) fn put_u32(out: &mut Vec<u8>, value: u32) {
    let mut bytes = [0; 4];
    BigEndian::write_u32(&mut bytes, value);
    out.extend_from_slice(&bytes);
}

pub(super) fn put_u64(out: &mut Vec<u8>, value: u64) {
    let mut bytes = [0; 8];
    BigEndian::write_u64(&mut bytes, value);
    out.extend_from_slice(&bytes);
}

/// A length and the bytes. A string over 65,535 bytes gets a length that lies, so the caller must
/// see to it that the payload as a whole is refused: it is over its own limit then, too.
pub(super) fn put_str(out: &mut Vec<u8>, value: &str) {
    put_u16(out, value.len() as u16);
    out.extend_from_slice(value.as_bytes());
}
