//! The terminal client and the key of its server: the first, the known, the named, and a stranger's. And servers
//! that speak in clear.

use crate::outages::{front_of, listener};
use crate::programs::{AMPLITUDE, Client, FREQUENCY, await_end, number, voiceapp};
use crate::proxy::Proxy;
use crate::{PATIENCE, Running, TempFile};
use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use voiceapp_protocol::{SealedDatagram, VoiceDatagram};

/// No stranger may read this.
const NAME: &str = "not-for-everyone";

/// A state folder of a user's own, which is gone afterwards.
struct State(PathBuf);

impl State {
    fn new() -> Self {
        let path = TempFile::new().0.with_extension("state");
        State(path)
    }

    fn known_servers(&self) -> PathBuf {
        self.0.join("voiceapp/known_servers")
    }

    /// This user's client, for this server.
    fn command(&self, server: &str, options: &[&str]) -> Command {
        let mut command = voiceapp();
        command
            .env("XDG_STATE_HOME", &self.0)
            .args(["--json", "--name", NAME, server])
            .args(options);
        command
    }

    fn start(&self, server: &str) -> Client {
        Client::spawn(self.command(server, &[]), false)
    }

    /// The exit code of a client, and what it says to programs and to people.
    fn end(&self, server: &str, options: &[&str]) -> (Option<i32>, String, String) {
        let mut command = self.command(server, options);
        let output = command.stdin(Stdio::null()).output();
        let output = output.expect("it can be started");
        let text = |bytes| String::from_utf8(bytes).expect("it is text");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whom a client is connected to, and what it says of that.
fn assert_trusted(client: &mut Client, server: &Running, trusted: &str) {
    client.tell("/status");
    let status = client.await_event("status", None);
    assert_eq!(status["trusted"], trusted);
    assert_eq!(status["fingerprint"], server.fingerprint.to_string());
    assert_eq!(status["tls"], "TLS 1.3");
    assert_eq!(status["is_tcp_encrypted"], true);
    assert_eq!(status["is_voice_encrypted"], true);
}

#[test]
fn the_first_key_is_kept_and_a_changed_one_ends_the_client() {
    let (server, stranger) = (Running::start(), Running::start());
    let state = State::new();
    let target = Arc::new(AtomicU16::new(server.tcp_port));
    let (port, _connections) = front_of(target.clone());
    let here = format!("127.0.0.1:{port}");

    let mut first = state.start(&here);
    let kept = first.await_event("key_kept", None);
    let file = state.known_servers();
    assert_eq!(kept["file"], file.to_str().expect("it is plain"));
    assert_eq!(kept["fingerprint"], server.fingerprint.to_string());
    first.await_event("connected", None);
    assert_trusted(&mut first, &server, "first_use");
    assert!(first.end().success());
    let line = format!("{here} sha256={}\n", server.fingerprint);
    assert_eq!(fs::read_to_string(&file).expect("it is kept"), line);

    let mut second = state.start(&here);
    second.await_line("a login", |line| {
        assert!(!line.contains("key_kept"), "{line}");
        line.contains("connected")
    });
    assert_trusted(&mut second, &server, "known");
    assert!(second.end().success());

    target.store(stranger.tcp_port, Ordering::SeqCst);
    let (code, events, complaint) = state.end(&here, &[]);
    assert_eq!(code, Some(5), "{complaint}");
    let keys = [server.fingerprint, stranger.fingerprint];
    for key in keys.map(|it| it.to_string()) {
        assert!(
            events.contains(&key) && complaint.contains(&key),
            "{complaint}"
        );
    }
    assert!(events.contains(r#""event":"untrusted""#), "{events}");
    assert!(!events.contains("logged_in"), "{events}");
    let place = format!("{}, line 1", file.display());
    assert!(
        complaint.contains(&place) && complaint.contains("--pin"),
        "{complaint}"
    );
    // A pin is as good as an invitation, and what it names is kept from then on.
    let pin = stranger.fingerprint.to_string();
    assert_eq!(state.end(&here, &["--pin", &pin]).0, Some(0));
    assert_eq!(state.end(&here, &[]).0, Some(0));
}

#[test]
fn a_changed_key_ends_a_client_that_connects_again() {
    let (server, stranger) = (Running::start(), Running::start());
    let state = State::new();
    let target = Arc::new(AtomicU16::new(server.tcp_port));
    let (port, connections) = front_of(target.clone());
    // Whether the key was kept or named.
    for here in [format!("127.0.0.1:{port}"), server.invitation_at(port)] {
        target.store(server.tcp_port, Ordering::SeqCst);
        let mut client = state.start(&here);
        client.await_event("logged_in", None);
        target.store(stranger.tcp_port, Ordering::SeqCst);
        let (connection, _) = connections.recv_timeout(PATIENCE).expect("it was made");
        connection
            .shutdown(Shutdown::Both)
            .expect("it is connected");
        client.await_event("connection_lost", None);
        let untrusted = client.await_event("untrusted", None);
        assert_eq!(untrusted["expected"], server.fingerprint.to_string());
        assert_eq!(untrusted["presented"], stranger.fingerprint.to_string());
        assert_eq!(await_end(&mut client.child).code(), Some(5));
        // The connection to the stranger.
        connections.recv_timeout(PATIENCE).expect("it was made");
    }
}

/// A server that answers in clear whatever it is sent, and records that.
fn in_clear(listener: TcpListener) -> Receiver<Vec<u8>> {
    let (sender, heard) = channel();
    thread::spawn(move || {
        while let Ok((mut tcp, _)) = listener.accept() {
            tcp.set_read_timeout(Some(PATIENCE)).expect("not zero");
            let mut bytes = vec![0; 4_096];
            let len = tcp.read(&mut bytes).expect("it is sent something");
            bytes.truncate(len);
            // That a ping is answered, which it has not asked for.
            tcp.write_all(&[0x26, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1])
                .expect("it reads");
            let _ = tcp.read_to_end(&mut bytes);
            if sender.send(bytes).is_err() {
                return;
            }
        }
    });
    heard
}

#[test]
fn nothing_of_a_login_is_sent_in_clear_to_those_who_have_not_asked_for_it() {
    let (listener, port) = listener();
    let heard = in_clear(listener);
    let state = State::new();
    let pin = "1".repeat(64);
    let here = format!("127.0.0.1:{port}");
    let known = format!("{here} sha256={pin}\n");
    let invitation = format!("voiceapp://{here}/#sha256={pin}");
    for (server, known) in [(&here, ""), (&invitation, ""), (&here, &known)] {
        fs::create_dir_all(state.0.join("voiceapp")).expect("there is room");
        fs::write(state.known_servers(), known).expect("there is room");
        let (code, events, complaint) = state.end(server, &[]);
        assert_eq!(code, Some(3), "{complaint}");
        assert!(complaint.contains("does not speak TLS"), "{complaint}");
        assert!(complaint.contains("--plain"), "{complaint}");
        assert!(!events.contains("logged_in"), "{events}");
        let heard = heard.recv_timeout(PATIENCE).expect("it is over");
        assert_eq!(heard[0], 22);
        let text = String::from_utf8_lossy(&heard);
        assert!(!text.contains(NAME), "{text}");
    }
}

#[test]
fn a_file_of_keys_that_cannot_be_read_makes_no_server_a_new_one() {
    let server = Running::start();
    let state = State::new();
    fs::create_dir_all(state.0.join("voiceapp")).expect("there is room");
    fs::write(state.known_servers(), "# mine\n127.0.0.1:9001 sha256=12\n").expect("there is room");
    let here = format!("127.0.0.1:{}", server.tcp_port);
    let (code, _, complaint) = state.end(&here, &[]);
    assert_eq!(code, Some(5), "{complaint}");
    let words = format!("{}: cannot read line 2", state.known_servers().display());
    assert!(complaint.contains(&words), "{complaint}");
    assert_eq!(state.end(&server.invitation(), &[]).0, Some(0));
    assert_eq!(state.end(&here, &[]).0, Some(0));
}

#[test]
fn a_connection_in_clear_is_made_on_request_and_shown() {
    let server = Running::start();
    let (tcp, udp) = (server.tcp_port, server.udp_port);
    let mut bob = Client::start(&server, "bob", &[]);
    bob.await_event("logged_in", None);
    let mut ann = Client::start_plain(tcp, udp, "ann", &[]);
    let connected = ann.await_event("connected", None);
    assert_eq!(connected["is_tcp_encrypted"], false);
    assert_eq!(connected["is_voice_encrypted"], false);
    assert!(connected.get("fingerprint").is_none(), "{connected}");
    ann.tell("hello");
    assert_eq!(bob.await_event("chat", Some("ann"))["message"], "hello");
    ann.tell("/join");
    ann.await_voice();
    bob.await_event("joined_voice", Some("ann"));
    ann.tell("/status");
    assert_eq!(ann.await_event("status", None)["is_tcp_encrypted"], false);
    // And to the others.
    bob.tell("/who");
    assert_eq!(bob.await_event("here", Some("bob"))["is_encrypted"], true);
    assert_eq!(bob.await_event("here", Some("ann"))["is_encrypted"], false);
    assert!(ann.end().success());
}

#[test]
fn words_say_what_is_encrypted_and_what_is_not() {
    let server = Running::start();
    let mut command = voiceapp();
    command
        .args(["--name", "ann", &server.invitation()])
        .args(["--voice-port", &server.udp_port.to_string()]);
    let mut ann = Client::spawn(command, false);
    let here = format!("127.0.0.1:{}", server.tcp_port);
    let line = format!("connected to {here}: messages and voice encrypted");
    ann.await_line("the connection", |it| it == line);
    ann.tell("/status");
    let status = ann.await_line("the status", |it| it.contains("TLS 1.3, TLS_"));
    let key = format!("key sha256={} (named by", server.fingerprint);
    assert!(status.contains(&key), "{status}");
    assert!(ann.end().success());
}

/// A person with voice, whose datagrams are captured.
fn enter(server: &Running, name: &str, is_plain: bool) -> (Client, Proxy) {
    let proxy = Proxy::start_without_loss(server.udp_port, 7);
    let mut client = match is_plain {
        true => Client::start_plain(server.tcp_port, proxy.port, name, &[]),
        false => Client::start_at(&server.invitation(), proxy.port, name, &[]),
    };
    client.await_event("logged_in", None);
    client.tell("/join");
    client.await_voice();
    (client, proxy)
}

/// Two have sealed voice and one has plain voice, and each speaks in turn to both others. Whoever captures the
/// datagrams of the two reads nothing in them that the third one's have in clear, and none comes twice.
#[test]
fn a_captured_conversation_has_no_readable_frame_and_no_two_equal_datagrams() {
    let server = Running::start();
    let file = TempFile::tone(FREQUENCY, AMPLITUDE, 0.5);
    let path = file.0.to_str().expect("it is plain");
    let mut people = [("ann", false), ("bob", false), ("carl", true)]
        .map(|(name, is_plain)| (name, enter(&server, name, is_plain)));
    for speaker in 0..people.len() {
        let name = people[speaker].0;
        people[speaker].1.0.tell(&format!("/play {path}"));
        people[speaker].1.0.await_event("speech_ended", None);
        for listener in (0..people.len()).filter(|&it| it != speaker) {
            let heard = people[listener].1.0.received(name, 27);
            assert_eq!(number(&heard["lost"]), 0, "{heard}");
        }
    }
    let [
        (_, (mut ann, of_ann)),
        (_, (mut bob, of_bob)),
        (_, (mut carl, of_carl)),
    ] = people;
    for (client, is_sealed) in [(&mut ann, true), (&mut bob, true), (&mut carl, false)] {
        client.tell("/status");
        let status = client.await_event("status", None);
        assert_eq!(status["is_voice_encrypted"], is_sealed);
    }
    let in_clear = of_carl.captured();
    let in_clear: Vec<_> = in_clear
        .iter()
        .filter_map(|datagram| VoiceDatagram::check(&datagram[..]).ok())
        // The silence at the end is short enough to be there by chance.
        .filter(|voice| voice.data().len() > 8)
        .collect();
    assert!(in_clear.len() > 3 * 20, "{}", in_clear.len());
    let mut seen = HashSet::new();
    for datagram in [of_ann.captured(), of_bob.captured()].concat() {
        let sealed = SealedDatagram::check(&datagram[..]).expect("everything is sealed");
        assert_eq!(sealed.frame().len(), datagram.len());
        for voice in &in_clear {
            // With a part of its header, and without it.
            for part in [voice.data(), &voice.frame()[3..19]] {
                let is_here = datagram.windows(part.len()).any(|window| window == part);
                assert!(!is_here, "{part:02x?} is readable");
            }
        }
        assert!(seen.insert(datagram), "a datagram came twice");
    }
    assert!(seen.len() > 2 * 3 * 27);
    for client in [ann, bob, carl] {
        assert!(client.end().success());
    }
}
