//! What clients hear of causes: a reason for programs, and a text for people.

use super::{ChatRefused, Ended, LoginRefused};
use crate::protocol::Reason;

impl LoginRefused {
    /// For programs.
    pub(crate) fn reason(self) -> Reason {
        match self {
            LoginRefused::BadName(_) => Reason::BadName,
            LoginRefused::NotEncrypted => Reason::TlsNeeded,
            LoginRefused::PasswordMissing | LoginRefused::PasswordWrong => Reason::Password,
            LoginRefused::NameReserved | LoginRefused::NameInUse => Reason::NameTaken,
            LoginRefused::ServerFull => Reason::Full,
            LoginRefused::GuessedTooOften
            | LoginRefused::TooFast
            | LoginRefused::BroadcastTooMuch => Reason::TooOften,
        }
    }

    /// For people.
    pub(crate) fn said(self) -> String {
        let reason = self.reason();
        match self {
            LoginRefused::BadName(error) => format!("{reason}: {error}"),
            LoginRefused::TooFast => "too many log in from your address".into(),
            LoginRefused::BroadcastTooMuch => "too much happens at once".into(),
            LoginRefused::PasswordMissing => "the server asks for a password".into(),
            LoginRefused::PasswordWrong => "wrong password".into(),
            LoginRefused::GuessedTooOften => "too many wrong passwords from your address".into(),
            LoginRefused::NameReserved => "the name is reserved".into(),
            LoginRefused::NameInUse => "the name is in use".into(),
            LoginRefused::NotEncrypted | LoginRefused::ServerFull => reason.to_string(),
        }
    }
}

impl ChatRefused {
    /// For programs. There is no text.
    pub(crate) fn reason(self) -> Reason {
        match self {
            ChatRefused::Empty | ChatRefused::TooLong => Reason::NotAllowed,
            ChatRefused::TooFast | ChatRefused::BroadcastTooMuch => Reason::TooOften,
        }
    }
}

impl Ended {
    /// For programs.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Ended::Banned => Reason::Banned,
            Ended::ByApplication => Reason::NotAllowed,
            Ended::LoginRefused => Reason::TooOften,
            _ => Reason::Unstated,
        }
    }

    /// A text for people. Causes after which the client reads nothing share one.
    pub(crate) fn said(self) -> &'static str {
        match self {
            Ended::Banned => "your address was banned",
            Ended::ByApplication => "the server disconnected you",
            // Nobody who has logged in is refused for anything else.
            Ended::LoginRefused => "you log in too often",
            Ended::Malformed => "the server could not read what your client sent",
            Ended::ServerStopped => "the server stops",
            _ => "the server closes the connection",
        }
    }
}
