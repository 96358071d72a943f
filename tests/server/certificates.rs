//! The binary's certificate: made and kept, named in an invitation, read again, and used by another TLS library.

use crate::binary::{BINARY, Started, command, run, text};
use crate::secure::Secure;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of a test's own, which is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let name = format!("{test}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir(&path).expect("the directory is there");
        Folder(path)
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("cargo was started with UTF-8").into()
    }

    /// A certificate with its key in this file, and its fingerprint.
    fn certificate(&self, name: &str) -> (String, String) {
        let folder = self.path(&format!("{name}.state"));
        let output = run(&["--invite", "x", "--state-directory", &folder]);
        let invitation = text(&output.stdout);
        let fingerprint = invitation.trim().rsplit('=').next().expect("it has one");
        let path = self.path(name);
        fs::copy(format!("{folder}/certificate.pem"), &path).expect("it was made");
        (path, fingerprint.into())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The fingerprint of what a server shows to a client that connects now.
fn shown(server: &Started) -> Vec<u8> {
    let mut client = Secure::log_in(server.place, "alice");
    client.chat("hello");
    let certificates = client.tls.conn.peer_certificates();
    certificates.expect("it has shown one")[0].to_vec()
}

/// Rule 14e.
#[test]
fn an_invitation_is_the_same_before_and_after_the_start() {
    let folder = Folder::new("invitation");
    let state = folder.path("state");
    let invite = |host| {
        let output = run(&["--invite", host, "--state-directory", &state]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let first = invite("voice.example");
    let (place, fingerprint) = first.trim().split_once("/#sha256=").expect("it has one");
    assert_eq!(place, "voiceapp://voice.example:9001");
    assert_eq!(fingerprint.len(), 64);
    let mut server = Started::new(
        command(BINARY)
            .args(["--state-directory", &state, "--bind-address", "127.0.0.1"])
            .env("VOICEAPP_LOG_LEVEL", "info"),
    );
    let log = server.log_until("invitation: ");
    let port = server.place.tcp_port;
    let expected = format!("voiceapp://127.0.0.1:{port}/#sha256={fingerprint}");
    assert!(log.contains(&expected), "{log}");
    shown(&server);
    assert_eq!(
        invite("[::1]:5"),
        format!("voiceapp://[::1]:5/#sha256={fingerprint}\n")
    );
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
}

#[test]
fn a_state_directory_that_cannot_be_written_is_a_warning_and_no_invitation() {
    let folder = Folder::new("unwritable");
    let file = folder.path("file");
    fs::write(&file, "no folder").expect("the folder is there");
    let server = Started::new(command(BINARY).args(["--state-directory", &file]));
    shown(&server);
    let warnings = &server.warnings;
    assert!(
        warnings.contains("[WARN]") && warnings.contains(&file),
        "{warnings}"
    );
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
    let output = run(&["--invite", "x", "--state-directory", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("(--state-directory)"));
}

#[test]
fn a_certificate_that_cannot_be_used_ends_the_start_and_is_named() {
    let folder = Folder::new("unusable");
    let (one, _) = folder.certificate("one.pem");
    let (other, _) = folder.certificate("other.pem");
    let broken = folder.path("certificate.pem");
    fs::write(&broken, "nonsense").expect("the folder is there");
    let ports = ["--management-port", "0", "--voice-relay-port", "0"];
    let here = folder.path(".");
    for (arguments, named, code) in [
        (
            ["--tls-certificate", &one, "--tls-key", &other],
            "(--tls-certificate)",
            1,
        ),
        (
            ["--tls-certificate", &one, "--tls-key", "/nowhere"],
            "(--tls-key)",
            1,
        ),
        (
            ["--tls-certificate", &broken, "--tls-key", &one],
            "(--tls-certificate)",
            1,
        ),
        (
            ["--tls", "only", "--state-directory", &here],
            "(--state-directory)",
            1,
        ),
        (["--tls", "only", "--tls-key", &one], "--tls-key", 2),
    ] {
        for check in [&[][..], &["--check-config"]] {
            let output = run(&[&ports[..], &arguments, check].concat());
            let message = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{message}");
            let last = message.lines().next_back().unwrap_or_default();
            assert!(last.contains(named), "{named}: {message}");
        }
    }
    assert_eq!(fs::read(&broken).expect("it is there"), b"nonsense");
}

#[test]
fn sighup_reads_the_certificate_again_and_keeps_the_old_one_if_it_is_bad() {
    let folder = Folder::new("reload");
    let (first, _) = folder.certificate("first.pem");
    let (second, fingerprint) = folder.certificate("second.pem");
    let used = folder.path("used.pem");
    let put = |path: &str| {
        // As a whole: the server may be reading.
        fs::copy(path, folder.path("new.pem")).expect("it is there");
        fs::rename(folder.path("new.pem"), &used).expect("it is there");
    };
    put(&first);
    let mut server = Started::new(
        command(BINARY)
            .args(["--tls-certificate", &used, "--tls-key", &used])
            .env("VOICEAPP_LOG_LEVEL", "info"),
    );
    let mut old = Secure::log_in(server.place, "old");
    let before = shown(&server);
    assert_eq!(shown(&server), before);
    fs::write(folder.path("bad.pem"), "nonsense").expect("the folder is there");
    put(&folder.path("bad.pem"));
    server.signal("HUP");
    let log = server.log_until("the certificate stays as it is");
    assert!(log.contains("used.pem"), "{log}");
    assert_eq!(shown(&server), before);
    put(&second);
    server.signal("HUP");
    let log = server.log_until("the certificate was read again");
    assert!(log.contains(&fingerprint), "{log}");
    assert_ne!(shown(&server), before);
    old.chat("who was here stays");
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
}

/// Another library than the server's own, where the machine has one.
#[test]
fn openssl_shakes_hands_and_finds_the_fingerprint() {
    if Command::new("openssl").arg("version").output().is_err() {
        println!("NOT TESTED: there is no openssl on this machine");
        return;
    }
    let folder = Folder::new("openssl");
    let (certificate, fingerprint) = folder.certificate("certificate.pem");
    let pipe =
        "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum";
    let output = Command::new("sh").args(["-c", pipe, &certificate]).output();
    let computed = text(&output.expect("there is a shell").stdout);
    assert!(computed.starts_with(&fingerprint), "{computed}");

    let server = Started::new(command(BINARY).args([
        "--tls-certificate",
        &certificate,
        "--tls-key",
        &certificate,
    ]));
    let at = format!("127.0.0.1:{}", server.place.tcp_port);
    let connect = |more: &[&str]| {
        let child = Command::new("openssl")
            .args(["s_client", "-connect", &at, "-alpn", "voiceapp/1"])
            .args(more)
            .stdin(Stdio::null())
            .output();
        let output = child.expect("it is there");
        text(&output.stdout) + &text(&output.stderr)
    };
    let said = connect(&[]);
    for part in ["TLSv1.3", "ALPN protocol: voiceapp/1"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = connect(&["-tls1_2"]);
    assert!(said.contains("alert protocol version"), "{said}");
    server.signal("TERM");
    assert_eq!(server.wait().0, Some(0));
}
