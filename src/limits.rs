//! Every bound of the server, with its reason. Nothing grows past these constants or, where an
//! operator can set them, past [`Limits`].
//!
//! Sizes are in bytes, and counts are per server unless the name says otherwise.
//!
//! Public are the bounds that an application sets, or that it and its clients meet: ranges of
//! settings, bursts, lengths. How the server divides its work, and what it asks of the kernel, is
//! private.
//!
//! Voice and connections have their bounds in files of their own. Those of people are here: names,
//! chat, addresses, files, the log and requests.

#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "some of them bound what only Linux can do")
)]

mod connections;
mod settable;
mod voice;

pub use connections::*;
pub use settable::Limits;
pub use voice::*;

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

/// The highest rate that can be set, of anything a second. It keeps a burst within 32 bits.
pub const RATE_CEILING: u32 = 500_000_000;

/// The most users that can be set with `--max-users`. The tables are sized at start: at this figure
/// they take about 50 MiB.
pub const MAX_USERS_CEILING: usize = 100_000;

/// The most pending connections that can be set with `--max-pending-connections`.
pub const PENDING_CONNECTIONS_CEILING: usize = 65_536;

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
