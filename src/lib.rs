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
//! ground    event, limits, bans, cause    ids, bounds, who is kept out, what was turned away and why
//!           name          what a user may be called
//! ```
//!
//! Each line knows only those below it. From the switchboard down everything is a pure state
//! machine: it is told bytes and the time, and answers with bytes and decisions.
//!
//! # The contract
//!
//! 1. Time enters once a turn of the loop, and randomness as data.
//! 2. The relay has heard every event before it looks at the next datagram.
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
//! What the server logs goes to the [`log`] crate's facade. It installs no logger, and no signal
//! handlers unless `Server::handle_signals` is called, which comes with the default feature `cli`; without
//! default features, neither a logger nor an argument parser nor signals are built. It leaves the allocator as it is; what the
//! binary sets is in [`return_large_buffers`], for an application whose memory is mostly the server's.
//!
//! # The halves without sockets
//!
//! ```
//! use std::time::Instant;
//! use voiceapp_server::event::{ConnectionId, Now, VoiceToken};
//! use voiceapp_server::management::Outbox;
//! use voiceapp_server::protocol::{Frame, Packet};
//! use voiceapp_server::{HashKey, Limits, ManagementServer};
//!
//! let key = HashKey(1, 2); // random where it matters
//! let mut server = ManagementServer::new(Limits::default(), key);
//! let mut outbox = Outbox::new();
//! let now = Now { instant: Instant::now(), unix_ms: 0 };
//! let alice = ConnectionId(0);
//! let address = [192, 0, 2, 1].into();
//! server.handle_connect(now, alice, address, VoiceToken(42), &mut outbox).expect("there is room");
//!
//! let mut bytes = Vec::new();
//! Packet::LoginRequest { request_id: 1, username: "alice" }.encode(&mut bytes)?;
//! let frame = Frame::first_of(&bytes)?;
//! server.handle_frame(now, alice, frame, &mut outbox);
//! assert!(outbox.ends().is_empty(), "it is well formed");
//!
//! let (_, frames) = outbox.deliveries().next().expect("the login is answered");
//! let answer = Frame::first_of(frames)?.parse()?;
//! assert!(matches!(answer, Packet::LoginResponse { voice_token: VoiceToken(42), .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(missing_docs, unsafe_code)]

pub mod bans;
pub mod cause;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
mod connection;
pub mod event;
pub mod figures;
mod hash;
pub mod histogram;
pub mod limits;
pub mod management;
pub mod metrics;
pub mod name;
pub mod news;
mod quoted;
mod rate;
pub mod relay;
mod server;
pub mod statistics;
pub mod switchboard;
#[allow(unsafe_code)]
mod system;
mod throttle;
mod udp;

pub use bans::BanList;
pub use cause::{Cause, CauseKind, Counters};
pub use config::Config;
pub use hash::HashKey;
pub use limits::Limits;
pub use management::ManagementServer;
pub use news::{ServerEvent, UserInfo};
pub use relay::VoiceRelayServer;
pub use server::{RequestError, Server, ServerError, ServerHandle};
pub use statistics::Statistics;
pub use switchboard::Switchboard;
pub use system::return_large_buffers;
/// The wire format, which is a crate of its own.
pub use voiceapp_protocol as protocol;

/// The README's examples, compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
