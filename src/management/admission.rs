//! Admission: passwords, reserved names, and names that are in use.

use super::{ManagementServer, joined_cost};
use crate::access::{Access, Credentials, PasswordList};
use crate::cause::LoginRefused;
use crate::event::{ConnectionId, Now, Source};
use crate::name;
use crate::protocol::UserFlags;

/// A login that is to be accepted.
pub(super) struct Admitted {
    /// As others will see it.
    pub(super) name: String,
    /// What the log calls the password, if one was needed.
    pub(super) label: String,
    /// What others should know of the user.
    pub(super) flags: UserFlags,
}

impl ManagementServer {
    /// Sets the conditions of logins from now on. Users who are logged in stay.
    pub fn set_access(&mut self, access: Access) {
        self.access = access;
    }

    /// Replaces the passwords, for logins from now on.
    pub fn set_passwords(&mut self, passwords: PasswordList) {
        self.access.passwords = passwords;
    }

    /// Whether a login is accepted. Secrets are checked first, so that a stranger learns nothing else.
    pub(super) fn check_login(
        &mut self,
        now: Now,
        connection: ConnectionId,
        credentials: Credentials<'_>,
    ) -> Result<Admitted, LoginRefused> {
        let source = self.source(connection);
        let session = self.session(connection).expect("it has just sent a frame");
        let facts = session.facts;
        if self.needs_encryption && !facts.is_encrypted {
            return Err(LoginRefused::NotEncrypted);
        }
        let name = name::accept(credentials.name).map_err(LoginRefused::BadName)?;
        let label = self.check_password(now, source, credentials.password)?;
        let mut flags = facts.flags();
        if self.check_name(now, source, &name, credentials.proof)? {
            flags = flags | UserFlags::NAME_IS_PROVED;
        }
        let cost = joined_cost(&name, flags);
        if self.users.len() >= self.limits.users {
            Err(LoginRefused::ServerFull)
        } else if !self.sources.may_log_in(now.instant, source) {
            Err(LoginRefused::TooFast)
        } else if !self.sources.may_broadcast(now.instant, source, cost) {
            Err(LoginRefused::BroadcastTooMuch)
        } else {
            Ok(Admitted { name, label, flags })
        }
    }

    /// The label of the password. Rule 16a.
    fn check_password(
        &mut self,
        now: Now,
        source: Source,
        password: Option<&str>,
    ) -> Result<String, LoginRefused> {
        if self.access.passwords.is_empty() {
            return Ok(String::new());
        }
        let password = password.ok_or(LoginRefused::PasswordMissing)?;
        self.may_guess(now, source)?;
        match self.access.passwords.find(password, now.unix_ms) {
            Some(label) => Ok(label.to_owned()),
            None => {
                self.sources.guessed_wrong(now.instant, source);
                Err(LoginRefused::PasswordWrong)
            }
        }
    }

    /// Whether the name is proved, if it may be had. Rules 16d and 16e.
    fn check_name(
        &mut self,
        now: Now,
        source: Source,
        name: &str,
        proof: Option<&str>,
    ) -> Result<bool, LoginRefused> {
        if !self.access.unique_names && self.access.reserved_names.is_empty() {
            return Ok(false);
        }
        let folded = name::folded(name);
        let is_reserved = self.access.reserved_names.secret_of(&folded).is_some();
        if is_reserved {
            let proof = proof.ok_or(LoginRefused::NameReserved)?;
            self.may_guess(now, source)?;
            let secret = self.access.reserved_names.secret_of(&folded);
            if !secret.is_some_and(|secret| secret.matches(proof)) {
                self.sources.guessed_wrong(now.instant, source);
                return Err(LoginRefused::NameReserved);
            }
        }
        match self.access.unique_names && self.names_in_use.contains_key(&folded) {
            true => Err(LoginRefused::NameInUse),
            false => Ok(is_reserved),
        }
    }

    /// Rule 16b.
    fn may_guess(&mut self, now: Now, source: Source) -> Result<(), LoginRefused> {
        match self.sources.may_guess(now.instant, source) {
            true => Ok(()),
            false => Err(LoginRefused::GuessedTooOften),
        }
    }

    /// Records that a user has this name from now on.
    pub(super) fn take_name(&mut self, name: &str) {
        if self.access.unique_names {
            *self.names_in_use.entry(name::folded(name)).or_default() += 1;
        }
    }

    /// Records that a user with this name is gone.
    pub(super) fn leave_name(&mut self, name: &str) {
        if self.names_in_use.is_empty() {
            return;
        }
        let folded = name::folded(name);
        if let Some(count) = self.names_in_use.get_mut(&folded) {
            *count -= 1;
            if *count == 0 {
                self.names_in_use.remove(&folded);
            }
        }
    }
}
