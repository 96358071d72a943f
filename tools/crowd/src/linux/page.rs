//! The file for the plot. It is opened before anything is measured, so that a name that cannot be
//! written to is no surprise at the end. Its former content stays until there is a new one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

pub struct Page {
    path: PathBuf,
    file: File,
    /// Whether the file is new.
    is_new: bool,
}

impl Page {
    pub fn open(path: &Path) -> Result<Self, String> {
        let is_new = !path.exists();
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(path);
        let file =
            file.map_err(|error| format!("--plot: cannot write {}: {error}", path.display()))?;
        Ok(Page {
            path: path.into(),
            file,
            is_new,
        })
    }

    pub fn write(mut self, text: &str) -> Result<(), String> {
        let is_file = self.file.metadata().is_ok_and(|it| it.is_file());
        // A pipe has no length.
        let cleared = if is_file {
            self.file.set_len(0)
        } else {
            Ok(())
        };
        cleared
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }

    /// Leaves everything as it was found.
    pub fn discard(self) {
        if self.is_new {
            let _ = fs::remove_file(&self.path);
        }
    }
}
