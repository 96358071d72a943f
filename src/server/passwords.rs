//! Reads the password file, and collects all settings that decide about logins.

use super::{ServerError, files};
use crate::access::{Access, PasswordList};
use crate::config::Config;
use crate::limits::PASSWORD_FILE_BYTES_MAX;
use std::io;
use std::path::Path;

impl Config {
    /// Who may log in. Reads the [password file](Self::password_file), if there is one.
    ///
    /// # Errors
    ///
    /// [`ServerError::PasswordFile`] if it cannot be read, everyone on the machine can read it, or a line of
    /// it is not a password.
    pub fn read_access(&self) -> Result<Access, ServerError> {
        let of_the_file = self.password_file.as_deref().map(|path| read(self, path));
        Ok(Access {
            passwords: of_the_file.unwrap_or_else(|| Ok(self.own_password()))?,
            reserved_names: self.reserved_names.clone(),
            password_in_name: self.password_in_name,
            unique_names: self.unique_names,
        })
    }

    fn own_password(&self) -> PasswordList {
        let password = self.password.clone();
        password.map_or_else(PasswordList::default, PasswordList::of_one)
    }
}

/// The passwords of the file, and that of the settings.
pub(super) fn read(config: &Config, path: &Path) -> Result<PasswordList, ServerError> {
    let error = |source| ServerError::PasswordFile {
        path: path.into(),
        source,
    };
    let bytes = files::read_secret(path, PASSWORD_FILE_BYTES_MAX).map_err(error)?;
    // What the error would show is what was read.
    let text = String::from_utf8(bytes).map_err(|_| {
        error(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not UTF-8",
        ))
    })?;
    let list = PasswordList::parse(&text).map_err(|bad| error(io::Error::other(bad)))?;
    if list.is_empty() {
        return Err(error(io::Error::other("there is no password in it")));
    }
    Ok(config.own_password().with(list))
}
