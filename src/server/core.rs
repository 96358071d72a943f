//! What the loop does in a turn, but for the poll: connections and the switchboard between them,
//! within budgets, with voice looked at in between.
//!
//! Streams, the door and voice are whatever they are: the kernel's in production, simulated ones in tests.

use super::accept::{Door, Listener};
use super::connections::Connections;
use crate::bans::BanList;
use crate::cause::{Cause, Counters};
use crate::connection::{ReadOutcome, Stream};
use crate::event::{ConnectionId, Now, VoiceToken};
use crate::hash::HashKey;
use crate::limits::{
    FRAMES_PER_CONNECTION_PER_TURN, INBOUND_BYTES_MAX, Limits, WORK_BETWEEN_FULL_LOOKS,
    WORK_BETWEEN_VOICE, WORK_PER_STAGE, WORK_UNIT_BYTES,
};
use crate::switchboard::Switchboard;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// What has voice to relay.
pub(super) trait Voice {
    /// Relays what has arrived, up to a bound, and returns how many units of work that was. Asking
    /// costs little where nothing has.
    fn look(&mut self, now: Now, switchboard: &mut Switchboard) -> usize;

    /// Whether something may have been left by the last look.
    fn is_ready(&self) -> bool;
}

/// How a connection was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    ToAFreePlace,
    /// Another that had not logged in was ended for it.
    ForAnother,
}

/// The middle of the loop: see the [module](self).
pub(super) struct Core<S> {
    pub(super) connections: Connections<S>,
    pub(super) switchboard: Switchboard,
    pub(super) counters: Counters,
    /// What one read brings, before it goes into a connection's own buffer.
    scratch: Box<[u8]>,
    /// Units of work since voice was last looked at.
    work: usize,
    /// Units of work that the present stage of the turn has left.
    work_left: usize,
}

impl<S: Stream> Core<S> {
    pub(super) fn new(limits: Limits, key: HashKey) -> Self {
        Core {
            connections: Connections::new(limits),
            switchboard: Switchboard::new(limits, key),
            counters: Counters::new(),
            scratch: vec![0; INBOUND_BYTES_MAX].into(),
            work: 0,
            work_left: 0,
        }
    }

    /// Begins a stage of the turn, with its own budget.
    pub(super) fn begin_stage(&mut self) {
        self.work_left = WORK_PER_STAGE;
    }

    /// Whether the stage's budget is spent.
    pub(super) fn is_stage_over(&self) -> bool {
        self.work_left == 0
    }

    /// Looks at voice.
    fn look_at_voice(&mut self, now: Now, voice: &mut impl Voice) {
        self.work = 0;
        // However much voice there is, a turn has an end.
        let work = voice.look(now, &mut self.switchboard);
        self.work_left = self.work_left.saturating_sub(work);
    }

    /// Notes that a unit of work was done on TCP, and what was copied with it, and looks at voice
    /// when it has waited for its share.
    pub(super) fn worked(&mut self, now: Now, voice: &mut impl Voice) {
        let copied = std::mem::take(&mut self.connections.copying_cost);
        let work = 1 + copied / WORK_UNIT_BYTES;
        self.work_left = self.work_left.saturating_sub(work);
        self.work += work;
        let most = match voice.is_ready() {
            true => WORK_BETWEEN_FULL_LOOKS,
            false => WORK_BETWEEN_VOICE,
        };
        if self.work >= most {
            self.look_at_voice(now, voice);
        }
    }

    /// Takes in a connection under the [next id](Connections::next_id), or drops it.
    pub(super) fn admit(
        &mut self,
        now: Now,
        stream: S,
        address: IpAddr,
        token: VoiceToken,
        voice: &mut impl Voice,
    ) -> Option<Admitted> {
        let id = self.connections.next_id();
        match self.switchboard.handle_connect(now, id, address, token) {
            Ok(oldest) => {
                self.connections.insert(stream);
                let Some(oldest) = oldest else {
                    return Some(Admitted::ToAFreePlace);
                };
                self.connections.end(oldest, Cause::ClosedCrowdedOut);
                self.end(now, oldest, voice);
                Some(Admitted::ForAnother)
            }
            Err(cause) => {
                self.switchboard.log_refusal(now, address, cause);
                None
            }
        }
    }

    /// A newcomer was turned away before it was a connection.
    pub(super) fn refuse(&mut self, now: Now, address: SocketAddr, cause: Cause) {
        self.counters.count(cause);
        let address = address.ip().to_canonical();
        self.switchboard.log_refusal(now, address, cause);
    }

    /// Bans these from now on, and ends whoever of them is here.
    pub(super) fn set_bans(&mut self, bans: BanList) {
        self.switchboard.set_bans(bans);
        let banned: Vec<_> = self.switchboard.banned().collect();
        for id in banned {
            self.connections.end(id, Cause::ClosedBanned);
        }
    }

    /// How long the loop may sleep from this moment on: not at all with work left over, else until
    /// something is due.
    pub(super) fn timeout<L: Listener>(
        &self,
        from: Instant,
        door: &Door<L>,
        voice: &impl Voice,
    ) -> Option<Duration> {
        if voice.is_ready() || door.may_accept() || self.connections.has_work() {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.switchboard.next_deadline(),
            self.connections.next_flush(),
            self.connections.next_look(),
            self.switchboard.management().log_deadline(),
            door.paused_until(),
        ];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(from))
    }

    /// Everything that there is to do: voice, accepting, frames, endings, flushing, deadlines.
    pub(super) fn turn<L: Listener<Stream = S>>(
        &mut self,
        now: Now,
        door: &mut Door<L>,
        voice: &mut impl Voice,
    ) {
        self.connections.now = now.instant;
        self.look_at_voice(now, voice);
        door.accept(now, self, voice);
        self.handle_inbox(now, voice);
        self.end_marked(now, voice);
        self.flush(now, voice);
        self.meet_deadlines(now, voice);
    }

    /// Handles frames of everyone who has sent some, a share of each one's.
    fn handle_inbox(&mut self, now: Now, voice: &mut impl Voice) {
        self.begin_stage();
        // Whoever has more is put back at the end, and gets the next share in the next turn.
        for _ in 0..self.connections.inbox.len() {
            if self.is_stage_over() {
                return;
            }
            if let Some(id) = self.connections.inbox.pop_front() {
                self.handle_frames(now, id, voice);
            }
        }
    }

    /// Handles frames of one connection and reads more, up to its share.
    fn handle_frames(&mut self, now: Now, id: ConnectionId, voice: &mut impl Voice) {
        if let Some(connection) = self.connections.get(id) {
            connection.is_in_inbox = false;
        }
        for _ in 0..FRAMES_PER_CONNECTION_PER_TURN {
            let Some(connection) = self.connections.get(id).filter(|it| it.ending.is_none()) else {
                return;
            };
            let mut inbound = std::mem::take(&mut connection.inbound);
            if let Some(frame) = inbound.next_frame() {
                let connections = &mut self.connections;
                let result = self.switchboard.handle_frame(now, id, frame, connections);
                if let Some(connection) = self.connections.get(id) {
                    connection.inbound = inbound;
                }
                if let Err(cause) = result {
                    self.connections.end(id, cause);
                }
            } else {
                connection.inbound = inbound;
                match connection.read(&mut self.scratch) {
                    Ok(ReadOutcome::Received(bytes)) => self.connections.copying_cost += bytes,
                    Ok(ReadOutcome::WouldBlock) => {
                        let is_stranger = self.switchboard.management().is_pending(id);
                        self.connections.note_inbound(id, is_stranger);
                        return;
                    }
                    Ok(ReadOutcome::Ended) => self.connections.end(id, Cause::ClosedByPeer),
                    Err(_) => self.connections.end(id, Cause::ClosedBroken),
                }
            }
            self.worked(now, voice);
            if self.is_stage_over() {
                break;
            }
        }
        self.connections.want_read(id);
    }

    fn end_marked(&mut self, now: Now, voice: &mut impl Voice) {
        self.begin_stage();
        while !self.is_stage_over() {
            let Some(id) = self.connections.next_to_end() else {
                return;
            };
            self.end(now, id, voice);
        }
    }

    /// Ends a connection that was marked for it.
    fn end(&mut self, now: Now, id: ConnectionId, voice: &mut impl Voice) {
        // What was answered before the end is still worth an attempt.
        let _ = self.connections.flush(id);
        let Some(mut connection) = self.connections.remove(id) else {
            return;
        };
        let Some(cause) = connection.ending else {
            unreachable!("only what was marked is ended");
        };
        let is_hopeless = matches!(
            cause,
            Cause::ClosedStalled | Cause::ClosedTooSlow | Cause::ClosedVanished
        );
        if connection.delivery.in_kernel() > 0 {
            connection.stream.bequeath(match is_hopeless {
                true => Duration::ZERO,
                false => self.connections.stall_timeout(),
            });
        }
        if !is_hopeless && !matches!(cause, Cause::ClosedByPeer | Cause::ClosedBroken) {
            connection.stream.finish(&mut self.scratch);
        }
        // Closing it ends its registration with the poll.
        drop(connection);
        self.switchboard.log_end(now, id, cause);
        self.switchboard
            .handle_disconnect(now, id, cause, &mut self.connections);
        self.worked(now, voice);
    }

    /// Offers to the kernel what has been queued, once per connection.
    fn flush(&mut self, now: Now, voice: &mut impl Voice) {
        self.begin_stage();
        while !self.is_stage_over() {
            let Some(id) = self.connections.next_to_flush() else {
                return;
            };
            match self.connections.flush(id) {
                Ok(bytes) => self.connections.copying_cost += bytes,
                Err(_) => self.connections.end(id, Cause::ClosedBroken),
            }
            self.worked(now, voice);
        }
    }

    /// Whatever is due: logins that did not come, looks at who takes nothing or is gone, states that were
    /// not told yet.
    fn meet_deadlines(&mut self, now: Now, voice: &mut impl Voice) {
        self.switchboard.log_left_out(now);
        self.begin_stage();
        while !self.is_stage_over() {
            let overdue = self.switchboard.expired(now);
            if let Some(id) = overdue {
                // Its login may be here already, and only have waited for its turn.
                self.handle_frames(now, id, voice);
                if self.switchboard.management().is_pending(id) {
                    self.connections.end(id, Cause::ClosedLoginDeadline);
                    self.end(now, id, voice);
                }
            }
            let was_looked_at = self.connections.look_at_due();
            let was_told = self.switchboard.handle_tick(now, &mut self.connections);
            if overdue.is_none() && !was_looked_at && !was_told {
                return;
            }
            self.worked(now, voice);
        }
    }
}
