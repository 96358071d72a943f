//! The bounds of connections: their buffers here and in the kernel, handshakes, and their share of a
//! turn of the loop.
//!
//! Work is counted in units. Voice is polled between them, so that no connection delays it.

use super::{FRAME_BYTES_MAX, USERNAME_BYTES_MAX};
use std::time::Duration;

/// Bytes of a connection that has not logged in: a login, a ping and a mute state are below a hundred
/// bytes.
pub(crate) const PENDING_BYTES: usize = 4_096;

/// Connections that may exceed [`PENDING_BYTES`] before their login at a time. The protocol allows
/// a frame of any length at any time, but few clients send a long one before their login. Together
/// they hold at most 4 MiB.
pub(crate) const LARGE_PENDING_MAX: usize = 64;

/// Bytes that a client sends in its handshake of TLS. The longest, with post-quantum keys and many
/// extensions, are below 4 KiB. With [`Limits::handshakes`](super::Limits::handshakes) it bounds what handshakes hold.
pub(crate) const HANDSHAKE_BYTES_MAX: usize = 16 * 1_024;

/// Units of work that a step of a handshake counts as. The costliest, a signature and an agreement on a key, take as
/// long as some twenty writes.
pub(crate) const HANDSHAKE_WORK_UNITS: usize = 24;

/// Records of TLS that count as one unit of work when they are opened, short as they may be: a third of a
/// microsecond each.
pub(crate) const RECORDS_PER_WORK_UNIT: usize = 16;

/// Steps of handshakes in one turn, so that a thousand clients that come back at once leave room for those who
/// are there.
pub(crate) const HANDSHAKE_STEPS_PER_STAGE: usize = 8;

/// Bytes received on a connection and not yet handled: one whole frame, so that the longest can be
/// completed. What else has arrived waits in the kernel.
pub const INBOUND_BYTES_MAX: usize = FRAME_BYTES_MAX;

/// What a newcomer receives about one user at most, beyond the login response:
/// UserJoinedServer (3 + 8 + 2 + name + 2), UserJoinedVoice (11), UserMuteState (12) and UserFlags (12).
const NEWCOMER_BYTES_PER_USER: usize = 15 + USERNAME_BYTES_MAX + 11 + 12 + 12;

/// Bytes queued for a connection beyond what its login needs: some hundred chat messages of usual
/// length, or a second of a very busy server, for a reader that has stopped for a moment.
const OUTBOUND_SLACK_BYTES: usize = 256 * 1024;

/// Bytes queued for a connection and not yet taken by the kernel. It holds a full LoginResponse and
/// everything that follows at once on a full server. A connection that would exceed it is closed,
/// because dropping an event would leave its client with a false picture.
pub const fn outbound_bytes_max(max_users: usize) -> usize {
    FRAME_BYTES_MAX + max_users * NEWCOMER_BYTES_PER_USER + OUTBOUND_SLACK_BYTES
}

/// An emptied buffer of a connection keeps at most this much memory: most frames fit, and ten
/// thousand idle users keep at most 2.5 MiB in their two buffers.
pub(crate) const IDLE_BUFFER_BYTES_MAX: usize = 128;

/// Descriptors beside those of connections: standard streams, the sockets, the poll, those kept in
/// reserve, and some for the application around the server.
pub(crate) const OTHER_DESCRIPTORS: usize = 32;

/// Frames and reads per connection and turn. A client has one or two under way. One that has more
/// shares the loop with the others.
pub(crate) const FRAMES_PER_CONNECTION_PER_TURN: usize = 32;

/// Units of work per turn for each of accepting, handling frames, closing connections and flushing,
/// so that none of them delays the others. One unit is a frame, a read, an accepted or a closed
/// connection, a write, or [`WORK_UNIT_BYTES`] read or copied: most of them a system call. Voice
/// that is polled in between counts too. A frame that has been begun is finished, so that a costly
/// one may exceed this.
pub(crate) const WORK_PER_STAGE: usize = 512;

/// Datagrams that count as one unit of work when they are examined.
pub(crate) const DATAGRAMS_PER_WORK_UNIT: usize = 64;

/// Deliveries that count as one unit of work: more than cost as much time, because voice goes
/// first, and few enough that a turn full of voice is over within some tens of milliseconds.
pub(crate) const DELIVERIES_PER_WORK_UNIT: usize = 128;

/// Units of work on TCP between two polls of the voice socket: some twenty microseconds. A poll
/// costs half a microsecond where nothing has come. With 16 units the slowest 0.1 % of deliveries
/// took a third to almost twice as long under a storm of events or logins. The longest that voice
/// waits is for this and one frame more. The costliest frame is a login on a full server, which
/// lists everyone and is announced to everyone.
pub(crate) const WORK_BETWEEN_VOICE: usize = 4;

/// The same while more voice waits than a poll sends. Each poll takes some milliseconds then, and
/// without a fair share logins would wait for as long as that lasts.
pub(crate) const WORK_BETWEEN_FULL_POLLS: usize = 32;

/// Bytes read, or copied into outbound queues, that count as one unit of work.
pub(crate) const WORK_UNIT_BYTES: usize = 8 * 1_024;

/// What a copy costs beside its bytes, as if it were this many more: reaching a connection's queue
/// is a cache miss or two.
pub(crate) const COPY_OVERHEAD_BYTES: usize = 64;

/// How long a broadcast waits at least for more of the same, so that a thousand logins are not a million
/// writes. Answers are never held back, and take with them what waits.
pub(crate) const HOLD_BACK: Duration = Duration::from_millis(5);

/// A broadcast waits this long for each connection there is: four times what a write takes. So where thousands log
/// in at once, writing takes no more than a fifth of the time.
pub(crate) const HOLD_BACK_PER_CONNECTION: Duration = Duration::from_micros(20);

/// But no longer than this, with 10,000 connections and more.
pub(crate) const HOLD_BACK_MAX: Duration = Duration::from_millis(200);
const _: () = assert!(HOLD_BACK.as_micros() < HOLD_BACK_MAX.as_micros());

/// With at most this many connections held back, none waits: writing to a few at once costs little.
pub(crate) const HELD_BACK_MIN: usize = 64;

/// Events taken from one poll. What is left comes with the next.
pub(crate) const POLL_EVENTS: usize = 1_024;

/// How long accepting pauses when connections can be neither accepted nor refused.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that the kernel has completed and the server has not accepted yet: enough for a
/// thousand clients that come back at the same moment. Linux caps it at the sysctl
/// `net.core.somaxconn`, 4,096 by default (listen(2)).
pub(crate) const LISTEN_BACKLOG: i32 = 1_024;

/// Bytes of a connection that the kernel takes beyond what the client's machine has room for
/// (`TCP_NOTSENT_LOWAT`, tcp(7)): a client that does not read takes some 40 KiB of the kernel's
/// memory. By default the kernel lets that grow to megabytes. It costs no throughput: a list of 700
/// KB, for the busiest server of ten thousand, took as long with it as without, over round trips of
/// 10 to 300 ms.
pub(crate) const UNSENT_BYTES: usize = 32 * 1_024;

/// The send buffer of a connection that the kernel is asked for. Linux doubles it for its own
/// bookkeeping. It is the bound for a client that says it has room and then acknowledges nothing.
/// That list took a sixth longer with it at a round trip of 100 ms, a fifth longer at 300 ms, and
/// no longer at 20 ms. With half of it, it took over half as long again.
pub(crate) const SEND_BUFFER_BYTES: usize = 128 * 1_024;

/// The same for the receive buffer. A client sends requests of some bytes, and what a flood of them
/// takes until it is read is the machine's memory.
pub(crate) const RECEIVE_BUFFER_BYTES: usize = 64 * 1_024;

/// Bytes that the kernel has taken of a connection before the server asks it early how many are
/// acknowledged.
pub(crate) const KERNEL_BYTES_UNSEEN: usize = 16 * 1_024;

/// Looks at a connection for which something waits, in the time after which it counts as stalled if it
/// takes nothing.
pub(crate) const LOOKS_PER_STALL: u32 = 10;

/// Further looks, within the time in which a client may be silent, at one that the kernel has not
/// asked by then.
pub(crate) const SILENCE_LOOKS: u32 = 60;

/// Reads that empty a connection before it is closed, so that no client can keep the server busy.
pub(crate) const CLOSING_READS_MAX: usize = 4;

/// How long a stop may take: queued bytes that their readers have not taken by then are discarded.
pub const STOP_DEADLINE: Duration = Duration::from_secs(1);
