//! Reading and writing the fields of a payload. A read past the end is `None`, and never a panic.

use crate::{KeyId, UserId, VoiceToken};
use alloc::vec::Vec;
use byteorder::{BigEndian, ByteOrder};

/// A cursor over a payload.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(payload: &'a [u8]) -> Self {
        Reader { rest: payload }
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    /// Everything that has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// A kind of field.
pub(crate) trait Field<'a>: Sized {
    /// Reads one, if it is whole and what it should be.
    fn read(reader: &mut Reader<'a>) -> Option<Self>;

    fn put(&self, out: &mut Vec<u8>);
}

impl Field<'_> for bool {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.take(1).map(|bytes| bytes[0] != 0)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push((*self).into());
    }
}

impl Field<'_> for u8 {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.take(1).map(|bytes| bytes[0])
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }
}

impl Field<'_> for u16 {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.take(2).map(BigEndian::read_u16)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Field<'_> for u32 {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.take(4).map(BigEndian::read_u32)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Field<'_> for u64 {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.take(8).map(BigEndian::read_u64)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
}

impl Field<'_> for KeyId {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        u32::read(reader).map(KeyId)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}

impl Field<'_> for UserId {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        u64::read(reader).map(UserId)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}

impl Field<'_> for VoiceToken {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        u64::read(reader).map(VoiceToken)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}

/// A length and that many bytes of UTF-8. A string over 65,535 bytes gets a length that lies when it is
/// written: the payload as a whole is over its own limit then, and refused.
impl<'a> Field<'a> for &'a str {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let len = u16::read(reader)?;
        core::str::from_utf8(reader.take(len.into())?).ok()
    }

    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u16).put(out);
        out.extend_from_slice(self.as_bytes());
    }
}

/// All the rest of the payload.
impl<'a> Field<'a> for &'a [u8] {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        reader.take(reader.rest.len())
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}
