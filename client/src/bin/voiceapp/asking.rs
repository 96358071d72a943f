//! Asking the user for the server's password, where a person sits at a terminal that can hide it.
//!
//! The server has refused a login by then, so its key is trusted, and the password goes to it over the next
//! connection, whose key is checked in the same way. A script is not asked: it gets the refusal.

use crate::app::{App, Connection};
use crate::{End, Trouble};
use voiceapp_client::protocol::Reason;
use voiceapp_client::session::LoginFailure;

/// How often the user is asked before one login.
const QUESTIONS_MAX: u8 = 3;
const WRONG: &str = "wrong password";
const READABLE: &str =
    "this connection is not encrypted: anyone on the network path can read the password";

impl App<'_> {
    /// Whether the user may have what the server refuses the login without.
    pub fn may_ask(&self, failure: &LoginFailure) -> bool {
        failure.reason() == Some(Reason::Password)
            && self.console.edits_lines()
            && self.questions < QUESTIONS_MAX
    }

    /// Lets go of the connection, as a server keeps none that waits for a password.
    pub fn ask_for_password(&mut self, refusal: String) -> Result<(), End> {
        self.attempt += 1;
        self.connection = Connection::Asking { refusal };
        self.questions += 1;
        let mut notices = Vec::new();
        if self.password.is_some() {
            notices.push(WRONG);
        }
        if self.options.server.is_plain {
            notices.push(READABLE);
        }
        let prompt = format!("Password for {}: ", self.options.server);
        self.console.ask(&notices, prompt)
    }

    /// Logs in with the answer. Without one the refusal stands.
    pub fn take_password(&mut self, password: String) -> Result<(), End> {
        let Connection::Asking { refusal } = &mut self.connection else {
            return Ok(());
        };
        if password.is_empty() {
            return Err(End::Troubled(Trouble::Refused, std::mem::take(refusal)));
        }
        self.password = Some(password);
        self.connect();
        Ok(())
    }

    /// Gives up lines that were typed before the question: one of them may be the password, which is for
    /// the server and not for everyone there.
    pub fn drop_early_lines(&mut self) -> Result<(), End> {
        if !matches!(self.connection, Connection::Asking { .. }) {
            return Ok(());
        }
        let count = self.lines.len();
        self.lines.retain(|line| line.trim() == "/quit");
        match self.lines.len() < count {
            true => self.refuse("what you typed before the password was not sent"),
            false => Ok(()),
        }
    }
}
