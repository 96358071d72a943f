//! Handshakes in progress, and their limits: for all, and for one address.
//!
//! An honest client completes its handshake in one or two round trips. A client that begins handshakes and
//! leaves them takes memory, and time from others. So one too many replaces the oldest, which has had the
//! most time, and one address has a quarter at most.

use crate::event::{ConnectionId, Source};
use crate::hash::HashKey;
use crate::limits::Limits;
use std::collections::{BTreeMap, HashMap};

/// An address has as many handshakes in progress as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// The table of handshakes: see the [module](self).
pub(super) struct Handshakes {
    all_max: usize,
    /// 0 for no limit.
    address_max: usize,
    under_way: BTreeMap<ConnectionId, (u64, Source)>,
    /// The oldest first.
    oldest: BTreeMap<u64, ConnectionId>,
    by_address: HashMap<Source, usize, HashKey>,
    last_serial: u64,
}

impl Handshakes {
    pub(super) fn new(limits: Limits, key: HashKey) -> Self {
        Handshakes {
            all_max: limits.handshakes,
            address_max: limits.handshakes_per_address(),
            under_way: BTreeMap::new(),
            oldest: BTreeMap::new(),
            by_address: HashMap::with_hasher(key),
            last_serial: 0,
        }
    }

    /// Records a handshake that begins. Returns the connection that loses its place to it, if one does.
    pub(super) fn begin(
        &mut self,
        id: ConnectionId,
        source: Source,
    ) -> Result<Option<ConnectionId>, TooMany> {
        let count = self.by_address.get(&source).copied().unwrap_or(0);
        if self.address_max > 0 && count >= self.address_max {
            return Err(TooMany);
        }
        let is_full = self.under_way.len() >= self.all_max;
        let oldest = self.oldest.first_key_value().map(|(_, &oldest)| oldest);
        let crowded_out = oldest.filter(|_| is_full);
        if let Some(oldest) = crowded_out {
            self.end(oldest);
        }
        self.last_serial += 1;
        self.under_way.insert(id, (self.last_serial, source));
        self.oldest.insert(self.last_serial, id);
        *self.by_address.entry(source).or_default() += 1;
        Ok(crowded_out)
    }

    /// Forgets the handshake of a connection, if one is in progress.
    pub(super) fn end(&mut self, id: ConnectionId) {
        let Some((serial, source)) = self.under_way.remove(&id) else {
            return;
        };
        self.oldest.remove(&serial);
        if let Some(count) = self.by_address.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::of([192, 0, 2, last].into())
    }

    fn handshakes(handshakes: usize, connections_per_address: usize) -> Handshakes {
        let limits = Limits {
            handshakes,
            connections_per_address,
            ..Limits::default()
        };
        Handshakes::new(limits, HashKey(1, 2))
    }

    #[test]
    fn one_too_many_costs_the_oldest_its_place() {
        let mut handshakes = handshakes(4, 0);
        for id in 0..4 {
            assert_eq!(handshakes.begin(ConnectionId(id), source(1)), Ok(None));
        }
        handshakes.end(ConnectionId(0));
        assert_eq!(handshakes.begin(ConnectionId(0), source(1)), Ok(None));
        let crowded_out = handshakes.begin(ConnectionId(9), source(2));
        assert_eq!(crowded_out, Ok(Some(ConnectionId(1))), "0 has come again");
        // That it has lost its place is known already.
        handshakes.end(ConnectionId(1));
        let crowded_out = handshakes.begin(ConnectionId(10), source(2));
        assert_eq!(crowded_out, Ok(Some(ConnectionId(2))));
    }

    #[test]
    fn an_address_has_a_quarter_and_others_are_unharmed() {
        let mut handshakes = handshakes(8, 100);
        assert_eq!(handshakes.begin(ConnectionId(0), source(1)), Ok(None));
        assert_eq!(handshakes.begin(ConnectionId(1), source(1)), Ok(None));
        assert_eq!(handshakes.begin(ConnectionId(2), source(1)), Err(TooMany));
        assert_eq!(handshakes.begin(ConnectionId(2), source(2)), Ok(None));
        handshakes.end(ConnectionId(0));
        handshakes.end(ConnectionId(0));
        assert_eq!(handshakes.begin(ConnectionId(0), source(1)), Ok(None));
        assert_eq!(handshakes.begin(ConnectionId(3), source(1)), Err(TooMany));
        for id in 0..4 {
            handshakes.end(ConnectionId(id));
        }
        assert!(handshakes.by_address.is_empty() && handshakes.oldest.is_empty());
    }
}
