//! The ban file.

use super::{ServerError, files};
use crate::bans::BanList;
use crate::config::Config;
use crate::limits::BAN_FILE_BYTES_MAX;
use std::io;
use std::path::Path;

impl Config {
    /// Reads the [ban file](Self::ban_file). Without one, nothing is banned.
    ///
    /// # Errors
    ///
    /// [`ServerError::BanFile`] if it cannot be read, or a line of it is not a ban.
    pub fn read_bans(&self) -> Result<BanList, ServerError> {
        let path = self.ban_file.as_deref();
        path.map_or_else(|| Ok(BanList::default()), read)
    }
}

pub(super) fn read(path: &Path) -> Result<BanList, ServerError> {
    let error = |source| ServerError::BanFile {
        path: path.into(),
        source,
    };
    let bytes = files::read(path, BAN_FILE_BYTES_MAX).map_err(error)?;
    let text = String::from_utf8(bytes)
        .map_err(|problem| error(io::Error::new(io::ErrorKind::InvalidData, problem)))?;
    BanList::parse(&text).map_err(|bad| error(io::Error::other(bad)))
}
