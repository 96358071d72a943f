//! The identities that both halves use, the time that they are given, and the events that pass from
//! management to the relay. Plain values: nothing here owns anything or decides anything.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

pub use voiceapp_protocol::{UserId, VoiceSecrets, VoiceToken};

/// A management connection. The caller of the
/// [`ManagementServer`](crate::management::ManagementServer) chooses it: unique among open
/// connections, small (it indexes a table), and free to be used again once the connection is
/// closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What management tells the relay. The relay has handled each event before it examines the next
/// datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A user logged in: from now on `token` proves an address to be theirs.
    UserConnected {
        /// The new user.
        id: UserId,
        /// The token that the user was given.
        token: VoiceToken,
        /// Where the user's connection comes from.
        source: Source,
    },
    /// The user's voice is sealed with these from now on, and plain voice is nobody's. Comes right after the
    /// login, if at all.
    VoiceSealed {
        /// Who.
        id: UserId,
        /// What the keys are made of.
        secrets: VoiceSecrets,
    },
    /// The user entered the voice channel.
    VoiceJoined {
        /// The user.
        id: UserId,
    },
    /// The user left the voice channel.
    VoiceLeft {
        /// The user.
        id: UserId,
    },
    /// The user's mute state is now this. Also sent where joining or leaving voice unmutes.
    MuteChanged {
        /// The user.
        id: UserId,
        /// Whether the others do not hear the user.
        is_muted: bool,
    },
    /// The user has left: the token is no longer valid, and the address is free.
    UserDisconnected {
        /// The user.
        id: UserId,
    },
}

/// One reading of the clocks, taken once per turn of the loop and passed down from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time, for deadlines and rates.
    pub instant: Instant,
    /// Wall-clock time in milliseconds since the Unix epoch, for the time stamps of chat messages.
    pub unix_ms: u64,
}

/// The way that datagrams take between a client and the server: the addresses at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpPath {
    /// The client's address, where datagrams come from and go to. An IPv4 address is always in its IPv4 form, so that one
    /// address has one value.
    pub remote: SocketAddr,
    /// The server's address that was reached and must answer, where the system reports it.
    pub local: Option<IpAddr>,
}

/// Where a client comes from, as limits per address count it: an IPv4 address, or an IPv6 /64,
/// because a client with one address of such a network has them all (RFC 4291, section 2.5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(IpAddr);

impl Source {
    /// What this address counts as.
    pub fn of(ip: IpAddr) -> Self {
        Source(match ip.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
            v4 => v4,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

/// The address in its own family: a socket for both families sees IPv4 addresses inside IPv6 ones.
/// The flow label does not identify anybody, and is left out.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::from((v4, v6.port())),
            None => {
                let mut v6 = v6;
                v6.set_flowinfo(0);
                SocketAddr::V6(v6)
            }
        },
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_in_either_form_and_an_ipv6_network_count_as_one() {
        let of = |text: &str| Source::of(text.parse().expect("an address"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("::ffff:192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}
