//! Why a server says no, or closes a connection: a number for programs, and words for people.
//!
//! A server may have reasons that its client does not know yet, so that every number is one.

use crate::codec::{Field, Reader};
use alloc::vec::Vec;
use core::fmt;

/// Makes the reasons, their numbers and their words from one table, so that these cannot differ.
macro_rules! reasons {
    ($($number:literal $name:ident $words:literal)+) => {
        /// Why a server says no, or closes a connection.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the words say it")]
        #[non_exhaustive]
        pub enum Reason {
            $(#[doc = $words] $name,)+
            /// One that this crate does not know.
            Other(u8),
        }

        impl Reason {
            /// Every reason that has a name, by rising number.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// The reason with this number.
            pub fn from_number(number: u8) -> Self {
                match number {
                    $($number => Reason::$name,)+
                    other => Reason::Other(other),
                }
            }

            /// Its number on the wire.
            pub fn number(self) -> u8 {
                match self {
                    $(Reason::$name => $number,)+
                    Reason::Other(number) => number,
                }
            }
        }

        impl fmt::Display for Reason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Reason::$name => f.write_str($words),)+
                    Reason::Other(number) => write!(f, "reason {number}"),
                }
            }
        }
    };
}

reasons! {
    0 Unstated "no reason is given"
    1 BadName "the name is not allowed"
    2 Full "the server is full"
    3 Password "the password is missing or wrong"
    4 Banned "the address is banned"
    5 NameTaken "the name is in use or reserved"
    6 TooOften "this came too often"
    7 TlsNeeded "the server takes encrypted connections only"
    8 NoSuchChannel "there is no such channel"
    9 ChannelFull "the channel is full"
    10 ChannelPassword "the channel's password is missing or wrong"
    11 NotAllowed "this is not allowed"
    12 NoSuchUser "there is no such user"
}

impl Field<'_> for Reason {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        u8::read(reader).map(Reason::from_number)
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.number().put(out);
    }
}

/// The trailing byte of a response, for clients that asked for reasons.
impl Field<'_> for Option<Reason> {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        match reader.rest() {
            [] => Some(None),
            _ => Reason::read(reader).map(Some),
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        if let Some(reason) = self {
            reason.put(out);
        }
    }
}
