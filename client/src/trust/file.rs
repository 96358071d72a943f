//! The file `known_servers`, in the user's own state folder. A line is appended to it as one write, so
//! that clients that run at the same time lose none of each other's, and no other user can read it.

use super::{Kept, Known, Roots, Trust};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const NAME: &str = "known_servers";
/// Clients write no longer file.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

impl Trust {
    /// What the user of this process trusts: the keys in `$XDG_STATE_HOME/voiceapp/known_servers`, or
    /// in `~/.local/state`, and the system's roots.
    pub fn of_user() -> Self {
        Trust {
            known_servers: path(|name| env::var_os(name)),
            roots: Roots::System,
        }
    }
}

/// Reads the keys that were kept. A missing file holds none.
pub fn read(path: Option<&Path>) -> Result<Known, String> {
    let Some(path) = path else {
        return Ok(Known::default());
    };
    match read_bytes(path) {
        Ok(bytes) => Ok(Known::parse(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Known::default()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// Appends a line.
pub fn keep(path: Option<&Path>, place: &str, kept: Kept) -> Result<(), String> {
    let path = path.ok_or("there is no folder for it: set HOME or XDG_STATE_HOME")?;
    append(path, &format!("{place} {kept}\n")).map_err(|error| error.to_string())
}

/// The file as it is shown to the user.
pub fn shown(path: Option<&Path>) -> String {
    path.map_or(NAME.to_owned(), |path| path.display().to_string())
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > BYTES_MAX {
        true => Err(io::Error::new(ErrorKind::InvalidData, "it is too long")),
        false => Ok(bytes),
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    // The last line may lack its end, from an editor: the new one must not join it.
    let line = match ends_in_line(&mut file)? {
        true => line.to_owned(),
        false => format!("\n{line}"),
    };
    if file.write(line.as_bytes())? < line.len() {
        let reason = "there was no room for a whole line";
        return Err(io::Error::new(ErrorKind::WriteZero, reason));
    }
    file.sync_all()
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn ends_in_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// The path of the file, from the environment. A folder that is not absolute is ignored, as the XDG
/// specification says.
fn path(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| {
        let folder = variable(name).map(PathBuf::from);
        folder.filter(|it| it.is_absolute())
    };
    let state = folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local/state")))
        .or_else(|| folder("LOCALAPPDATA"))?;
    Some(state.join("voiceapp").join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Fingerprint;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    /// A folder of this test's own, which is gone afterwards.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("voiceapp-known-{}-{count}", std::process::id());
            Folder(env::temp_dir().join(name))
        }

        fn file(&self) -> PathBuf {
            self.0.join("voiceapp").join(NAME)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn key(byte: u8) -> Kept {
        Kept::Key(Fingerprint([byte; 32]))
    }

    #[test]
    fn what_is_kept_is_read_again_and_is_the_users_own() {
        let folder = Folder::new();
        let file = folder.file();
        assert_eq!(read(Some(&file)).expect("nothing is there").of("a:1"), None);
        for (place, kept) in [("a:1", key(1)), ("b:1", Kept::Roots), ("a:1", key(2))] {
            keep(Some(&file), place, kept).expect("there is room");
        }
        let known = read(Some(&file)).expect("it was written");
        assert_eq!(known.of("a:1"), Some(key(2)));
        assert_eq!(known.of("b:1"), Some(Kept::Roots));
        assert_eq!(known.lines_of("a:1"), [1, 3]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode();
            assert_eq!(mode(&file) & 0o777, 0o600);
            assert_eq!(mode(file.parent().expect("it has one")) & 0o777, 0o700);
        }
    }

    #[test]
    fn a_line_without_its_end_does_not_swallow_the_next() {
        let folder = Folder::new();
        let file = folder.file();
        keep(Some(&file), "a:1", key(1)).expect("there is room");
        let text = fs::read_to_string(&file).expect("it was written");
        fs::write(&file, text.trim_end()).expect("there is room");
        keep(Some(&file), "b:1", key(2)).expect("there is room");
        let known = read(Some(&file)).expect("it was written");
        assert_eq!(
            (known.of("a:1"), known.of("b:1")),
            (Some(key(1)), Some(key(2)))
        );
    }

    #[test]
    fn clients_at_the_same_time_lose_none_of_each_others_lines() {
        let folder = Folder::new();
        let threads: Vec<_> = (0..8)
            .map(|client| {
                let file = folder.file();
                thread::spawn(move || {
                    for server in 0..25 {
                        let place = format!("host-{client}-{server}:9001");
                        keep(Some(&file), &place, key(client)).expect("there is room");
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().expect("it does not panic");
        }
        let known = read(Some(&folder.file())).expect("it was written");
        assert_eq!(known.unreadable, [0; 0]);
        for (client, server) in (0..8).flat_map(|it| (0..25).map(move |server| (it, server))) {
            let place = format!("host-{client}-{server}:9001");
            assert_eq!(known.of(&place), Some(key(client)), "{place}");
        }
    }

    #[test]
    fn what_cannot_be_read_or_written_is_an_error() {
        let folder = Folder::new();
        fs::create_dir_all(folder.file()).expect("there is room");
        assert!(read(Some(&folder.file())).is_err());
        assert!(keep(Some(&folder.file()), "a:1", key(1)).is_err());
        let reason = keep(None, "a:1", key(1)).expect_err("there is no file");
        assert!(reason.contains("XDG_STATE_HOME"), "{reason}");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_in_the_users_state_folder() {
        let table = [
            ("XDG_STATE_HOME=/state HOME=/home/a", Some("/state")),
            ("HOME=/home/a", Some("/home/a/.local/state")),
            ("XDG_STATE_HOME=state HOME=/a", Some("/a/.local/state")),
            ("XDG_STATE_HOME= HOME=", None),
            ("", None),
        ];
        for (variables, state) in table {
            let found = path(|name| {
                let mut all = variables.split(' ').filter_map(|it| it.split_once('='));
                all.find(|it| it.0 == name).map(|it| it.1.into())
            });
            let expected = state.map(|it| Path::new(it).join("voiceapp/known_servers"));
            assert_eq!(found, expected, "{variables:?}");
        }
    }
}
