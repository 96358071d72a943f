//! Handshakes on sockets, with servers that are right, silent, slow, old or gone.

use super::super::tls::peer::{Identity, KnownServers, OnSocket};
use super::super::{Arrival, Link};
use super::*;
use crate::session::Session;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use voiceapp_protocol::FrameBuffer;

const PATIENCE: Duration = Duration::from_secs(60);
/// As long as no test waits for it.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

/// A server that does this with its one connection, and gives what comes of it.
fn server<T: Send + 'static>(
    act: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (Server, Receiver<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let server = Server {
        port: listener.local_addr().expect("it is bound").port(),
        ..Server::default()
    };
    let (sender, outcome) = channel();
    thread::spawn(move || {
        let (tcp, _) = listener.accept().expect("it listens");
        tcp.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let _ = sender.send(act(tcp));
    });
    (server, outcome)
}

/// Why there is no connection, if the handshake may take so long.
fn failure(server: &Server, trust: &Trust, at_most: Duration) -> ConnectError {
    let mut tcp = TcpStream::connect((server.host.as_str(), server.port)).expect("it listens");
    let outcome = shake_hands_within(at_most, &mut tcp, server, trust, &mut |_| {});
    outcome.err().expect("it is no server to trust")
}

/// The same for a server that nothing is known of, and that gets nothing but a hello.
fn failure_after<T: Send + 'static>(
    at_most: Duration,
    act: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> ConnectError {
    let known = KnownServers::new();
    let (server, _outcome) = server(act);
    let error = failure(&server, &known.trust(&[]), at_most);
    assert_eq!(known.text(), "");
    error
}

fn read_some(tcp: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 4_096];
    let len = tcp.read(&mut bytes).expect("something comes");
    bytes.truncate(len);
    bytes
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let error = failure_after(SHORT, |mut tcp| {
        // All that it is sent, until the client hangs up.
        let _ = tcp.read_to_end(&mut Vec::new());
    });
    assert!(matches!(error, ConnectError::Unreachable(_)));
    assert!(error.to_string().contains("does not answer"), "{error}");
}

#[test]
fn a_server_that_trickles_gets_no_more_time() {
    let error = failure_after(Duration::from_millis(200), |mut tcp| {
        // The head of a long record, and then a byte of it whenever there was time to look at the one before.
        let _ = tcp.write_all(&[22, 3, 3, 0x40, 0]);
        while tcp.write_all(&[2]).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(error.to_string().contains("does not answer"), "{error}");
}

#[test]
fn waiting_is_told_once_and_what_it_is_for() {
    let (server, _outcome) = server(|mut tcp| tcp.read_to_end(&mut Vec::new()).is_ok());
    let known = KnownServers::new();
    let mut tcp = TcpStream::connect((server.host.as_str(), server.port)).expect("it listens");
    let mut told = Vec::new();
    let at_most = TOLD_AFTER + SHORT;
    let trust = known.trust(&[]);
    let _ = shake_hands_within(at_most, &mut tcp, &server, &trust, &mut |it| told.push(it));
    let what = format!("waiting for the TLS handshake of {server}");
    assert_eq!(told, [what]);
}

#[test]
fn a_server_that_closes_is_no_server_and_gets_no_name() {
    let errors = [
        failure_after(LONG, drop),
        failure_after(LONG, |mut tcp| drop(read_some(&mut tcp))),
    ];
    for error in errors {
        assert!(matches!(error, ConnectError::Unreachable(_)));
        assert!(
            error.to_string().contains("closes the connection"),
            "{error}"
        );
        assert!(error.to_string().contains("--plain"), "{error}");
    }
    let error = failure_after(LONG, |mut tcp| {
        read_some(&mut tcp);
        tcp.write_all(&[22, 3, 3, 0, 90, 2]).expect("it reads");
    });
    assert!(
        error.to_string().contains("closes the connection"),
        "{error}"
    );
    assert!(!error.to_string().contains("--plain"), "{error}");
}

#[test]
fn a_server_that_answers_in_clear_is_not_spoken_to() {
    for answer in [0x26, 0x21, b'H', 0] {
        let error = failure_after(LONG, move |mut tcp| {
            read_some(&mut tcp);
            tcp.write_all(&[answer, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1])
                .expect("it reads");
            let _ = tcp.read_to_end(&mut Vec::new());
        });
        assert!(matches!(error, ConnectError::NotEncrypted(_)), "{error}");
    }
}

#[test]
fn a_server_that_takes_the_hello_for_a_packet_is_found_out_without_a_name() {
    let (server, heard) = server(|mut tcp| {
        let mut inbound = FrameBuffer::new();
        let mut ids = Vec::new();
        let mut bytes = [0; 1_024];
        while let Ok(len @ 1..) = tcp.read(&mut bytes) {
            inbound.extend(&bytes[..len]);
            while let Some(frame) = inbound.next_frame() {
                let packet = frame.parse();
                ids.push(packet.as_ref().map(Packet::id).ok());
                if let Ok(Packet::PingRequest { request_id }) = packet {
                    let mut answer = Vec::new();
                    let pong = Packet::PingResponse { request_id };
                    pong.encode(&mut answer).expect("it fits");
                    tcp.write_all(&answer).expect("it reads");
                }
            }
        }
        ids
    });
    let known = KnownServers::new();
    let error = failure(&server, &known.trust(&[]), SHORT);
    assert!(matches!(error, ConnectError::NotEncrypted(_)), "{error}");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
    let ids = heard.recv_timeout(PATIENCE).expect("it is over");
    assert_eq!(ids, [None, Some(0x06)]);
}

/// What comes of a link to a server with an identity of its own, which hears nothing.
fn connected(trust: &Trust, is_pinned: bool) -> Result<Vec<Event>, Unfit> {
    let identity = Identity::new();
    let pin = is_pinned.then_some(identity.fingerprint);
    let (mut server, heard) = server(move |tcp| {
        let mut heard = Vec::new();
        let _ = identity.serve(tcp).read_to_end(&mut heard);
        heard
    });
    server.pin = pin;
    let outcome = match Link::connect(&server, trust, |_| {}) {
        Ok(mut link) => Ok(link.take_events()),
        Err(ConnectError::Untrusted(refusal)) => Err(refusal.unfit),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(heard.recv_timeout(PATIENCE).expect("it is over"), b"");
    outcome
}

#[test]
fn the_user_is_shown_the_first_key_and_where_it_is_kept() {
    let known = KnownServers::new();
    let trust = known.trust(&[]);
    let events = connected(&trust, false).expect("it is the first");
    let [
        Event::KeyKept {
            server,
            fingerprint,
            file,
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(*file, known.0.display().to_string());
    assert_eq!(known.text(), format!("{server} sha256={fingerprint}\n"));
    assert_eq!(connected(&trust, true), Ok(Vec::new()));
    assert_eq!(known.text().lines().count(), 2);
}

#[test]
fn a_first_key_that_cannot_be_kept_is_not_trusted_and_a_named_one_is() {
    let known = KnownServers::new();
    let mut trust = known.trust(&[]);
    // What should be a folder is a file.
    std::fs::write(&known.0, "").expect("there is room");
    trust.known_servers = Some(known.0.join("known_servers"));
    let unfit = connected(&trust, false).expect_err("nobody knows what was kept");
    assert!(matches!(unfit, Unfit::Unknowable(_)), "{unfit:?}");
    let events = connected(&trust, true).expect("it is named");
    assert!(
        matches!(&events[..], [Event::KeyNotKept { .. }]),
        "{events:?}"
    );
    // And there may be no folder for it.
    trust.known_servers = None;
    let unfit = connected(&trust, false).expect_err("it cannot be kept");
    assert!(matches!(&unfit, Unfit::NotKept(why) if why.contains("XDG_STATE_HOME")));
    assert_eq!(connected(&trust, true), Ok(Vec::new()));
}

/// How a link ends whose server does this after a login.
fn end(finish: impl FnOnce(OnSocket) + Send + 'static) -> Vec<String> {
    let identity = Identity::new();
    let known = KnownServers::new();
    let pin = Some(identity.fingerprint);
    let (mut server, heard) = server(move |tcp| {
        let mut stream = identity.serve(tcp);
        let mut login = vec![0; 3 + 8 + 2 + 3];
        stream.read_exact(&mut login).expect("somebody logs in");
        stream.write_all(b"hello").expect("it reads");
        finish(stream);
        login
    });
    server.pin = pin;
    let mut link = Link::connect(&server, &known.trust(&[]), |_| {}).expect("it is trusted");
    let state = link.state(&Session::new(Instant::now(), "ann", String::new()));
    assert!(state.protection.is_tcp_encrypted && !state.protection.is_voice_encrypted);
    let encryption = state.encryption.as_ref().expect("it is encrypted");
    assert_eq!(Some(encryption.fingerprint), pin);
    assert!(encryption.suite.starts_with("TLS_"), "{}", encryption.suite);
    let (sender, arrivals) = channel();
    link.start(move |arrival| sender.send(arrival).is_ok())
        .expect("there are descriptors");
    let mut session = Session::new(Instant::now(), "ann", String::new());
    link.flush(&mut session).expect("it reads");
    let login = heard.recv_timeout(PATIENCE).expect("it is over");
    assert_eq!((login[0], &login[13..]), (0x01, &b"ann"[..]));
    let mut all = Vec::new();
    loop {
        match arrivals.recv_timeout(PATIENCE).expect("it comes to an end") {
            Arrival::Bytes(bytes, _) => {
                all.push(String::from_utf8(bytes).expect("it is what was sent"));
            }
            Arrival::Lost(reason) => {
                all.push(reason);
                return all;
            }
            _ => {}
        }
    }
}

#[test]
fn what_is_said_arrives_and_an_end_is_told_from_a_cut() {
    let closed = end(|stream| stream.close());
    assert_eq!(closed, ["hello", "the server closed the connection"]);
    let cut = end(drop);
    assert_eq!(cut, ["hello", "the connection to the server was cut off"]);
}
