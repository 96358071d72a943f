//! What the server itself costs: parsing, the relay's decision without sockets, and a round trip on loopback through a
//! server that runs on a thread beside the benchmark.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use voiceapp_server::config::UdpSend;
use voiceapp_server::event::{Event, Now, Peer, UserId, VoiceToken};
use voiceapp_server::protocol::{Frame, FrameBuffer, Packet, VoiceDatagram};
use voiceapp_server::relay::{HashKey, Verdict};
use voiceapp_server::{Config, Rates, Server, VoiceRelayServer};

/// The data of one 20 ms Opus frame at 96 kbit/s.
const VOICE: [u8; 240] = [0x5A; 240];

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

/// A relay with so many listeners beside the one who speaks, who is the first.
fn room(listeners: u16) -> (VoiceRelayServer, Now, Vec<Peer>) {
    let users = usize::from(listeners) + 1;
    let mut relay = VoiceRelayServer::new(users, Rates::UNLIMITED, HashKey(1, 2));
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let peers: Vec<Peer> = (0..=listeners)
        .map(|user| Peer {
            remote: (Ipv4Addr::new(192, 0, 2, 1), 10_000 + user).into(),
            local: Some(Ipv4Addr::LOCALHOST.into()),
        })
        .collect();
    for (user, peer) in (1..).zip(&peers) {
        let (id, token) = (UserId(user), VoiceToken(user));
        relay.handle_event(Event::UserConnected { id, token });
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
    for listeners in [1u16, 10, 100, 1_000] {
        let (mut relay, now, peers) = room(listeners);
        let mut datagram = voice_datagram();
        group.throughput(Throughput::Elements(listeners.into()));
        let id = BenchmarkId::from_parameter(listeners);
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let verdict = relay.handle_datagram(now, peers[0], black_box(&mut datagram));
                let Verdict::Relay { frame, recipients } = verdict else {
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
fn enter(server: &Server, name: &str) -> impl FnOnce() -> (TcpStream, UdpSocket) + use<> {
    let tcp_port = server.management_address().port();
    let udp_port = server.voice_relay_address().port();
    let name = name.to_string();
    move || {
        let mut tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, tcp_port)).expect("it listens");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        udp.connect((Ipv4Addr::LOCALHOST, udp_port))
            .expect("the address exists");
        let login = encoded(&Packet::LoginRequest {
            request_id: 1,
            username: &name,
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

/// Reads until a packet comes that is looked for. Nothing is sent after it while this waits.
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

fn round_trip(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("loopback");
    group.measurement_time(Duration::from_secs(5));
    for (name, udp_send) in [("auto", UdpSend::Auto), ("plain", UdpSend::Plain)] {
        let server = Server::bind(&Config {
            management_port: 0,
            voice_relay_port: 0,
            udp_send,
            rates: Rates::UNLIMITED,
            ..Config::default()
        })
        .expect("the system has free ports");
        let (speaker, listener) = (enter(&server, "speaker"), enter(&server, "listener"));
        let handle = server.handle();
        let thread = std::thread::spawn(|| server.run());
        let (_speaker_tcp, speaker) = speaker();
        let (_listener_tcp, listener) = listener();
        let datagram = voice_datagram();
        let mut heard = [0; 2_048];
        group.bench_function(BenchmarkId::new("one_datagram", name), |bencher| {
            bencher.iter(|| {
                speaker.send(&datagram).expect("it is sent");
                let len = listener.recv(&mut heard).expect("it is relayed");
                assert_eq!(len, datagram.len());
            });
        });
        handle.stop();
        let result = thread.join().expect("it does not panic");
        result.expect("it runs to its end");
    }
    group.finish();
}

criterion_group!(benches, parsing, decision, round_trip);
criterion_main!(benches);
