//! What the server itself costs: parsing, the relay's decision without sockets, and the way through
//! a server that runs on a thread beside the benchmark, on loopback: one datagram, and rooms of up
//! to 100 users with up to 50 speakers at once, in every way of sending.

// Criterion's macro makes a public function without a comment.
#![allow(missing_docs)]

#[cfg(feature = "encryption")]
#[path = "../tests/common/sealed_user.rs"]
mod sealed_user;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use voiceapp_server::VoiceRelayServer;
use voiceapp_server::config::UdpSend;
use voiceapp_server::event::{Event, Now, Source, UdpPath, UserId, VoiceToken};
use voiceapp_server::protocol::{Frame, FrameBuffer, Packet, VoiceDatagram};
use voiceapp_server::relay::Verdict;
use voiceapp_server::{Config, HashKey, Limits, Server, ServerError, ServerHandle, Statistics};

/// The data of one 20 ms Opus frame at 96 kbit/s.
const VOICE: [u8; 240] = [0x5A; 240];

const WAYS: [(&str, UdpSend); 3] = [
    ("plain", UdpSend::Plain),
    ("batch", UdpSend::Batch),
    ("coalesce", UdpSend::Coalesce),
];

fn encoded(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes).expect("it fits");
    bytes
}

fn voice_datagram() -> Vec<u8> {
    encoded(&Packet::VoiceData {
        user_id: UserId(0),
        sequence: 1,
        timestamp: 960,
        data: &VOICE,
    })
}

fn parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    let frames = [
        encoded(&Packet::PingRequest { request_id: 1 }),
        encoded(&Packet::LoginRequest {
            request_id: 1,
            username: "alice",
            asked: None,
        }),
        encoded(&Packet::ChatMessageRequest {
            request_id: 1,
            message: "a message of the usual length, some fifty bytes",
        }),
    ];
    for (name, bytes) in ["ping", "login", "chat"].iter().zip(&frames) {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let frame = Frame::first_of(black_box(bytes)).expect("it is whole");
                black_box(frame.parse().expect("it is a packet"));
            });
        });
    }
    let datagram = voice_datagram();
    group.bench_function("voice", |bencher| {
        bencher.iter(|| {
            let voice = VoiceDatagram::check(black_box(&datagram[..])).expect("it is voice");
            black_box(voice.data());
        });
    });
    group.finish();
}

/// A relay with so many listeners beside the speaker, who is the first.
fn room(listeners: u16) -> (VoiceRelayServer, Now, Vec<UdpPath>) {
    let users = usize::from(listeners) + 1;
    let mut relay = VoiceRelayServer::new(
        Limits {
            users,
            ..Limits::UNLIMITED
        },
        HashKey(1, 2),
    );
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let peers: Vec<UdpPath> = (0..=listeners)
        .map(|user| UdpPath {
            remote: (Ipv4Addr::new(192, 0, 2, 1), 10_000 + user).into(),
            local: Some(Ipv4Addr::LOCALHOST.into()),
        })
        .collect();
    for (user, peer) in (1..).zip(&peers) {
        let (id, token) = (UserId(user), VoiceToken(user));
        relay.handle_event(Event::UserConnected {
            id,
            token,
            source: Source::of(peer.remote.ip()),
        });
        relay.handle_event(Event::VoiceJoined { id });
        let mut proof = encoded(&Packet::VoiceAuthRequest {
            request_id: 1,
            voice_token: token,
        });
        let verdict = relay.handle_datagram(now, *peer, &mut proof);
        assert!(matches!(verdict, Verdict::Answer(_)));
    }
    (relay, now, peers)
}

fn decision(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decision");
    for listeners in [1u16, 10, 100, 1_000, 10_000] {
        let (mut relay, now, peers) = room(listeners);
        let mut datagram = voice_datagram();
        group.throughput(Throughput::Elements(listeners.into()));
        let id = BenchmarkId::from_parameter(listeners);
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let verdict = relay.handle_datagram(now, peers[0], black_box(&mut datagram));
                let Verdict::Relay {
                    frame, recipients, ..
                } = verdict
                else {
                    panic!("the speaker is in voice");
                };
                assert_eq!(recipients.len(), usize::from(listeners));
                for recipient in recipients.iter() {
                    black_box((frame, recipient));
                }
            });
        });
    }
    group.finish();
}

/// Logs in, proves an address and joins voice. The connection must be kept.
fn enter(server: &Server, user: usize) -> impl FnOnce() -> (TcpStream, UdpSocket) + use<> {
    let tcp_port = server.management_address().port();
    let udp_port = server.voice_relay_address().port();
    let name = user.to_string();
    move || {
        let mut tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, tcp_port)).expect("it listens");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        // A datagram that is lost is an error, and not an endless wait.
        let patience = Some(Duration::from_secs(10));
        udp.set_read_timeout(patience).expect("it is not zero");
        udp.connect((Ipv4Addr::LOCALHOST, udp_port))
            .expect("the address exists");
        let login = encoded(&Packet::LoginRequest {
            request_id: 1,
            username: &name,
            asked: None,
        });
        tcp.write_all(&login).expect("it is sent");
        let mut voice_token = VoiceToken(0);
        await_packet(&mut tcp, |packet| match packet {
            Packet::LoginResponse {
                voice_token: token, ..
            } => {
                voice_token = token;
                true
            }
            _ => false,
        });
        let proof = encoded(&Packet::VoiceAuthRequest {
            request_id: 2,
            voice_token,
        });
        udp.send(&proof).expect("it is sent");
        udp.recv(&mut [0; 64]).expect("it is answered");
        let join = encoded(&Packet::JoinVoiceChannelRequest { request_id: 3 });
        tcp.write_all(&join).expect("it is sent");
        await_packet(&mut tcp, |packet| {
            matches!(packet, Packet::JoinVoiceChannelResponse { .. })
        });
        (tcp, udp)
    }
}

/// Reads until a packet comes that `is_it` accepts. Nothing is sent after it while this waits.
fn await_packet(tcp: &mut TcpStream, mut is_it: impl FnMut(Packet<'_>) -> bool) {
    let mut frames = FrameBuffer::new();
    let mut bytes = [0; 4_096];
    loop {
        let len = tcp.read(&mut bytes).expect("the server is there");
        frames.extend(&bytes[..len]);
        while let Some(frame) = frames.next_frame() {
            if is_it(frame.parse().expect("servers send packets")) {
                return;
            }
        }
    }
}

/// A server on a thread of its own.
struct Running {
    handle: ServerHandle,
    /// TCP and UDP.
    #[cfg(feature = "encryption")]
    ports: [u16; 2],
    thread: JoinHandle<Result<Statistics, ServerError>>,
}

impl Running {
    /// A server, and so many users in its voice channel.
    fn with_users(udp_send: UdpSend, users: usize) -> (Running, Vec<(TcpStream, UdpSocket)>) {
        let server = Server::bind(&Config {
            management_port: 0,
            voice_relay_port: 0,
            udp_send,
            limits: Limits::UNLIMITED,
            ..Config::default()
        })
        .expect("the system has free ports");
        let entries: Vec<_> = (0..users).map(|user| enter(&server, user)).collect();
        let running = Running {
            handle: server.handle(),
            #[cfg(feature = "encryption")]
            ports: [server.management_address(), server.voice_relay_address()].map(|it| it.port()),
            thread: std::thread::spawn(|| server.run()),
        };
        let users = entries.into_iter().map(|enter| enter()).collect();
        (running, users)
    }

    fn stop(self) {
        self.handle.stop();
        let result = self.thread.join().expect("it does not panic");
        result.expect("it runs to its end");
    }
}

fn round_trip(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one_datagram");
    for (name, udp_send) in WAYS {
        let (server, users) = Running::with_users(udp_send, 2);
        let datagram = voice_datagram();
        let mut heard = [0; 2_048];
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                users[0].1.send(&datagram).expect("it is sent");
                let len = users[1].1.recv(&mut heard).expect("it is relayed");
                assert_eq!(len, datagram.len());
            });
        });
        server.stop();
    }
    group.finish();
}

/// All speakers send at the same instant. The time is up when the user who came last has received
/// them all. Nobody else reads: their buffers are full, so that what the kernel does for each
/// datagram ends at its queue.
fn room_at_once(criterion: &mut Criterion) {
    for (users, speakers) in [(2, 1), (20, 1), (20, 10), (100, 1), (100, 10), (100, 50)] {
        let mut group =
            criterion.benchmark_group(format!("room_{users}_users_{speakers}_speakers"));
        group.throughput(Throughput::Elements((speakers * (users - 1)) as u64));
        group.sample_size(50);
        for (name, udp_send) in WAYS {
            let (server, users) = Running::with_users(udp_send, users);
            let (_, witness) = users.last().expect("there are two at least");
            let datagram = voice_datagram();
            let mut heard = [0; 2_048];
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    for (_, speaker) in &users[..speakers] {
                        speaker.send(&datagram).expect("it is sent");
                    }
                    for _ in 0..speakers {
                        witness.recv(&mut heard).expect("it is relayed");
                    }
                });
            });
            server.stop();
        }
        group.finish();
    }
}

/// The same with sealed voice, in both directions and for everybody.
#[cfg(feature = "encryption")]
fn sealed_room_at_once(criterion: &mut Criterion) {
    use sealed_user::SealedUser;
    for (users, speakers) in [(2, 1), (20, 1), (20, 10), (100, 1), (100, 10), (100, 50)] {
        let mut group =
            criterion.benchmark_group(format!("sealed_room_{users}_users_{speakers}_speakers"));
        group.throughput(Throughput::Elements((speakers * (users - 1)) as u64));
        group.sample_size(50);
        for (name, udp_send) in WAYS {
            let (server, _) = Running::with_users(udp_send, 0);
            let ip = Ipv4Addr::LOCALHOST.into();
            let [tcp_port, udp_port] = server.ports;
            let enter = |user: usize| SealedUser::enter(ip, tcp_port, udp_port, &user.to_string());
            let mut users: Vec<_> = (0..users).map(enter).collect();
            let mut heard = [0; 2_048];
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    for speaker in &mut users[..speakers] {
                        speaker.speak(1, &VOICE);
                    }
                    let witness = users.last_mut().expect("there are two at least");
                    for _ in 0..speakers {
                        witness.receive(&mut heard);
                    }
                });
            });
            server.stop();
        }
        group.finish();
    }
}

/// Without encryption nothing is sealed.
#[cfg(not(feature = "encryption"))]
fn sealed_room_at_once(_criterion: &mut Criterion) {}

criterion_group!(
    benches,
    parsing,
    decision,
    round_trip,
    room_at_once,
    sealed_room_at_once
);
criterion_main!(benches);
