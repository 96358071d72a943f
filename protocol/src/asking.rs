//! What a client asks for when it logs in, and what its server grants: a set of capabilities, and fields
//! with a tag each.
//!
//! Both stand behind the fields that every login has had, so that a side that knows nothing of them ignores
//! them. Under four bytes there are no capabilities, and so nothing was asked for. From there to the end of
//! the payload there is one field after the other: a tag, a length, and so many bytes. An unknown tag is
//! skipped, of one tag the first counts, and what is left behind a field's content is ignored. A field that
//! goes past the payload, or whose content is not what its tag promises, makes the payload malformed (rules
//! 13a and 13c).

use crate::codec::{Field, Reader};
use crate::{KeyId, Reason};
use alloc::vec::Vec;
use byteorder::{BigEndian, ByteOrder};
use core::fmt;
use core::ops::{BitAnd, BitOr};

/// Makes a set of bits that have names.
macro_rules! bits {
    ($(#[doc = $doc:literal])+ $name:ident($int:ty) { $($(#[doc = $of_bit:literal])+ $bit:ident = $value:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name(pub $int);

        impl $name {
            /// No bit.
            pub const NONE: $name = $name(0);
            $($(#[doc = $of_bit])+ pub const $bit: $name = $name($value);)+

            /// Whether all of these are in it.
            pub fn contains(self, bits: $name) -> bool {
                self.0 & bits.0 == bits.0
            }
        }

        impl BitAnd for $name {
            type Output = $name;

            fn bitand(self, other: $name) -> $name {
                $name(self.0 & other.0)
            }
        }

        impl BitOr for $name {
            type Output = $name;

            fn bitor(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }
        }

        impl Field<'_> for $name {
            fn read(reader: &mut Reader<'_>) -> Option<Self> {
                <$int>::read(reader).map($name)
            }

            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
        }
    };
}

bits! {
    /// What a client can do beyond the oldest ones. Bits without a name are kept as they came.
    Caps(u32) {
        /// It knows reasons, [`Ended`](crate::Packet::Ended) and [`UserFlags`](crate::Packet::UserFlags).
        EXTENDED = 1,
        /// It seals its voice. Only an encrypted connection can be granted that.
        SEALED = 2,
        /// It takes voice on the stream, where datagrams do not get through.
        STREAM_VOICE = 4,
    }
}

bits! {
    /// What others should know of a user.
    UserFlags(u8) {
        /// An operator has muted them.
        MUTED_BY_OPERATOR = 1,
        /// They are an operator.
        OPERATOR = 2,
        /// Their name is reserved, and they have proved that it is theirs.
        NAME_IS_PROVED = 4,
        /// Their connection is encrypted.
        IS_ENCRYPTED = 8,
    }
}

bits! {
    /// What a client should know of itself.
    LoginFlags(u8) {
        /// It is an operator.
        YOU_ARE_OPERATOR = 1,
    }
}

/// A password, or the proof of a name.
///
/// Its `Debug` form hides it, so that it cannot reach a log by accident.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password<'a>(pub &'a str);

impl fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A client's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
}

/// Why a login was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// For programs.
    pub reason: Reason,
    /// For people.
    pub text: &'a str,
}

/// A server's description of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// Its name, or nothing.
    pub name: &'a str,
    /// Its text for newcomers, or nothing.
    pub welcome: &'a str,
}

/// Makes a field of a struct whose own fields follow one another.
macro_rules! sequences {
    ($($name:ident { $($field:ident),+ })+) => {$(
        impl<'a> Field<'a> for $name<'a> {
            fn read(reader: &mut Reader<'a>) -> Option<Self> {
                Some($name { $($field: Field::read(reader)?),+ })
            }

            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)+
            }
        }
    )+};
}

sequences! {
    Program { name, version }
    Refusal { reason, text }
    Greeting { name, welcome }
}

impl<'a> Field<'a> for Password<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        Field::read(reader).map(Password)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}

/// Makes capabilities with tagged fields from a table.
macro_rules! tagged {
    (
        $(#[doc = $doc:literal])+
        $name:ident { $($(#[doc = $of_field:literal])+ $tag:literal $field:ident: $kind:ty,)+ }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name<'a> {
            /// The capabilities.
            pub caps: Caps,
            $($(#[doc = $of_field])+ pub $field: Option<$kind>,)+
        }

        impl $name<'_> {
            /// Bytes that this takes in a payload.
            pub fn wire_len(&self) -> usize {
                let mut bytes = Vec::new();
                self.put(&mut bytes);
                bytes.len()
            }

            fn put(&self, out: &mut Vec<u8>) {
                self.caps.put(out);
                $(if let Some(value) = &self.$field {
                    put_field(out, $tag, value);
                })+
            }
        }

        /// Nothing where there are no capabilities.
        impl<'a> Field<'a> for Option<$name<'a>> {
            fn read(reader: &mut Reader<'a>) -> Option<Self> {
                let Some(caps) = Caps::read(reader) else {
                    return Some(None);
                };
                let mut read = $name { caps, ..$name::default() };
                while !reader.rest().is_empty() {
                    let (tag, content) = read_field(reader)?;
                    let content = &mut Reader::new(content);
                    match tag {
                        $($tag if read.$field.is_none() => {
                            read.$field = Some(Field::read(content)?);
                        })+
                        _ => {}
                    }
                }
                Some(Some(read))
            }

            fn put(&self, out: &mut Vec<u8>) {
                if let Some(value) = self {
                    value.put(out);
                }
            }
        }
    };
}

tagged! {
    /// What a client asks for.
    Asked {
        /// The server's password.
        1 password: Password<'a>,
        /// The secret of the name, where that is reserved.
        2 name_proof: Password<'a>,
        /// What the client is.
        3 client: Program<'a>,
    }
}

tagged! {
    /// What a server grants, of what was asked for and is possible. Nothing, where the login is refused.
    Granted {
        /// Why the login was refused, if it was.
        1 refusal: Refusal<'a>,
        /// What the server says of itself.
        2 server: Greeting<'a>,
        /// The UDP port of voice.
        3 voice_port: u16,
        /// Which keys seal this client's voice.
        4 key_id: KeyId,
        /// What the client should know of itself.
        5 flags: LoginFlags,
    }
}

fn read_field<'a>(reader: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let tag = u8::read(reader)?;
    let len = u16::read(reader)?;
    Some((tag, reader.take(len.into())?))
}

/// As with strings, content that is too long gets a length that lies, in a payload that is refused.
fn put_field<'a>(out: &mut Vec<u8>, tag: u8, content: &impl Field<'a>) {
    tag.put(out);
    let len_at = out.len();
    0u16.put(out);
    content.put(out);
    let len = out.len() - len_at - 2;
    BigEndian::write_u16(&mut out[len_at..], len as u16);
}
