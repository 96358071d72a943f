//! The limits that can be set.

use super::{CHAT_BYTES_MAX, VOICE_DATA_BYTES_MAX};
use std::time::Duration;

/// The limits for clients: all together, from one address, and each. Where a field says so, 0 means
/// no limit. An address is an IPv4 address or an IPv6 /64: see [`Source`](crate::event::Source).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Users logged in at a time: 1 to [`MAX_USERS_CEILING`](super::MAX_USERS_CEILING).
    pub users: usize,
    /// Pending connections, which have not logged in, at a time: 4 to
    /// [`PENDING_CONNECTIONS_CEILING`](super::PENDING_CONNECTIONS_CEILING). One more closes the
    /// oldest of them. A client logs in one round trip after it connects, so that a thousand allow
    /// some thousand logins a second.
    pub pending_connections: usize,
    /// Handshakes of TLS under way at a time: 4 to
    /// [`PENDING_CONNECTIONS_CEILING`](super::PENDING_CONNECTIONS_CEILING), and a quarter of them from one
    /// address, if there is a limit on its [connections](Self::connections_per_address). One more of all
    /// closes the oldest; one more of its address is closed itself. A client completes it in one or two round
    /// trips.
    pub handshakes: usize,
    /// Connections from one address at a time, or 0; and a quarter of
    /// [`pending_connections`](Self::pending_connections) before login.
    pub connections_per_address: usize,
    /// Connections a minute from one address, or 0, after a burst of [two minutes'
    /// worth](super::ADDRESS_BURST_MINUTES). An address that connects more often is refused for
    /// [`REFUSAL_TIME`](super::REFUSAL_TIME).
    pub connection_rate: u32,
    /// Logins a minute from one address, or 0, after a burst of two minutes' worth. More are
    /// refused.
    pub login_rate: u32,
    /// Wrong passwords and proofs a minute from one address, or 0, after a burst of two minutes' worth. What
    /// is over is refused without being compared. Right ones count nothing.
    pub guess_rate: u32,
    /// How long a connection may exist without being logged in, whatever it sends: 1 s to 300 s.
    pub login_timeout: Duration,
    /// How long a client may take nothing of what waits for it: 1 s to 300 s. What its machine
    /// acknowledges counts as taken, where the system reports it (Linux), and an outage does not
    /// count.
    pub stall_timeout: Duration,
    /// How long a client whose machine vanished may go unnoticed: 12 s to 3,600 s. An outage of its
    /// line that is over within [five twelfths](Self::outage) of it disconnects nobody.
    pub dead_peer_timeout: Duration,
    /// Bytes that wait for all connections together, in the server and, where the system reports it
    /// (Linux), in the kernel. With more, a connection that does not read is closed when something
    /// is to be queued for it.
    pub outbound_bytes: usize,
    /// Chat messages a second from one user, or 0, after a burst of
    /// [`CHAT_BURST`](super::CHAT_BURST). More are answered `success = false`.
    pub chat_rate: u32,
    /// Bytes of UTF-8 in a chat message: 1 to [`CHAT_BYTES_MAX`].
    pub chat_bytes: usize,
    /// Events a second about one user's joining, leaving and muting, or 0, after a burst of
    /// [`STATE_BURST`](super::STATE_BURST). More are deferred, and then only the last state is
    /// announced.
    pub state_rate: u32,
    /// Bytes a second that the users of one address may make everyone read, or 0, after a burst of
    /// [`BROADCAST_BURST_PER_ADDRESS`](super::BROADCAST_BURST_PER_ADDRESS) seconds' worth: their
    /// messages, and the events about them.
    pub broadcast_bandwidth_per_address: u32,
    /// The same for all users together, or 0, after a burst of one and a half seconds' worth. The
    /// nearer they come to it, the less each address may: an address may have used no greater part
    /// of its own budget than is left of this. Beyond it there is a
    /// [reserve](super::BROADCAST_RESERVE_PART) for addresses that have used little.
    pub broadcast_bandwidth: u32,
    /// Voice datagrams a second from one user, or 0, after a burst of
    /// [`VOICE_BURST`](super::VOICE_BURST) seconds' worth. More are dropped.
    pub voice_rate: u32,
    /// Bytes of voice frames a second from one user, or 0, after a burst of
    /// [`VOICE_BURST`](super::VOICE_BURST) seconds' worth. More are dropped.
    pub voice_bandwidth: u32,
    /// Voice datagrams a second from all users of one address, or 0, after a burst of
    /// [`VOICE_BURST`](super::VOICE_BURST) seconds' worth. More are dropped.
    pub voice_rate_per_address: u32,
    /// Bytes of voice frames a second from all users of one address, or 0, after a burst of
    /// [`VOICE_BURST`](super::VOICE_BURST) seconds' worth. More are dropped.
    pub voice_bandwidth_per_address: u32,
    /// How long a voice datagram may have waited, in the kernel and in the server, and still be
    /// relayed: 20 ms to 60 s. Linux reports both; elsewhere only the wait in the server counts.
    pub voice_age: Duration,
    /// Whether a user's voice may come from and go to another address than the user's connection.
    /// With `false`, nobody can direct voice at a third party by forging the source of a proof, and
    /// clients that reach the server from two addresses at once have no voice.
    pub voice_from_anywhere: bool,
    /// Voice data in one datagram, in bytes: 1 to [`VOICE_DATA_BYTES_MAX`].
    pub voice_bytes: usize,
}

impl Limits {
    /// The defaults, without the limits that can be switched off.
    pub const UNLIMITED: Limits = Limits {
        connections_per_address: 0,
        connection_rate: 0,
        login_rate: 0,
        guess_rate: 0,
        chat_rate: 0,
        state_rate: 0,
        broadcast_bandwidth_per_address: 0,
        broadcast_bandwidth: 0,
        voice_rate: 0,
        voice_bandwidth: 0,
        voice_rate_per_address: 0,
        voice_bandwidth_per_address: 0,
        ..Limits::DEFAULT
    };

    const DEFAULT: Limits = Limits {
        users: 1_000,
        pending_connections: 1_024,
        // The hundred people below, from each of four addresses: 8 MiB at most.
        handshakes: 512,
        // A hundred people at a party behind one NAT, who all start at once, and again when the
        // power comes back.
        connections_per_address: 100,
        connection_rate: 120,
        login_rate: 60,
        // A family that has forgotten the password can try; guessing it is hopeless.
        guess_rate: 10,
        login_timeout: Duration::from_secs(10),
        stall_timeout: Duration::from_secs(10),
        dead_peer_timeout: Duration::from_secs(60),
        outbound_bytes: 256 * 1_024 * 1_024,
        // Someone who pastes a list, and a bot that reads one out.
        chat_rate: 4,
        chat_bytes: CHAT_BYTES_MAX,
        // Faster than anyone mutes by hand.
        state_rate: 5,
        // A hundred short messages a second from one address, or forty from one and nine hundred from
        // all: any line that carries voice for a few carries that.
        broadcast_bandwidth_per_address: 16 * 1_024,
        broadcast_bandwidth: 128 * 1_024,
        // An Opus client sends 50 datagrams and 12,000 to 14,000 bytes. A bot with several sources, or
        // with short frames, sends more of the one and not of the other.
        voice_rate: 200,
        voice_bandwidth: 64 * 1_024,
        // Sixty open microphones, or eighty by their bytes.
        voice_rate_per_address: 3_000,
        voice_bandwidth_per_address: 1_024 * 1_024,
        voice_age: Duration::from_millis(500),
        voice_from_anywhere: true,
        voice_bytes: VOICE_DATA_BYTES_MAX,
    };

    /// The longest voice frame, in bytes.
    pub(crate) fn voice_frame_bytes(&self) -> usize {
        super::VOICE_HEADER_BYTES + self.voice_bytes
    }

    /// The longest outage of a client's line that disconnects nobody, whenever it begins and
    /// whatever is under way: five twelfths of [`dead_peer_timeout`](Self::dead_peer_timeout).
    ///
    /// With something under way, the kernel sends it again after a time that doubles with each
    /// attempt. So the first attempt after an outage can come as long after its end as it lasted.
    /// Before the outage, the client may have been silent for the time until the kernel asks. The
    /// sum is eleven twelfths, and the rest is for round trips. (Since Linux 6.15 the attempts come
    /// regularly.)
    pub fn outage(&self) -> Duration {
        self.dead_peer_timeout * 5 / 12
    }

    /// How long a client's machine may be silent although the kernel asks: a little less than
    /// [`dead_peer_timeout`](Self::dead_peer_timeout), so that the others learn of it in time.
    pub(crate) fn silence(&self) -> Duration {
        self.dead_peer_timeout * 59 / 60
    }

    /// The silence after which the kernel asks, and the time between two questions. It counts in whole
    /// seconds.
    pub(crate) fn keepalive(&self) -> Duration {
        Duration::from_secs((self.dead_peer_timeout.as_secs() / 12).max(1))
    }

    /// Unanswered probes after which the kernel gives a silent client up, where the server cannot
    /// see itself which client is silent: one interval before its time is over.
    #[cfg(any(not(windows), test))]
    pub(crate) fn keepalive_retries(&self) -> u32 {
        let intervals = self.dead_peer_timeout.as_secs() / self.keepalive().as_secs();
        u32::try_from(intervals).unwrap_or(u32::MAX) - 2
    }

    /// The longest time between two retransmissions, where it can be set.
    #[cfg(target_os = "linux")]
    pub(crate) fn retransmission(&self) -> Duration {
        self.keepalive().min(Duration::from_secs(120))
    }

    /// How long the kernel may go on without an acknowledgement before it gives up by itself. That
    /// must not happen before the server gives up, whatever else the system is set to.
    #[cfg(target_os = "linux")]
    pub(crate) fn user_timeout(&self) -> Duration {
        self.dead_peer_timeout + self.stall_timeout
    }

    /// Handshakes of TLS that one address may have under way, or 0.
    pub(crate) fn handshakes_per_address(&self) -> usize {
        match self.connections_per_address {
            0 => 0,
            _ => self.handshakes / 4,
        }
    }

    /// Connections that one address may have before login, or 0.
    pub(crate) fn pending_per_address(&self) -> usize {
        match self.connections_per_address {
            0 => 0,
            _ => self.pending_connections / 4,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between two segments of a silent client a question's time passes at most; with the kernel's
    /// doubling, the next attempt is as long after an outage as it lasted.
    #[test]
    fn every_outage_that_is_promised_to_end_nobody_is_over_in_time() {
        let round_trips = Duration::from_millis(800);
        for seconds in 12..=3_600 {
            let limits = Limits {
                dead_peer_timeout: Duration::from_secs(seconds),
                ..Limits::DEFAULT
            };
            let latest = limits.keepalive() + limits.outage() * 2 + round_trips;
            assert!(latest <= limits.silence(), "{seconds} s");
            assert!(limits.silence() < limits.dead_peer_timeout);
            // Where the kernel has to do alone, by its questions.
            let questions = limits.keepalive_retries();
            assert!(limits.outage() < limits.keepalive() * (questions - 1));
            assert!(limits.keepalive() * (questions + 1) < limits.dead_peer_timeout);
        }
    }
}
