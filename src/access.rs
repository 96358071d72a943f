//! Access: passwords, and reserved names.
//!
//! The oldest clients have no field for a password. Where the settings permit it, the password follows the
//! name, after a colon. It is cut off before anything else reads the name (rule 16c).

mod passwords;

pub use passwords::{PasswordList, PasswordListError};

use crate::limits::RESERVED_NAMES_MAX;
use crate::name::{self, NameError};
use crate::protocol::{Asked, Password};
use crate::secret::Secret;
use std::collections::BTreeMap;
use std::fmt;

/// The conditions of a login. By default everyone may log in, under every name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Each is enough to log in. Without any, none is needed.
    pub passwords: PasswordList,
    /// Names that need a secret.
    pub reserved_names: ReservedNames,
    /// Whether a client that sends no capabilities may log in as `name:password`.
    pub password_in_name: bool,
    /// Whether a name that is in use is refused.
    pub unique_names: bool,
}

/// What a client logs in with.
#[derive(Clone, Copy)]
pub(crate) struct Credentials<'a> {
    /// The name that it asks for.
    pub(crate) name: &'a str,
    /// The name without anything that may be a password, for the log.
    pub(crate) shown: &'a str,
    pub(crate) password: Option<&'a str>,
    pub(crate) proof: Option<&'a str>,
}

impl Access {
    /// What a login has in it.
    pub(crate) fn credentials<'a>(
        &self,
        username: &'a str,
        asked: Option<&Asked<'a>>,
    ) -> Credentials<'a> {
        if let Some(asked) = asked {
            return Credentials {
                name: username,
                shown: username,
                password: asked.password.map(|Password(it)| it),
                proof: asked.name_proof.map(|Password(it)| it),
            };
        }
        let (before, behind) = match username.split_once(':') {
            Some((name, password)) => (name, Some(password)),
            None => (username, None),
        };
        // Where passwords are needed, some users type theirs behind the name even if it has no effect there.
        let shown = match self.password_in_name || !self.passwords.is_empty() {
            true => before,
            false => username,
        };
        let (name, password) = match self.password_in_name {
            true => (before, behind),
            false => (username, None),
        };
        Credentials {
            name,
            shown,
            password,
            proof: None,
        }
    }
}

/// Names that only those who know their secret may have. Names that differ by capitals alone, or by forms of
/// one letter, are one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReservedNames(BTreeMap<String, Secret>);

/// Why a name is not reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReserveError {
    /// Nobody could have it.
    BadName(NameError),
    /// It is reserved already.
    Twice,
    /// There are [`RESERVED_NAMES_MAX`].
    TooMany,
}

impl ReservedNames {
    /// Reserves a name.
    ///
    /// # Errors
    ///
    /// [`ReserveError`], and nothing changes.
    pub fn reserve(&mut self, name: &str, secret: Secret) -> Result<(), ReserveError> {
        let name = name::accept(name).map_err(ReserveError::BadName)?;
        let folded = name::folded(&name);
        if self.0.contains_key(&folded) {
            return Err(ReserveError::Twice);
        }
        if self.0.len() >= RESERVED_NAMES_MAX {
            return Err(ReserveError::TooMany);
        }
        self.0.insert(folded, secret);
        Ok(())
    }

    /// The secret of a [folded](name::folded) name, if it is reserved.
    pub(crate) fn secret_of(&self, folded: &str) -> Option<&Secret> {
        self.0.get(folded)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is reserved.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for ReserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReserveError::BadName(error) => write!(f, "nobody can have this name: {error}"),
            ReserveError::Twice => f.write_str("this name is reserved already"),
            ReserveError::TooMany => write!(f, "there are more than {RESERVED_NAMES_MAX} names"),
        }
    }
}

impl std::error::Error for ReserveError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Caps;

    #[test]
    fn a_password_behind_the_name_is_cut_off_where_that_is_allowed_and_never_shown() {
        let open = Access::default();
        let closed = Access {
            passwords: PasswordList::of_one(Secret::new("p").expect("it is one")),
            ..Access::default()
        };
        let in_name = |access: &Access| Access {
            password_in_name: true,
            ..access.clone()
        };
        let of = |access: &Access, username: &'static str| {
            let it = access.credentials(username, None);
            (it.name, it.password, it.shown)
        };
        assert_eq!(of(&open, "a:b"), ("a:b", None, "a:b"));
        assert_eq!(of(&closed, "a:b"), ("a:b", None, "a"));
        for access in [in_name(&open), in_name(&closed)] {
            assert_eq!(of(&access, "a:b:c"), ("a", Some("b:c"), "a"));
            assert_eq!(of(&access, "a"), ("a", None, "a"));
            assert_eq!(of(&access, ":b"), ("", Some("b"), ""));
        }
        let asked = Asked {
            caps: Caps::EXTENDED,
            password: Some(Password("p")),
            ..Asked::default()
        };
        let it = in_name(&closed).credentials("a:b", Some(&asked));
        assert_eq!((it.name, it.password, it.shown), ("a:b", Some("p"), "a:b"));
    }

    #[test]
    fn names_are_reserved_in_all_their_forms_and_once() {
        let secret = || Secret::new("s").expect("it is one");
        let mut names = ReservedNames::default();
        assert_eq!(names.reserve(" Jürgen  Groß ", secret()), Ok(()));
        for same in ["jürgen groß", "JÜRGEN GROSS", "Ｊürgen groß"] {
            assert_eq!(names.reserve(same, secret()), Err(ReserveError::Twice));
        }
        assert!(matches!(
            names.reserve("", secret()),
            Err(ReserveError::BadName(_))
        ));
        assert_eq!(names.reserve("Jurgen Gross", secret()), Ok(()));
        assert_eq!((names.len(), names.is_empty()), (2, false));
    }
}
