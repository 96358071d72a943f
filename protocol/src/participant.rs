//! The users in a list.

use crate::UserId;
use crate::codec::{Field, Reader};
use alloc::vec::Vec;

/// One user, as lists and announcements show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participant<'a> {
    /// The user's id.
    pub user_id: UserId,
    /// The user's name. Two users may have the same.
    pub username: &'a str,
    /// Whether the user is in the voice channel.
    pub in_voice: bool,
    /// Whether the user is muted.
    pub is_muted: bool,
}

impl Participant<'_> {
    /// Bytes that this participant takes in a payload.
    pub fn wire_len(&self) -> usize {
        8 + 2 + self.username.len() + 1 + 1
    }
}

impl<'a> Field<'a> for Participant<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        Some(Participant {
            user_id: Field::read(reader)?,
            username: Field::read(reader)?,
            in_voice: Field::read(reader)?,
            is_muted: Field::read(reader)?,
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.user_id.put(out);
        self.username.put(out);
        self.in_voice.put(out);
        self.is_muted.put(out);
    }
}

/// The list in a LoginResponse: checked when it was parsed, and read where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participants<'a> {
    count: u16,
    bytes: &'a [u8],
}

impl<'a> Participants<'a> {
    /// An empty list.
    pub const EMPTY: Participants<'static> = Participants {
        count: 0,
        bytes: &[],
    };

    /// How many participants there are.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The participants, in the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = Participant<'a>> + use<'a> {
        let mut reader = Reader::new(self.bytes);
        (0..self.count).map_while(move |_| Participant::read(&mut reader))
    }
}

impl<'a> Field<'a> for Participants<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let count = u16::read(reader)?;
        let bytes = reader.rest();
        for _ in 0..count {
            Participant::read(reader)?;
        }
        let bytes = &bytes[..bytes.len() - reader.rest().len()];
        Some(Participants { count, bytes })
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.count.put(out);
        out.extend_from_slice(self.bytes);
    }
}
