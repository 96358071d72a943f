//! The oracle's door: who may come in, who may log in, and who is banned.
//!
//! How many connections a source has is counted anew each time, over all connections there are.

use super::broadcasts::Broadcasts;
use super::bucket::Bucket;
use super::{Connection, Facts, Model};
use std::net::IpAddr;
use std::time::Duration;
use voiceapp_server::Limits;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::ConnectionId;
use voiceapp_server::limits::{REFUSAL_TIME, VOICE_BURST};

/// Where connections come from, as limits count it, and how often they have. None is ever forgotten:
/// the simulation has far fewer than the server remembers.
pub struct Source {
    network: u128,
    came: Bucket,
    logins: Bucket,
    pub broadcasts: Broadcasts,
    pub share: Broadcasts,
    /// Voice of all its users.
    pub voice_datagrams: Bucket,
    pub voice_bytes: Bucket,
    refused_until: Duration,
}

/// A banned network: addresses whose first `len` bits are these. A network that is more than IPv4 in
/// its IPv6 form has none of it.
#[derive(Clone, Copy, Debug)]
pub struct Ban {
    pub bits: u128,
    pub len: u32,
}

impl Ban {
    pub fn has(&self, ip: IpAddr) -> bool {
        let bits = bits_of(ip);
        let is_ipv4 = bits >> 32 == 0xffff;
        (self.bits ^ bits).leading_zeros() >= self.len && (self.len >= 96 || !is_ipv4)
    }
}

/// An address as 128 bits, an IPv4 address in its IPv6 form.
pub fn bits_of(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => 0xffff_0000_0000 | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// What counts as one: an IPv4 address, in whichever form, or all of an IPv6 /64.
pub fn network_of(ip: IpAddr) -> u128 {
    let bits = bits_of(ip);
    if bits >> 32 == 0xffff {
        bits
    } else {
        bits >> 64 << 64
    }
}

impl Model {
    /// A connection comes: why it is refused, if it is. Another may have to go for it.
    pub fn connect(
        &mut self,
        at: Duration,
        id: ConnectionId,
        ip: IpAddr,
        token: u64,
    ) -> Result<(), Cause> {
        let refusal = self.refusal(at, ip);
        if let Some(cause) = refusal {
            self.counters.count(cause);
            return Err(cause);
        }
        let oldest = self.oldest_if_crowded();
        self.connections.push(Connection {
            id,
            ip,
            token,
            user: None,
            accepted: at,
            muted_before_login: false,
            facts: Facts::default(),
            granted: None,
            is_ended: false,
        });
        if let Some(oldest) = oldest {
            self.end(oldest, Cause::ClosedCrowdedOut);
        }
        Ok(())
    }

    fn refusal(&mut self, at: Duration, ip: IpAddr) -> Option<Cause> {
        if self.is_banned(ip) {
            return Some(Cause::RefusedBanned);
        }
        if self.comes_too_often(at, ip) {
            return Some(Cause::RefusedTooOften);
        }
        let Limits {
            connections_per_address: most,
            pending_connections,
            ..
        } = self.limits;
        // Without a limit on connections there is none on strangers.
        if most == 0 {
            return None;
        }
        let here = |c: &&Connection| network_of(c.ip) == network_of(ip);
        let all = self.connections.iter().filter(here);
        let strangers = all.clone().filter(|c| c.is_pending());
        if all.count() >= most {
            return Some(Cause::RefusedTooManyFromAddress);
        }
        (strangers.count() >= pending_connections / 4).then_some(Cause::RefusedTooManyPending)
    }

    /// Who asks while it is refused is not refused for longer, and spends nothing. Everyone else
    /// does, whatever becomes of it.
    fn comes_too_often(&mut self, at: Duration, ip: IpAddr) -> bool {
        let source = self.source(ip);
        if at < source.refused_until {
            return true;
        }
        let has_come = source.came.take(at, 1);
        if !has_come {
            source.refused_until = at + REFUSAL_TIME;
        }
        !has_come
    }

    /// The oldest stranger, if there is no room for another.
    fn oldest_if_crowded(&self) -> Option<ConnectionId> {
        if self.pending_count() < self.limits.pending_connections {
            return None;
        }
        let mut strangers = self.connections.iter().filter(|c| c.is_pending());
        strangers.next().map(|c| c.id)
    }

    /// Whether one more login from where this connection comes from is within the rate.
    pub fn may_log_in(&mut self, at: Duration, id: ConnectionId) -> bool {
        let ip = self.connection(id).ip;
        self.source(ip).logins.take(at, 1)
    }

    pub fn is_banned(&self, ip: IpAddr) -> bool {
        self.bans.iter().any(|ban| ban.has(ip))
    }

    /// Only these are banned from now on. Addresses that were proved and are banned are nobody's, and
    /// connections end, by rising id.
    pub fn set_bans(&mut self, bans: Vec<Ban>) {
        self.bans = bans;
        let bans = &self.bans;
        let users = self.connections.iter_mut().flat_map(|c| &mut c.user);
        for user in users {
            let is_banned = |ip| bans.iter().any(|ban| ban.has(ip));
            user.peer = user.peer.filter(|peer| !is_banned(peer.remote.ip()));
        }
        let here = self.connections.iter().filter(|c| !c.is_ended);
        let banned = here.filter(|c| self.is_banned(c.ip));
        let mut banned: Vec<_> = banned.map(|c| c.id).collect();
        banned.sort();
        for id in banned {
            self.end(id, Cause::ClosedBanned);
        }
    }

    pub fn source(&mut self, ip: IpAddr) -> &mut Source {
        let network = network_of(ip);
        let limits = &self.limits;
        let longest = 3 + 16 + limits.voice_bytes as u32;
        let datagrams = limits.voice_rate_per_address;
        let bytes = limits.voice_bandwidth_per_address;
        let known = self.sources.iter().position(|s| s.network == network);
        let place = known.unwrap_or_else(|| {
            self.sources.push(Source {
                network,
                came: Bucket::per_minute(self.limits.connection_rate),
                logins: Bucket::per_minute(self.limits.login_rate),
                broadcasts: Broadcasts::of_source(&self.limits),
                share: Broadcasts::of_share(&self.limits),
                voice_datagrams: Bucket::per_second(datagrams, VOICE_BURST * datagrams),
                voice_bytes: Bucket::per_second(bytes, longest.max(VOICE_BURST * bytes)),
                refused_until: Duration::ZERO,
            });
            self.sources.len() - 1
        });
        &mut self.sources[place]
    }
}
