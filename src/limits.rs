//! Every bound of the server, with its reason. Nothing grows past these constants or, where an
//! operator can set them, past [`Limits`].
//!
//! Sizes are in bytes, and counts are per server unless the name says otherwise.
//!
//! Public are the bounds that an application sets, or that it and its clients meet: ranges of
//! settings, bursts, lengths. How the server divides its work, and what it asks of the kernel, is
//! private.

#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "some of them bound what only Linux can do")
)]

mod settable;

pub use settable::Limits;

use std::time::Duration;
use voiceapp_protocol::SEAL_OVERHEAD_BYTES;
pub use voiceapp_protocol::{
    FRAME_BYTES_MAX, FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX, USERNAME_BYTES_MAX,
    VOICE_DATA_BYTES_MAX, VOICE_FRAME_BYTES_MAX, VOICE_HEADER_BYTES,
};

/// Combining marks on one letter of a username: what UTS #39 (section 5.4) takes for the most that any
/// writing has. More of them grow over the lines above and below.
pub const MARKS_PER_LETTER_MAX: u32 = 4;

/// A chat message, in bytes of UTF-8, at most and if nothing less is set: a page of text. One
/// message is copied to every user. So this times the number of users is what a single frame can
/// make the server write.
pub const CHAT_BYTES_MAX: usize = 4_096;

/// Chat messages that a user may send at once before the rate counts: a pasted list, and a few
/// thoughts about it. Existing clients ignore a refusal, so that no person should meet this limit.
pub const CHAT_BURST: u32 = 40;

/// What the users of an address may make everyone read at once, in seconds of the permitted rate: at the
/// default, some thirty messages of the greatest length.
pub const BROADCAST_BURST_PER_ADDRESS: u32 = 8;

/// What all users may make everyone read at once, in half seconds of the permitted rate. At the default it
/// is 192 KiB, so that it fits into the queue of a reader that has stopped for a moment
/// ([`outbound_bytes_max`]).
pub(crate) const BROADCAST_BURST_HALF_SECONDS: u32 = 3;

/// The part of what all may make everyone read that any address may use, however much the others
/// use: to keep others quiet takes this many addresses.
pub(crate) const BROADCAST_SHARES: u32 = 64;

/// The reserve for such shares, beyond what all may make everyone read at once: that, divided by
/// this. With it, the total is 240 KiB at the default, which still fits into that queue.
pub const BROADCAST_RESERVE_PART: u64 = 4;

/// The reserve is for an address that has spent no more of its own budget than this, in millionths.
pub(crate) const BROADCAST_QUIET_MILLIONTHS: u64 = 125_000;

/// What a frame that everyone gets costs beside its bytes, as if it were this many more: the share of a
/// packet's headers and of a reader's work.
pub const BROADCAST_OVERHEAD_BYTES: usize = 32;

/// The most that a single frame to everyone costs, a chat message: its frame has 21 bytes beside
/// its text.
pub(crate) const BROADCAST_BYTES_MAX: u32 =
    (FRAME_HEADER_BYTES + 18 + CHAT_BYTES_MAX + BROADCAST_OVERHEAD_BYTES) as u32;

/// When to try again to send everyone what was too much, if it was not its own user's rate that was
/// exceeded.
pub const BROADCAST_RETRY: Duration = Duration::from_millis(50);

/// Voice that a user or an address may send at once, in seconds of the permitted rate: after a stall of
/// the network that long, all that was held up still gets through.
pub const VOICE_BURST: u32 = 6;

/// The highest rate that can be set, of anything a second. It keeps a burst within 32 bits.
pub const RATE_CEILING: u32 = 500_000_000;

/// The slot that one received datagram lies in. Longer datagrams arrive cut to this size, which
/// costs nothing that counts: the longest frame the relay accepts fits, and what follows a frame is
/// ignored.
pub const DATAGRAM_SLOT_BYTES: usize = 2_048;

/// The most users that can be set with `--max-users`. The tables are sized at start: at this figure
/// they take about 50 MiB.
pub const MAX_USERS_CEILING: usize = 100_000;

/// The most pending connections that can be set with `--max-pending-connections`.
pub const PENDING_CONNECTIONS_CEILING: usize = 65_536;

/// Bytes of a connection that has not logged in: a login, a ping and a mute state are below a hundred
/// bytes.
pub(crate) const PENDING_BYTES: usize = 4_096;

/// Connections that may exceed [`PENDING_BYTES`] before their login at a time. The protocol allows
/// a frame of any length at any time, but few clients send a long one before their login. Together
/// they hold at most 4 MiB.
pub(crate) const LARGE_PENDING_MAX: usize = 64;

/// Bytes of a client in its handshake of TLS: the longest there are, with keys for an age of quantum computers and
/// many extensions, are below 4 KiB. With [`Limits::handshakes`] it bounds what handshakes hold.
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

/// How long an address is refused that has connected too often.
pub const REFUSAL_TIME: Duration = Duration::from_secs(60);

/// What an address may do at once, as minutes of its rate: clients that have connected and have to
/// connect again at once, such as a party behind one NAT whose router was restarted.
pub const ADDRESS_BURST_MINUTES: u32 = 2;

/// Addresses without a connection that are remembered, with how often they connected and what voice
/// they have sent. Those that have been gone the longest are forgotten first.
pub(crate) const SOURCES_REMEMBERED_MAX: usize = 4_096;

/// Events about a user's voice and mute state that are announced at once before the rate counts: a
/// user who cannot decide, for a moment.
pub const STATE_BURST: u32 = 10;

/// Networks and addresses in a ban file: its list takes 3 MiB then, and a search in it is 17 steps.
pub const BANS_MAX: usize = 100_000;

/// The length of a ban file, in bytes: room for that many, with comments.
pub(crate) const BAN_FILE_BYTES_MAX: u64 = 8 * 1_024 * 1_024;

/// The length of a file with a certificate or a key, in bytes: a chain of some has ten thousand.
pub(crate) const CERTIFICATE_FILE_BYTES_MAX: u64 = 1_024 * 1_024;

/// A password or the secret of a name, in bytes. One is compared with each that there is.
pub const SECRET_BYTES_MAX: usize = 128;

/// Passwords in a password file: comparing a guess with all of them takes some 20 µs.
pub const PASSWORDS_MAX: usize = 256;

/// The length of a password file, in bytes: room for that many, with comments.
pub(crate) const PASSWORD_FILE_BYTES_MAX: u64 = 128 * 1_024;

/// Reserved names: a login is compared with the one that it names.
pub const RESERVED_NAMES_MAX: usize = 1_000;

/// The name of a server, in bytes of UTF-8: clients show it in a line.
pub const SERVER_NAME_BYTES_MAX: usize = 64;

/// The welcome of a server, in bytes of UTF-8: some sentences, sent with each login that asks.
pub const WELCOME_BYTES_MAX: usize = 1_024;

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

/// What is asked of the kernel for each of the voice socket's buffers. Half a second of 100
/// speakers, as the kernel counts (a small datagram takes about a kilobyte of it), so that no stall
/// short of that loses voice.
pub(crate) const SOCKET_BUFFER_BYTES: usize = 4 * 1_024 * 1_024;

/// The differentiated services code point of voice: expedited forwarding (RFC 3246), as RFC 4594
/// recommends for telephony.
pub(crate) const DSCP_EXPEDITED_FORWARDING: u32 = 46;

/// The priority of voice in the machine's own queues (`SO_PRIORITY`, socket(7)): the highest that
/// needs no privilege.
pub(crate) const SOCKET_PRIORITY: u32 = 6;

/// Descriptors beside those of connections: standard streams, the sockets, the poll, those kept in
/// reserve, and some for the application around the server.
pub(crate) const OTHER_DESCRIPTORS: usize = 32;

/// Datagrams received by one call, and sent on together at most.
pub(crate) const DATAGRAMS_PER_BATCH: usize = 64;

/// Calls that receive a batch in one poll of the voice socket. Reading must keep up with what
/// comes, or the kernel's buffer fills, and all voice waits as long as it is: with this many, it
/// keeps up with 70,000 datagrams a second while each poll sends for 3 ms. More of them cost
/// throughput at full load, because what is read must be dropped.
pub(crate) const RECEIVES_PER_POLL: usize = 4;

/// Slots for received datagrams, 2 MiB in all.
pub(crate) const VOICE_SLOTS: usize = 1_024;

/// Deliveries (datagrams times listeners) in one poll of voice, and so the most that go out before
/// the kernel is asked for newer voice: some milliseconds. Half as many made voice beside a flood a
/// third faster (p99 10 instead of 17 ms), and cost an eighth of the throughput.
pub(crate) const DELIVERIES_PER_POLL: usize = 8_192;

/// Datagrams that go out in one poll whatever the number of listeners: with so few in a message,
/// coalescing already saves three quarters of a delivery's price, which a large room needs.
pub(crate) const DATAGRAMS_TOGETHER_MIN: usize = 16;

/// Deliveries that may wait in the server. With more, equal shares of half of it stay, and the rest is
/// dropped: all of it would take 25 to 150 ms.
pub(crate) const WAITING_DELIVERIES_MAX: usize = 65_536;

/// Datagrams that may wait whatever the number of listeners: some people who speak at the same
/// moment.
pub(crate) const WAITING_DATAGRAMS_MIN: usize = 16;

/// Datagrams that may wait among so many listeners.
pub(crate) fn waiting_max(listeners: usize) -> usize {
    let most = VOICE_SLOTS - DATAGRAMS_PER_BATCH;
    (WAITING_DELIVERIES_MAX / listeners.max(1)).clamp(WAITING_DATAGRAMS_MIN, most)
}

/// Datagrams that go out in one poll to so many listeners.
pub(crate) fn sent_per_poll_max(listeners: usize) -> usize {
    (DELIVERIES_PER_POLL / listeners.max(1)).max(DATAGRAMS_TOGETHER_MIN)
}

/// Messages handed to the kernel by one send call. Longer batches gain nothing: the price of the
/// call itself is already spread over this many.
pub(crate) const SENDS_PER_CALL: usize = 64;

/// Pieces of memory in the messages of one send call. A message needs one, and one more for every
/// frame of its recipient's own that is left out of it.
pub(crate) const PIECES_PER_CALL: usize = 256;

/// Datagrams in one message, by `UDP_SEGMENT`: what every kernel that knows it takes
/// (`UDP_MAX_SEGMENTS`, raised to 128 later).
pub(crate) const SEGMENTS_PER_MESSAGE: usize = 64;

/// Bytes in one message: the IPv4 and UDP headers (28) must still fit into 65,535.
pub(crate) const MESSAGE_BYTES_MAX: usize = 65_507;

/// The longest datagram that shares a message. A segment over the path's MTU is refused instead of
/// fragmented; this fits every path that can carry IPv6 (an MTU of 1,280, less 48 bytes of headers;
/// RFC 8200, section 5) and so stays clear of the usual 1,472 and 1,452. Voice is far below it, and
/// longer datagrams are few and gain little.
pub(crate) const SEGMENT_BYTES_MAX: usize = 1_232;

/// Messages with several datagrams that must be refused in a row, while their datagrams are taken
/// one by one, before the server stops sending such messages. One listener behind a path that
/// cannot take them is not enough.
pub(crate) const SEGMENT_REFUSALS_MAX: u32 = 4;

/// Zeros that may be added to a datagram so that it can share a message with longer ones. Sharing
/// saves about a microsecond per datagram and costs these bytes on the wire, only while several
/// datagrams wait at once. Opus at 96 kbit/s varies by about this much from frame to frame, so that
/// a room of speakers makes one message; it adds a quarter to their bytes on average, headers
/// included. Frames that differ more, such as silence and speech, make two messages.
pub(crate) const PADDING_BYTES_MAX: usize = 128;

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

/// How long a broadcast may wait for more of the same, so that a thousand logins are not a million
/// writes. Answers are never held back, and take with them what waits.
pub(crate) const HOLD_BACK: Duration = Duration::from_millis(5);

/// With at most this many connections held back, none waits: writing to a few at once costs little.
pub(crate) const HELD_BACK_MIN: usize = 64;

/// Events taken from one poll. What is left comes with the next.
pub(crate) const POLL_EVENTS: usize = 1_024;

/// Answers of `success = false` that one source (an IPv4 address or an IPv6 /64, whatever the port)
/// receives in a row. A client asks once and again after 5 s, so this is a dozen refused clients
/// behind one NAT at the same moment.
pub const FALSE_ANSWERS_BURST: u32 = 12;

/// How often one more such answer is allowed to a source after that.
pub const FALSE_ANSWER_INTERVAL: Duration = Duration::from_millis(500);

/// Sources that this limit tells apart, by a keyed hash. The table never grows: sources with one
/// place in it share its allowance, so that forged sources cannot get more than the table as a
/// whole allows (2,048 answers, or 24 KiB, a second).
pub(crate) const FALSE_ANSWER_SOURCES: usize = 1_024;

/// Forged datagrams with one user's key id, from addresses that the user has not proved, that the relay
/// tries to open in one second. A flood costs no more than that, and a user who moves while the network
/// damages some datagrams is still heard.
pub const WRONG_TAGS_PER_SECOND: u32 = 50;

/// Path challenges that a user's new addresses get at once.
pub const CHALLENGE_BURST: u32 = 4;

/// The interval of further challenges: a client that moves may lose datagrams.
pub const CHALLENGE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a challenge has the same value, in milliseconds. The last value is valid too, so that an answer
/// has at least this long.
pub(crate) const CHALLENGE_PERIOD_MS: u64 = 10_000;

/// Bytes of sealed datagrams that one send call takes at most: some dozen listeners who hear a roomful at
/// once, and few enough to stay in the processor's caches.
pub(crate) const SEALED_BYTES_PER_CALL: usize = 256 * 1_024;

/// Lines in the log about logins, departures and refusals, at once before the rate counts: everyone
/// of a large server leaves and comes back. Logins and departures have a budget of their own, and
/// refusals have another, so that a flood of refusals hides no login.
pub const JOURNAL_BURST: u32 = 2_000;

/// Such lines a second after that: about 100 MB a day, with a flood that lasts as long. One address
/// can cause half as many logins and departures.
pub(crate) const JOURNAL_LINES_PER_SECOND: u32 = 10;

/// How long lines that are left out are counted before the log says how many they were.
pub(crate) const JOURNAL_SILENCE: Duration = Duration::from_secs(2);

/// The shortest time between two pages of statistics, or two readings of the ban file, however
/// often they are requested: each leaves lines in the log.
pub const REQUEST_INTERVAL: Duration = Duration::from_secs(1);

/// Requests of an application's threads that wait for the loop. The threads wait for their answers
/// in any case, so that more room would gain nothing.
pub const REQUESTS_WAITING_MAX: usize = 64;

/// Exchanges on the metrics port at a time: collectors are few.
pub const HTTP_EXCHANGES_MAX: usize = 4;

/// The head of a request on the metrics port.
pub const HTTP_REQUEST_BYTES_MAX: usize = 8 * 1_024;

/// How long an exchange on the metrics port may take.
pub(crate) const HTTP_DEADLINE: Duration = Duration::from_secs(5);

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

// The bounds must agree with each other.
const _: () = {
    assert!(INBOUND_BYTES_MAX >= FRAME_BYTES_MAX);
    // A stage has room for its handshakes and for others.
    assert!(2 * HANDSHAKE_STEPS_PER_STAGE * HANDSHAKE_WORK_UNITS <= WORK_PER_STAGE);
    assert!(VOICE_FRAME_BYTES_MAX < DATAGRAM_SLOT_BYTES);
    assert!(outbound_bytes_max(1) > FRAME_BYTES_MAX + CHAT_BYTES_MAX);
    assert!(
        WORK_PER_STAGE >= FRAMES_PER_CONNECTION_PER_TURN
            && WORK_PER_STAGE > WORK_BETWEEN_FULL_POLLS
            && WORK_BETWEEN_FULL_POLLS > WORK_BETWEEN_VOICE
    );
    // Connections are numbered by u32, and the numbers must leave room for the loop's own tokens.
    assert!(MAX_USERS_CEILING + PENDING_CONNECTIONS_CEILING < u32::MAX as usize);
    assert!(VOICE_HEADER_BYTES + SEGMENT_BYTES_MAX <= DATAGRAM_SLOT_BYTES);
    assert!(SEGMENT_BYTES_MAX <= 1_452 && SEGMENT_BYTES_MAX <= MESSAGE_BYTES_MAX);
    // Every message fits into what is sealed for one call.
    assert!(MESSAGE_BYTES_MAX <= SEALED_BYTES_PER_CALL);
    assert!(VOICE_FRAME_BYTES_MAX + SEAL_OVERHEAD_BYTES <= DATAGRAM_SLOT_BYTES);
    assert!(SEGMENT_BYTES_MAX > SEAL_OVERHEAD_BYTES);
    // There is always room to receive a batch.
    assert!(WAITING_DATAGRAMS_MIN + DATAGRAMS_PER_BATCH <= VOICE_SLOTS);
    assert!(PIECES_PER_CALL >= SENDS_PER_CALL && PIECES_PER_CALL > DATAGRAMS_PER_BATCH);
    assert!(RATE_CEILING.checked_mul(VOICE_BURST).is_some());
    assert!(RATE_CEILING.checked_mul(ADDRESS_BURST_MINUTES).is_some());
    // One change of a user's state is two events at most.
    assert!(STATE_BURST >= 2);
    // A chat message is written into a frame with 18 bytes beside it.
    assert!(CHAT_BYTES_MAX + 18 <= PAYLOAD_BYTES_MAX);
};
