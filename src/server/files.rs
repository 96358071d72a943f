//! Reads the server's files. The length is bounded, and only regular files are read: a pipe could block
//! forever.
//!
//! A file with secrets is refused if every user of the machine can read or change it.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// Reads a file of at most so many bytes.
pub(super) fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read_start(open(path)?, bytes_max)
}

/// The same for a file with secrets. It is refused if every user of the machine may read or write it.
pub(super) fn read_secret(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    check_secrecy(&file.metadata()?)?;
    read_start(file, bytes_max)
}

/// Refuses a file that every user of the machine may read or write, on systems with such modes.
pub(crate) fn check_secrecy(of: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&of.permissions()) & 0o006 != 0 {
        let problem = "every user of this machine can read or change it: chmod o= takes that away";
        return Err(io::Error::other(problem));
    }
    #[cfg(not(unix))]
    let _ = of;
    Ok(())
}

fn read_start(file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut start = file.take(bytes_max + 1);
    start.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!(
            "it is longer than {bytes_max} bytes"
        )));
    }
    Ok(bytes)
}

/// Opens a regular file, and nothing else: a pipe could block forever.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.read(true).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    Ok(file)
}
