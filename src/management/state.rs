//! When a user's voice or mute state is announced to the others.

use super::{ManagementServer, Outbox, STATE_COST};
use crate::cause::StateDeferred;
use crate::event::Now;
use crate::limits::BROADCAST_RETRY;

impl ManagementServer {
    /// Announces a user's state to the others, now or as soon as the rate and the budgets allow it.
    /// Rule 6c.
    pub(super) fn tell_others(&mut self, now: Now, place: usize, outbox: &mut Outbox) {
        let (limit, at) = (self.state_limit, now.instant);
        let source = self.source(self.users[place].connection);
        let (id, spent) = (self.users[place].id, self.users[place].events);
        let events = self.users[place].untold();
        let cost = events * STATE_COST;
        let telling_at = if !limit.permits(spent, at, events) {
            // How much is to be announced by now decides when.
            Some(limit.permitted_at(spent, at, events))
        } else if events > 0 && !self.sources.may_broadcast(at, source, cost) {
            Some(at + BROADCAST_RETRY)
        } else {
            self.sources.broadcast(at, source, cost);
            limit.spend(&mut self.users[place].events, at, events);
            self.users[place].tell(outbox);
            None
        };
        let old = std::mem::replace(&mut self.users[place].telling_at, telling_at);
        if let Some(old) = old {
            self.untold.remove(&(old, id));
        }
        if let Some(at) = telling_at {
            self.untold.insert((at, id));
            self.counters
                .count_many(StateDeferred::TooFast, u64::from(old.is_none()));
        }
    }
}
