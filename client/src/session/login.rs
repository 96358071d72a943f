//! What a client logs in with, and what comes of it.

use crate::event::words::printable;
use std::fmt::{self, Display, Formatter};
use voiceapp_protocol::{Asked, Caps, Packet, Password, Program, Reason};

/// What a client logs in with. A name makes one that can do all that this library can.
#[derive(Clone)]
pub struct Login {
    /// What the user is to be called.
    pub name: String,
    /// What the client can do, or nothing, to be served as the oldest clients are: then nothing else is
    /// sent than the name.
    pub caps: Option<Caps>,
    /// The server's password.
    pub password: Option<String>,
    /// The secret of the name, where that is reserved.
    pub name_secret: Option<String>,
    /// The name of the client, and its version.
    pub program: (String, String),
}

impl Login {
    /// The packet.
    pub(super) fn request(&self, request_id: u64) -> Packet<'_> {
        let (name, version) = &self.program;
        let asked = self.caps.map(|caps| Asked {
            caps,
            password: self.password.as_deref().map(Password),
            name_proof: self.name_secret.as_deref().map(Password),
            client: Some(Program { name, version }),
        });
        Packet::LoginRequest {
            request_id,
            username: &self.name,
            asked,
        }
    }
}

impl<N: AsRef<str> + ?Sized> From<&N> for Login {
    fn from(name: &N) -> Self {
        Login {
            name: name.as_ref().to_owned(),
            caps: Some(Caps::EXTENDED),
            password: None,
            name_secret: None,
            program: (
                env!("CARGO_PKG_NAME").to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
        }
    }
}

/// Why a server says no, or closes the connection, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// For programs.
    pub reason: Reason,
    /// For people. It may be empty, or anything.
    pub text: String,
}

/// The words, with everything escaped that would act on a terminal.
impl Display for Said {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.text.is_empty() {
            true => self.reason.fmt(f),
            false => f.write_str(&printable(&self.text)),
        }
    }
}

/// Why there is no login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginFailure {
    /// The server said no, and why if it knows how.
    Refused(Option<Said>),
    /// The server said nothing in time.
    Unanswered,
}

impl LoginFailure {
    /// Why the server said no, as far as it did.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            LoginFailure::Refused(Some(said)) => Some(said.reason),
            _ => None,
        }
    }
}

impl Display for LoginFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LoginFailure::Refused(Some(said)) => {
                write!(f, "the server refused the login: {said}")
            }
            LoginFailure::Refused(None) => f.write_str(
                "the server refused the login: it is full, the name is not 1 to 32 bytes of text that \
                 can be seen, or too many log in from here",
            ),
            LoginFailure::Unanswered => f.write_str("the server did not answer the login"),
        }
    }
}
