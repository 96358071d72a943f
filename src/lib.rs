//! A self-hosted voice server for groups: login, presence and chat over TCP, and a relay for voice
//! over UDP, in one thread, around one poll loop.
//!
//! # The map
//!
//! ```text
//! door      cli           the binary's options, variables, file and log (feature `cli`)
//!           config        settings, from there or from an application
//! heart     Server        the poll loop: sockets, budgets, the one clock
//! hands     (private)     a connection's bytes; batches of datagrams
//! exchange  switchboard   both halves under one roof, events handed over at once
//! minds     management    people                    relay   addresses
//! words     protocol      frames and packets, both directions
//! stats     figures       the one table behind the statistics page and the metrics
//! ground    event, limits, bans, cause    ids, bounds, bans, causes of refusals
//!           name          names of users
//! ```
//!
//! Each line knows only those below it. From the switchboard down everything is a pure state
//! machine: it takes bytes and the time, and answers with bytes and decisions.
//!
//! # The contract
//!
//! 1. Time enters once a turn of the loop, and randomness as data.
//! 2. The relay has heard every event before it examines the next datagram.
//! 3. Nothing grows past its bound in [`limits`].
//! 4. A datagram never allocates, never panics, and is never logged above trace.
//! 5. One address, one user; and only proven addresses send or receive voice.
//! 6. State events are never lost: they are delivered, or that connection is closed.
//! 7. The same inputs give the same outputs.
//!
//! # A server inside an application
//!
//! ```
//! use voiceapp_server::{Config, Server};
//!
//! let server = Server::bind(&Config {
//!     management_port: 0, // the system chooses
//!     voice_relay_port: 0,
//!     ..Config::default()
//! })?;
//! println!("management on {}", server.management_address());
//! println!("voice on {}", server.voice_relay_address());
//!
//! let handle = server.handle();
//! let thread = std::thread::spawn(move || server.run());
//! // The application does its own work, and in the end:
//! handle.stop();
//! let statistics = thread.join().expect("the server does not panic")?;
//! println!("{statistics}");
//! # Ok::<(), voiceapp_server::ServerError>(())
//! ```
//!
//! Meanwhile another thread can read the server's state, disconnect and ban, and receive events:
//!
//! ```
//! use voiceapp_server::bans::Network;
//! # use voiceapp_server::{Config, Server};
//! # let ports = Config { management_port: 0, voice_relay_port: 0, ..Config::default() };
//! # let mut server = Server::bind(&ports)?;
//!
//! let (handle, events) = (server.handle(), server.events(1_000));
//! let thread = std::thread::spawn(move || server.run());
//! for user in handle.users()? {
//!     println!("{} {} from {}, in voice: {}", user.id, user.name, user.address, user.in_voice);
//!     handle.disconnect(user.id)?;
//! }
//! handle.ban("192.0.2.0/24".parse::<Network>()?)?;
//! handle.announce("Host", "that is enough for today")?;
//! println!("{} users", handle.statistics()?.users);
//! handle.stop();
//! thread.join().expect("the server does not panic")?;
//! for event in events {
//!     println!("{event:?}");
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An application with a loop of its own calls [`Server::turn`] in it, and calls the server
//! directly.
//!
//! What the server logs goes to the [`log`] crate's facade. It installs no logger. It installs
//! signal handlers only if `Server::handle_signals` is called, which comes with the default feature
//! `cli`. Without default features it builds neither a logger nor an argument parser nor signals, and no TLS.
//! With TLS, set [`Config::state_directory`], or clients meet another key after each start.
//! It leaves the allocator as it is. [`return_large_buffers`] has what the binary sets, for an
//! application whose memory is mostly the server's.
//!
//! # The server without sockets
//!
//! A [`Switchboard`] takes connections, frames, datagrams and the time, and answers with what to
//! send to whom. This is a whole run of one: two log in and join voice, one speaks, chats and
//! leaves.
//!
//! ```
//! use std::time::Instant;
//! use voiceapp_server::event::{ConnectionId, Now, UdpPath, UserId, VoiceToken};
//! use voiceapp_server::protocol::{Frame, FrameBuffer, Packet};
//! use voiceapp_server::relay::Verdict;
//! use voiceapp_server::switchboard::Deliver;
//! use voiceapp_server::{Cause, Ended, HashKey, Limits, Switchboard};
//!
//! /// What each connection was sent.
//! struct Wires([FrameBuffer; 2]);
//!
//! impl Deliver for Wires {
//!     fn deliver(&mut self, to: ConnectionId, frames: &[u8]) {
//!         self.0[to.0 as usize].extend(frames);
//!     }
//!
//!     fn end(&mut self, connection: ConnectionId, cause: Ended) {
//!         panic!("{connection} must be closed: {cause}"); // not in this run
//!     }
//! }
//!
//! impl Wires {
//!     /// The next packet for this one must be as it is said to be.
//!     fn expect(&mut self, to: ConnectionId, check: impl FnOnce(Packet<'_>) -> bool) {
//!         let frame = self.0[to.0 as usize].next_frame().expect("something was sent");
//!         assert!(check(frame.parse().expect("servers send packets")), "{frame:?}");
//!     }
//! }
//!
//! fn encoded(packet: Packet<'_>) -> Vec<u8> {
//!     let mut bytes = Vec::new();
//!     packet.encode(&mut bytes).expect("it fits");
//!     bytes
//! }
//!
//! let mut wires = Wires(Default::default());
//! let key = HashKey(1, 2); // random where it matters
//! let mut switchboard = Switchboard::new(Limits::default(), key);
//! let now = Now { instant: Instant::now(), unix_ms: 0 };
//! let [alice, bob] = [ConnectionId(0), ConnectionId(1)];
//! let path = |port| UdpPath { remote: ([192, 0, 2, 1], port).into(), local: None };
//!
//! // Each connects, logs in, proves its UDP address and joins voice.
//! for (id, name) in [(alice, "alice"), (bob, "bob")] {
//!     let token = VoiceToken(0xbead + u64::from(id.0)); // random as well
//!     let address = [192, 0, 2, 1].into();
//!     switchboard.handle_connect(now, id, address, token, &mut wires).expect("there is room");
//!     for packet in [
//!         Packet::LoginRequest { request_id: 1, username: name, asked: None },
//!         Packet::JoinVoiceChannelRequest { request_id: 2 },
//!     ] {
//!         let bytes = encoded(packet);
//!         let frame = Frame::first_of(&bytes)?;
//!         switchboard.handle_frame(now, id, frame, &mut wires);
//!     }
//!     let mut proof = encoded(Packet::VoiceAuthRequest { request_id: 3, voice_token: token });
//!     let verdict = switchboard.handle_datagram(now, path(5_000 + id.0 as u16), &mut proof);
//!     assert!(matches!(verdict, Verdict::Answer(_)));
//! }
//! wires.expect(alice, |it| matches!(it, Packet::LoginResponse { id: UserId(1), .. }));
//! wires.expect(alice, |it| matches!(it, Packet::JoinVoiceChannelResponse { success: true, .. }));
//! wires.expect(alice, |it| matches!(it, Packet::UserJoinedServer { .. }));
//! wires.expect(alice, |it| it == Packet::UserJoinedVoice { user_id: UserId(2) });
//!
//! // Alice speaks: the relay writes her id into the datagram, and names the recipients.
//! let mut voice = encoded(Packet::VoiceData {
//!     user_id: UserId(0),
//!     sequence: 0,
//!     timestamp: 0,
//!     data: b"20 ms of Opus",
//! });
//! match switchboard.handle_datagram(now, path(5_000), &mut voice) {
//!     Verdict::Relay { frame, recipients, .. } => {
//!         let heard = Frame::first_of(frame)?.parse()?;
//!         assert!(matches!(heard, Packet::VoiceData { user_id: UserId(1), .. }));
//!         assert_eq!(recipients.iter().collect::<Vec<_>>(), [&path(5_001)]);
//!     }
//!     other => panic!("{other:?}"),
//! }
//!
//! // She sends a message, which everyone receives, and disconnects, which the others receive.
//! let said = encoded(Packet::ChatMessageRequest { request_id: 4, message: "bye" });
//! let frame = Frame::first_of(&said)?;
//! switchboard.handle_frame(now, alice, frame, &mut wires);
//! switchboard.handle_disconnect(now, alice, Ended::ByPeer, &mut wires);
//! wires.expect(bob, |it| matches!(it, Packet::LoginResponse { id: UserId(2), .. }));
//! wires.expect(bob, |it| it == Packet::UserJoinedVoice { user_id: UserId(1) });
//! wires.expect(bob, |it| matches!(it, Packet::JoinVoiceChannelResponse { .. }));
//! wires.expect(bob, |it| matches!(it, Packet::UserSentMessage { message: "bye", .. }));
//! wires.expect(bob, |it| it == Packet::UserLeftVoice { user_id: UserId(1) });
//! wires.expect(bob, |it| it == Packet::UserLeftServer { user_id: UserId(1) });
//! assert_eq!(switchboard.counters().get(Cause::ClosedByPeer), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Each half alone is such a machine too: [`ManagementServer`] and [`VoiceRelayServer`].

#![deny(missing_docs, unsafe_code)]

pub mod access;
pub mod bans;
pub mod cause;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
mod connection;
pub mod event;
pub mod figures;
pub mod fingerprint;
mod hash;
pub mod histogram;
pub mod limits;
mod log_throttle;
pub mod management;
pub mod metrics;
pub mod name;
pub mod news;
mod quoted;
mod rate;
pub mod relay;
pub mod secret;
mod server;
pub mod statistics;
pub mod switchboard;
#[allow(unsafe_code)]
mod system;
#[cfg_attr(not(feature = "encryption"), path = "tls/none.rs")]
mod tls;
mod udp;

pub use bans::BanList;
pub use cause::{Cause, CauseKind, Counters, Ended};
pub use config::Config;
pub use fingerprint::Fingerprint;
pub use hash::HashKey;
pub use limits::Limits;
pub use management::ManagementServer;
pub use news::{ServerEvent, UserInfo};
pub use relay::VoiceRelayServer;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub use server::simulated as simulation;
pub use server::{RequestError, Server, ServerError, ServerHandle};
pub use statistics::Statistics;
pub use switchboard::Switchboard;
pub use system::return_large_buffers;
/// The wire format, a crate of its own.
pub use voiceapp_protocol as protocol;

/// The README's examples, compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
