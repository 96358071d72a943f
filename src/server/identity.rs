//! The source of the server's certificate: files that the settings name, or one that the server makes at its
//! first start and keeps in the state directory.
//!
//! Clients remember the key, so the server never replaces it silently: if an existing file cannot be used, the
//! server does not start. If nothing can be kept, the certificate lasts for this run, with a warning.

use super::{ServerError, files};
use crate::config::{Config, TlsUse};
use crate::fingerprint::invitation;
use crate::limits::CERTIFICATE_FILE_BYTES_MAX;
use crate::tls::Identity;
use log::info;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Its name in the state directory. It holds the certificate and its key.
const FILE: &str = "certificate.pem";

/// The certificate that is in force.
#[derive(Debug)]
pub(super) enum Found {
    /// It will be there at the next start as well.
    Lasting(Identity),
    /// It is for this run alone, for this reason.
    ForThisRun(Identity, String),
}

impl Config {
    /// An invitation to a server with these settings that clients reach by this host. There is none if connections
    /// cannot be encrypted. If there is no certificate yet, this makes one.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if the certificate cannot be used, or there is none and none can be kept.
    pub fn invitation(&self, host: &str) -> Result<Option<String>, ServerError> {
        match self.find_identity()? {
            None => Ok(None),
            Some(Found::Lasting(it)) => {
                let fingerprint = it.fingerprint();
                Ok(Some(invitation(host, self.management_port, fingerprint)))
            }
            Some(Found::ForThisRun(_, reason)) => {
                let doing = "invite to a server whose key is another after each start";
                let source = io::Error::other(reason);
                Err(ServerError::refused(doing, "state_directory", source))
            }
        }
    }

    /// Checks that the files that these settings name can be used. It makes none.
    ///
    /// # Errors
    ///
    /// [`ServerError`] for the first that cannot.
    pub fn check_files(&self) -> Result<(), ServerError> {
        self.read_bans()?;
        self.read_access()?;
        let folder = self.state_directory.as_ref();
        let is_kept = folder.is_some_and(|folder| is_there(&folder.join(FILE)));
        if self.tls_certificate.is_some() || is_kept || cfg!(not(feature = "encryption")) {
            self.find_identity()?;
        }
        Ok(())
    }

    /// The certificate that is in force, if connections can be encrypted. One is made if there is none.
    pub(super) fn find_identity(&self) -> Result<Option<Found>, ServerError> {
        if self.tls == TlsUse::Off {
            return Ok(None);
        }
        if cfg!(not(feature = "encryption")) {
            return self.identity_of_none();
        }
        if let Some(read) = configured(self) {
            return read().map(Found::Lasting).map(Some);
        }
        match &self.state_directory {
            Some(folder) => kept(folder),
            None => for_this_run(&make(Path::new(FILE))?, "no folder is set for it".into()),
        }
        .map(Some)
    }

    /// Refuses settings that ask for encryption in a build without it.
    fn identity_of_none(&self) -> Result<Option<Found>, ServerError> {
        let asks = [
            (self.tls == TlsUse::Only, "tls"),
            (self.tls_certificate.is_some(), "tls_certificate"),
        ];
        match asks.iter().find(|(is_asked, _)| *is_asked) {
            None => Ok(None),
            Some((_, field)) => {
                let source = io::Error::other("it is built without the feature `encryption`");
                Err(ServerError::refused("encrypt", field, source))
            }
        }
    }
}

/// Reads the certificate that the settings name, if they name one.
pub(super) fn configured(
    config: &Config,
) -> Option<impl Fn() -> Result<Identity, ServerError> + Send + Sync + use<>> {
    let certificate = config.tls_certificate.clone()?;
    let key = config.tls_key.clone()?;
    Some(move || {
        let error = |path: &Path, field| {
            let path = path.to_owned();
            move |source| ServerError::Certificate {
                path,
                field,
                source,
            }
        };
        let read = |path: &Path| files::read(path, CERTIFICATE_FILE_BYTES_MAX);
        let chain = read(&certificate).map_err(error(&certificate, "tls_certificate"))?;
        let secret = files::read_secret(&key, CERTIFICATE_FILE_BYTES_MAX);
        let secret = secret.map_err(error(&key, "tls_key"))?;
        Identity::parse(&chain, &secret)
            .map_err(io::Error::other)
            .map_err(error(&certificate, "tls_certificate"))
    })
}

/// The certificate in the state directory. It is made if there is none.
fn kept(folder: &Path) -> Result<Found, ServerError> {
    let path = folder.join(FILE);
    if is_there(&path) {
        return read_kept(&path).map(Found::Lasting);
    }
    let text = make(&path)?;
    match keep(folder, &path, &text) {
        Ok(()) => {
            let shown = path.display();
            info!("made a certificate, which is kept with its key in {shown}");
            read_kept(&path).map(Found::Lasting)
        }
        Err(error) => for_this_run(&text, format!("cannot write {}: {error}", path.display())),
    }
}

/// Whether there is a file, as far as can be seen.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn read_kept(path: &Path) -> Result<Identity, ServerError> {
    let identity = files::read_secret(path, CERTIFICATE_FILE_BYTES_MAX)
        .and_then(|text| Identity::parse(&text, &text).map_err(io::Error::other));
    identity.map_err(|source| of_state(path, source))
}

fn make(path: &Path) -> Result<String, ServerError> {
    Identity::make().map_err(|error| of_state(path, io::Error::other(error)))
}

fn for_this_run(text: &str, reason: String) -> Result<Found, ServerError> {
    let identity = Identity::parse(text.as_bytes(), text.as_bytes());
    let identity = identity.map_err(|error| of_state(Path::new(FILE), io::Error::other(error)))?;
    Ok(Found::ForThisRun(identity, reason))
}

fn of_state(path: &Path, source: io::Error) -> ServerError {
    ServerError::Certificate {
        path: path.into(),
        field: "state_directory",
        source,
    }
}

/// Writes a file that only its owner can read. It is written whole or not at all, and replaces no other.
fn keep(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    create_folder(folder)?;
    let draft = folder.join(format!("{FILE}.{}", std::process::id()));
    let written = write_new(&draft, text).and_then(|()| settle(&draft, path));
    // By now the draft is a second name of the file, or superfluous.
    let removed = fs::remove_file(&draft);
    written?;
    removed.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Gives the draft its name. If another process was faster, its file stays.
fn settle(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // A file system without links.
        Err(_) => fs::rename(draft, path),
    }
}

#[cfg(all(test, feature = "encryption"))]
mod tests;
