//! Programs of the workspace that are not the tested package's own, and so are not named to its tests.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

/// A program or an example of the workspace, from the folder that this test was built into, where
/// `cargo test` has built it along with all tests. Fails if it is older than what it is made of, which
/// it can be after `cargo test -p PACKAGE` or `--test NAME`.
pub fn program(name: &str) -> Command {
    let test = std::env::current_exe().expect("it has a path");
    let folder = test.ancestors().nth(2).expect("it is in target/*/deps");
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let places = [folder.join(&file), folder.join("examples").join(&file)];
    // What cargo has noted that each was made of.
    let built = places.iter().find(|path| {
        let sources = fs::read_to_string(path.with_extension("d")).unwrap_or_default();
        let newest = sources.split_whitespace().skip(1).map(changed_at).max();
        newest.is_some_and(|it| it <= changed_at(path))
    });
    let path = built.unwrap_or_else(|| {
        let folder = folder.display();
        panic!("{name} in {folder} is not up to date: cargo build --workspace --bins --examples")
    });
    clean(Command::new(path))
}

/// The program in an environment that says nothing about colours, and names no folder in which it could
/// keep anything.
pub fn clean(mut program: Command) -> Command {
    for name in ["NO_COLOR", "HOME", "LOCALAPPDATA", "XDG_STATE_HOME"] {
        program.env_remove(name);
    }
    program
}

fn changed_at(path: impl AsRef<Path>) -> Option<SystemTime> {
    path.as_ref().metadata().ok()?.modified().ok()
}
