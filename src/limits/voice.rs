//! The bounds of voice: datagrams that are received, wait, are judged and go out, and what the kernel
//! is asked for on their behalf.
//!
//! A delivery is one datagram for one listener. How many there are decides how long voice takes.

use std::time::Duration;

/// Voice that a user or an address may send at once, in seconds of the permitted rate: after a stall of
/// the network that long, all that was held up still gets through.
pub const VOICE_BURST: u32 = 6;

/// The slot that one received datagram lies in. Longer datagrams arrive cut to this size, which
/// costs nothing that counts: the longest frame the relay accepts fits, and what follows a frame is
/// ignored.
pub const DATAGRAM_SLOT_BYTES: usize = 2_048;

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
