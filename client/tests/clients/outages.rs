//! The client when the server is lost, unreachable in part, or no friend.

use crate::programs::{Client, await_end};
use crate::{PATIENCE, Running, TempFile};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use voiceapp_protocol::{
    Frame, FrameBuffer, Packet, Participant, UserId, VoiceToken, encode_login_response,
};

pub fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, port)
}

fn udp() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let port = socket.local_addr().expect("it is bound").port();
    socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
    (socket, port)
}

/// Passes TCP connections on to the server, and gives both ends of each: the client's, and ours to
/// the server.
fn front(server: &Running) -> (u16, Receiver<(TcpStream, TcpStream)>) {
    front_of(Arc::new(AtomicU16::new(server.tcp_port)))
}

/// The same for the server that listens on this port when a connection comes.
pub fn front_of(server: Arc<AtomicU16>) -> (u16, Receiver<(TcpStream, TcpStream)>) {
    let (front, port) = listener();
    (port, pass_on(front, server))
}

/// The same for connections to a listener, from now on.
pub fn pass_on(front: TcpListener, server: Arc<AtomicU16>) -> Receiver<(TcpStream, TcpStream)> {
    let (sender, connections) = channel();
    thread::spawn(move || {
        while let Ok((client, _)) = front.accept() {
            let to = (Ipv4Addr::LOCALHOST, server.load(Ordering::SeqCst));
            let server = TcpStream::connect(to).expect("it listens");
            for (from, to) in [(&client, &server), (&server, &client)] {
                let mut from = from.try_clone().expect("there are descriptors");
                let mut to = to.try_clone().expect("there are descriptors");
                thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
            if sender.send((client, server)).is_err() {
                return;
            }
        }
    });
    connections
}

#[test]
fn a_lost_connection_comes_back_with_its_voice() {
    let server = Running::start();
    let (port, connections) = front(&server);
    let mut client = Client::start_at(&server.invitation_at(port), server.udp_port, "ann", &[]);
    client.await_event("logged_in", None);
    client.tell("/join");
    client.await_voice();
    client.tell("/mute");
    client.await_event("you_muted", None);
    let (connection, _) = connections.recv_timeout(PATIENCE).expect("it was made");
    connection
        .shutdown(Shutdown::Both)
        .expect("it is connected");
    client.await_event("connection_lost", None);
    client.await_event("reconnecting", None);
    // A line that comes now waits.
    client.tell("/who");
    let login = client.await_event("logged_in", None);
    client.await_event("you_joined_voice", None);
    client.await_event("you_muted", None);
    let me = client.await_line("itself", |line| {
        let value: Value = serde_json::from_str(line).expect("each line is JSON");
        value["event"] == "here" && value["user_id"] == login["user_id"]
    });
    let me: Value = serde_json::from_str(&me).expect("it was before");
    assert_eq!(
        (&me["in_voice"], &me["is_muted"]),
        (&true.into(), &true.into())
    );
    assert!(client.end().success());
}

#[test]
fn a_session_that_the_server_has_ended_comes_back_with_its_voice() {
    let server = Running::start();
    let (port, connections) = front(&server);
    let mut bob = Client::start(&server, "bob", &[]);
    bob.await_event("logged_in", None);
    // Without a seal, an answer to the next proof says it. With one, nobody there has the key any more.
    let mut ann = Client::start_plain(port, server.udp_port, "ann", &[]);
    ann.await_event("logged_in", None);
    ann.tell("/join");
    ann.await_voice();
    // As after an outage: the server has given the client up, and the client has not heard of it.
    let (_held_open, connection) = connections.recv_timeout(PATIENCE).expect("it was made");
    connection.shutdown(Shutdown::Both).expect("it is there");
    bob.await_event("left_server", Some("ann"));
    // What is spoken last is followed by a proof.
    ann.tell("/tone 0.1");
    let lost = ann.await_event("connection_lost", None);
    assert_eq!(lost["reason"], "the server has closed the session");
    ann.await_event("logged_in", None);
    ann.await_voice();
    bob.await_event("joined_voice", Some("ann"));
    assert!(ann.end().success());
}

/// A server of its own, one client's.
struct FakeServer {
    tcp: TcpStream,
    inbound: FrameBuffer,
}

impl FakeServer {
    /// Takes a connection, and lets its client log in.
    fn log_in(listener: &TcpListener) -> Self {
        let (tcp, _) = listener.accept().expect("it listens");
        tcp.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let inbound = FrameBuffer::new();
        let mut server = FakeServer { tcp, inbound };
        server.await_packet(|packet| matches!(packet, Packet::LoginRequest { .. }));
        let me = Participant {
            user_id: UserId(1),
            username: "ann",
            in_voice: false,
            is_muted: false,
        };
        let mut answer = Vec::new();
        encode_login_response(&mut answer, 1, me.user_id, VoiceToken(1), [me], None)
            .expect("it fits");
        server.tcp.write_all(&answer).expect("it reads");
        server
    }

    fn await_packet(&mut self, is_it: impl Fn(&Packet<'_>) -> bool) {
        loop {
            while let Some(frame) = self.inbound.next_frame() {
                if is_it(&frame.parse().expect("clients send packets")) {
                    return;
                }
            }
            let mut bytes = [0; 1_024];
            let len = self.tcp.read(&mut bytes).expect("something comes");
            assert!(len > 0, "the client closed the connection");
            self.inbound.extend(&bytes[..len]);
        }
    }
}

/// Answers the proof that comes next.
fn answer_proof(voice: &UdpSocket, success: bool) {
    let mut question = [0; 64];
    loop {
        let (len, from) = voice.recv_from(&mut question).expect("it is asked");
        let frame = Frame::first_of(&question[..len]).expect("clients send frames");
        if let Ok(Packet::VoiceAuthRequest { request_id, .. }) = frame.parse() {
            let mut answer = Vec::new();
            let packet = Packet::VoiceAuthResponse {
                request_id,
                success,
            };
            packet.encode(&mut answer).expect("it fits");
            voice.send_to(&answer, from).expect("there is room");
            return;
        }
    }
}

#[test]
fn who_wants_voice_wants_it_after_any_loss() {
    let (server, port) = listener();
    let (voice, voice_port) = udp();
    let file = TempFile::new();
    let path = file.0.to_str().expect("it is plain").to_owned();
    let mut client = Client::start_plain(port, voice_port, "ann", &["--record", &path]);
    let is_join = |packet: &Packet<'_>| matches!(packet, Packet::JoinVoiceChannelRequest { .. });
    // Lost before it is answered, and before it was ever in voice.
    for _ in 0..2 {
        let mut session = FakeServer::log_in(&server);
        answer_proof(&voice, true);
        session.await_packet(is_join);
        drop(session);
        client.await_event("reconnecting", None);
    }
    let mut session = FakeServer::log_in(&server);
    answer_proof(&voice, true);
    session.await_packet(is_join);
}

#[test]
fn what_was_not_answered_when_the_connection_is_lost_is_given_back() {
    let (server, port) = listener();
    let mut client = Client::start_plain(port, port, "ann", &[]);
    let mut session = FakeServer::log_in(&server);
    client.tell("is anybody there?");
    session.await_packet(|packet| matches!(packet, Packet::ChatMessageRequest { .. }));
    drop(session);
    client.await_event("connection_lost", None);
    let unsaid = client.await_event("refused", None);
    let reason = "this may not have been said: is anybody there?";
    assert_eq!(unsaid["reason"], reason);
}

#[test]
fn voice_without_an_answer_is_said_and_joined_by_nobody() {
    let server = Running::start();
    let (_swallows, voice_port) = udp();
    let mut bob = Client::start(&server, "bob", &[]);
    bob.await_event("logged_in", None);
    let file = TempFile::new();
    let path = file.0.to_str().expect("it is plain");
    let mut ann = Client::start_at(&server.invitation(), voice_port, "ann", &["--record", path]);
    ann.tell("/tone 1");
    ann.await_event("voice_unanswered", None);
    let refused = ann.await_event("refused", None);
    let reason = refused["reason"].as_str().expect("it is text");
    assert!(reason.starts_with("no voice: "), "{reason}");
    // Who came for it alone ends without it.
    assert_eq!(await_end(&mut ann.child).code(), Some(3));
    bob.await_line("the end", |line| {
        let value: Value = serde_json::from_str(line).expect("each line is JSON");
        assert_ne!(value["event"], "joined_voice");
        value["event"] == "left_server"
    });
}

#[cfg(unix)]
#[test]
fn a_server_that_floods_does_not_keep_the_client_from_ending() {
    let (server, port) = listener();
    let mut client = Client::start_plain(port, port, "ann", &[]);
    let mut session = FakeServer::log_in(&server);
    let flood = thread::spawn(move || {
        for id in 2.. {
            let mut bytes = Vec::new();
            for user_id in id * 1_000..(id + 1) * 1_000 {
                let newcomer = Participant {
                    user_id: UserId(user_id),
                    username: "bob",
                    in_voice: false,
                    is_muted: false,
                };
                let packet = Packet::UserJoinedServer {
                    participant: newcomer,
                };
                packet.encode(&mut bytes).expect("it fits");
            }
            if session.tcp.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    client.await_event("too_many", None);
    let id = nix::unistd::Pid::from_raw(client.child.id() as i32);
    nix::sys::signal::kill(id, nix::sys::signal::SIGTERM).expect("it is there");
    assert!(await_end(&mut client.child).success());
    flood.join().expect("it does not panic");
}
