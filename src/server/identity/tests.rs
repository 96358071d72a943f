//! Certificates in files and folders.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of a test's own, which is gone afterwards.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("voiceapp-server-state-{}-{count}", std::process::id());
        Folder(std::env::temp_dir().join(name))
    }

    fn config(&self) -> Config {
        Config {
            state_directory: Some(self.0.join("deep")),
            ..Config::default()
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn found(config: &Config) -> Found {
    let found = config.find_identity().expect("it can be used");
    found.expect("connections can be encrypted")
}

fn lasting(config: &Config) -> Identity {
    match found(config) {
        Found::Lasting(identity) => identity,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_certificate_is_made_once_and_kept_for_its_owner_alone() {
    let folder = Folder::new();
    let config = folder.config();
    assert_eq!(
        config.check_files().map_err(|error| error.to_string()),
        Ok(())
    );
    assert!(!folder.0.exists(), "a check makes nothing");
    let first = lasting(&config);
    assert_eq!(lasting(&config).fingerprint(), first.fingerprint());
    let inside = folder.0.join("deep");
    let names: Vec<_> = fs::read_dir(&inside)
        .expect("it was made")
        .map(|entry| entry.expect("it is there").file_name())
        .collect();
    assert_eq!(names, [FILE], "no draft is left");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| {
            let metadata = fs::metadata(path).expect("it is there");
            metadata.permissions().mode() & 0o777
        };
        assert_eq!(mode(&inside.join(FILE)), 0o600);
        assert_eq!(mode(&inside), 0o700);
    }
    let invitation = config.invitation("example.org").expect("it can be used");
    let expected = format!(
        "voiceapp://example.org:9001/#sha256={}",
        first.fingerprint()
    );
    assert_eq!(invitation, Some(expected));
}

#[test]
fn a_key_that_clients_know_is_never_replaced_without_a_word() {
    let folder = Folder::new();
    let config = folder.config();
    lasting(&config);
    let path = folder.0.join("deep").join(FILE);
    let whole = fs::read(&path).expect("it is there");
    for broken in [&b""[..], b"nonsense", &whole[..whole.len() / 2]] {
        fs::write(&path, broken).expect("it is the test's own");
        let error = config
            .find_identity()
            .expect_err("it is broken")
            .to_string();
        assert!(
            error.contains(FILE) && error.contains("state_directory"),
            "{error}"
        );
        assert!(config.check_files().is_err());
        assert_eq!(fs::read(&path).expect("it is there"), broken);
    }
    fs::remove_file(&path).expect("it is there");
    fs::create_dir(&path).expect("it is the test's own");
    let error = config
        .find_identity()
        .expect_err("it is a folder")
        .to_string();
    assert!(error.contains("it is not a file"), "{error}");
}

/// Two that start at once have one certificate: the first that is there.
#[test]
fn a_draft_never_takes_the_place_of_another_s_certificate() {
    let folder = Folder::new();
    let config = folder.config();
    let theirs = lasting(&config).fingerprint();
    let text = Identity::make().expect("there is randomness");
    let inside = folder.0.join("deep");
    keep(&inside, &inside.join(FILE), &text).expect("it is kept already");
    assert_eq!(lasting(&config).fingerprint(), theirs);
    assert_eq!(fs::read_dir(&inside).expect("it is there").count(), 1);
}

#[test]
fn where_nothing_can_be_kept_it_is_for_one_run_and_nobody_is_invited() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).expect("there is room");
    let file = folder.0.join("deep");
    fs::write(&file, "a file where the folder should be").expect("there is room");
    for config in [folder.config(), Config::default()] {
        let Found::ForThisRun(_, reason) = found(&config) else {
            panic!("it is kept somewhere");
        };
        assert!(!reason.is_empty());
        let error = config
            .invitation("example.org")
            .expect_err("it will change");
        assert!(error.to_string().contains("state_directory"), "{error}");
    }
}

#[cfg(unix)]
fn show_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is the test's own");
}

#[cfg(unix)]
#[test]
fn a_kept_key_that_every_user_can_read_is_not_used() {
    let folder = Folder::new();
    let config = folder.config();
    lasting(&config);
    show_to_all(&folder.0.join("deep").join(FILE), 0o604);
    let error = config.find_identity().expect_err("others can read it");
    assert!(error.to_string().contains("chmod"), "{error}");
}

#[test]
fn files_that_the_settings_name_are_used_or_are_an_error() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).expect("there is room");
    let text = Identity::make().expect("there is randomness");
    let path = |name: &str| folder.0.join(name);
    let cut = text.find("-----BEGIN PRIVATE").expect("it is there");
    let other = Identity::make().expect("it is made");
    for (name, content) in [
        ("certificate", &text[..cut]),
        ("key", &text[cut..]),
        ("other", &other),
    ] {
        write_new(&path(name), content).expect("there is room");
    }
    let config = |certificate, key| Config {
        tls_certificate: Some(path(certificate)),
        tls_key: Some(path(key)),
        ..Config::default()
    };
    lasting(&config("certificate", "key"));
    for (certificate, key, named) in [
        ("certificate", "missing", "tls_key"),
        ("missing", "key", "tls_certificate"),
        ("certificate", "other", "tls_certificate"),
        ("certificate", "certificate", "tls_certificate"),
        ("key", "key", "tls_certificate"),
    ] {
        let config = config(certificate, key);
        let error = config.find_identity().expect_err("it is wrong").to_string();
        assert!(error.contains(named), "{error}");
        assert!(config.check_files().is_err(), "{error}");
    }
    #[cfg(unix)]
    for mode in [0o644, 0o602] {
        show_to_all(&path("key"), mode);
        let error = config("certificate", "key").find_identity();
        let error = error.expect_err("every user can read or change it");
        assert!(error.to_string().contains("tls_key"), "{error}");
    }
    let off = Config {
        tls: TlsUse::Off,
        ..config("missing", "missing")
    };
    assert!(off.find_identity().expect("nothing is read").is_none());
}
