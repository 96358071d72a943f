//! What the loop does in a turn, except for the poll: connections and the switchboard between them,
//! within budgets, with voice polled in between.
//!
//! The listener, its streams and voice are generic: the kernel's in production, simulated ones in
//! tests.

use super::accept::{Arrival, Door, Listener};
use super::connections::Connections;
use super::handshakes::Handshakes;
use crate::bans::BanList;
use crate::cause::{Counters, Ended};
use crate::connection::{ReadOutcome, Stream};
use crate::event::{ConnectionId, Now, VoiceToken};
use crate::hash::HashKey;
use crate::limits::{
    FRAMES_PER_CONNECTION_PER_TURN, HANDSHAKE_STEPS_PER_STAGE, INBOUND_BYTES_MAX, Limits,
    WORK_BETWEEN_FULL_POLLS, WORK_BETWEEN_VOICE, WORK_PER_STAGE, WORK_UNIT_BYTES,
};
use crate::switchboard::{Deliver, Switchboard};
use crate::tls::Acceptor;
use log::debug;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The voice side of the loop.
pub(super) trait Voice {
    /// Relays what has arrived, up to a bound, and returns how many units of work that was. It
    /// costs little where nothing has arrived.
    fn poll(&mut self, now: Now, switchboard: &mut Switchboard) -> usize;

    /// Whether the last poll may have left something.
    fn is_ready(&self) -> bool;
}

/// The middle of the loop, with everything that it works on: see the [module](self).
pub(super) struct Core<L: Listener, V> {
    pub(super) door: Door<L>,
    pub(super) voice: V,
    pub(super) connections: Connections<L::Stream>,
    pub(super) switchboard: Switchboard,
    pub(super) counters: Counters,
    /// When this turn began.
    now: Now,
    /// What one read brings, before it goes into a connection's own buffer.
    scratch: Box<[u8]>,
    /// Units of work since voice was last polled.
    work: usize,
    /// Units of work that the present stage of the turn has left.
    work_left: usize,
    /// How TLS is begun, if it is.
    pub(super) acceptor: Option<Acceptor>,
    handshakes: Handshakes,
    /// Steps of handshakes that the present stage has left.
    steps_left: usize,
    /// Whether voice is to be looked at whatever the work was.
    is_voice_due: bool,
}

impl<L: Listener, V: Voice> Core<L, V> {
    pub(super) fn new(now: Now, limits: Limits, key: HashKey, listener: L, voice: V) -> Self {
        Core {
            door: Door::new(listener),
            voice,
            connections: Connections::new(now.instant, limits),
            switchboard: Switchboard::new(limits, key),
            counters: Counters::new(),
            now,
            scratch: vec![0; INBOUND_BYTES_MAX].into(),
            work: 0,
            work_left: 0,
            acceptor: None,
            handshakes: Handshakes::new(limits, key),
            steps_left: 0,
            is_voice_due: false,
        }
    }

    /// Puts these bans in force, and closes the connections from there.
    pub(super) fn set_bans(&mut self, bans: BanList) {
        self.switchboard.set_bans(bans, &mut self.connections);
    }

    /// Announces to every client that understands it that the server stops.
    pub(super) fn say_goodbye(&mut self) {
        self.switchboard.say_goodbye(&mut self.connections);
    }

    /// How long the loop may sleep from this moment on: not at all with work left over, otherwise
    /// until something is due.
    pub(super) fn timeout(&self, from: Instant) -> Option<Duration> {
        if self.voice.is_ready() || self.door.may_accept() || self.connections.has_work() {
            return Some(Duration::ZERO);
        }
        let deadlines = [
            self.switchboard.next_deadline(),
            self.connections.next_flush(),
            self.connections.next_look(),
            self.switchboard.management().log_deadline(),
            self.door.paused_until(),
        ];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(from))
    }

    /// All the work of a turn: voice, accepting, frames, closing, flushing, deadlines.
    pub(super) fn turn(&mut self, now: Now) {
        self.now = now;
        self.connections.now = now.instant;
        self.poll_voice();
        self.accept();
        self.handle_inbox();
        self.end_marked();
        self.flush();
        self.meet_deadlines();
    }

    /// Begins a stage of the turn, with its own budget.
    fn begin_stage(&mut self) {
        self.work_left = WORK_PER_STAGE;
    }

    /// Whether the stage's budget is spent.
    fn is_stage_over(&self) -> bool {
        self.work_left == 0
    }

    fn poll_voice(&mut self) {
        self.work = 0;
        // However much voice there is, a turn comes to its end.
        let work = self.voice.poll(self.now, &mut self.switchboard);
        self.work_left = self.work_left.saturating_sub(work);
    }

    /// Counts a unit of work on TCP, and what was copied with it, and polls voice when it has
    /// waited for its share.
    fn worked(&mut self) {
        let copied = std::mem::take(&mut self.connections.copying_cost);
        let work = 1 + copied / WORK_UNIT_BYTES;
        self.work_left = self.work_left.saturating_sub(work);
        self.work += work;
        let most = match self.voice.is_ready() {
            true => WORK_BETWEEN_FULL_POLLS,
            false => WORK_BETWEEN_VOICE,
        };
        if self.work >= most || std::mem::take(&mut self.is_voice_due) {
            self.poll_voice();
        }
    }

    /// Accepts what waits, up to a budget.
    fn accept(&mut self) {
        self.begin_stage();
        while !self.is_stage_over() {
            let Some(arrival) = self.door.next(self.now.instant) else {
                return;
            };
            match arrival {
                Arrival::Newcomer {
                    stream,
                    address,
                    token,
                } => {
                    self.admit(stream, address, token);
                    // Where each newcomer costs another its place, the others are served in
                    // between: they may be about to log in.
                    if self.connections.is_somebody_ending() {
                        return;
                    }
                }
                Arrival::TurnedAway { address, cause } => {
                    self.counters.count(cause);
                    self.switchboard.log_refusal(self.now, address, cause);
                }
                Arrival::Failed(cause) => self.counters.count(cause),
                Arrival::Nobody => {}
            }
            self.worked();
        }
    }

    /// Adds a connection, unless it is refused.
    fn admit(&mut self, stream: L::Stream, address: IpAddr, token: VoiceToken) {
        let (now, id) = (self.now, self.connections.next_id());
        let (switchboard, connections) = (&mut self.switchboard, &mut self.connections);
        if let Err(refused) = switchboard.handle_connect(now, id, address, token, connections) {
            return switchboard.log_refusal(now, address, refused);
        }
        let connection = connections.insert(stream);
        if let Err(error) = self.door.listener.register(id, &mut connection.stream) {
            debug!("cannot wait for events of a connection: {error}");
            connections.end(id, Ended::NotSetUp);
        }
    }

    /// Handles frames of every connection that has sent some, a share of each one's.
    fn handle_inbox(&mut self) {
        self.begin_stage();
        self.steps_left = HANDSHAKE_STEPS_PER_STAGE;
        // A connection with more goes to the back, and gets its next share in the next turn.
        for _ in 0..self.connections.inbox.len() {
            if self.is_stage_over() {
                return;
            }
            if let Some(id) = self.connections.next_in_inbox() {
                match self.steps_left == 0 && self.connections.may_shake_hands(id) {
                    true => self.connections.want_read(id),
                    false => self.handle_frames(id),
                }
            }
        }
    }

    /// Handles frames of one connection and reads more, up to its share.
    fn handle_frames(&mut self, id: ConnectionId) {
        for _ in 0..FRAMES_PER_CONNECTION_PER_TURN {
            let Some(connection) = self.connections.living(id) else {
                return;
            };
            if let Some(frame) = connection.inbound.next_frame() {
                self.switchboard.take_frame(self.now, id, frame);
                self.switchboard.pass_on(&mut self.connections);
            } else {
                match connection.read(&mut self.scratch) {
                    Ok(ReadOutcome::Received(bytes)) => self.connections.copying_cost += bytes,
                    Ok(ReadOutcome::Begun { speech, len }) => self.begin(id, speech, len),
                    Ok(ReadOutcome::Tls(step)) => self.note_step(id, step),
                    Ok(ReadOutcome::WouldBlock) => {
                        let is_pending = self.switchboard.management().is_pending(id);
                        return self.connections.note_inbound(id, is_pending);
                    }
                    Ok(ReadOutcome::Ended) => self.connections.end(id, Ended::ByPeer),
                    Err(_) => self.connections.end(id, Ended::Broken),
                }
            }
            let was_step = self.is_voice_due;
            self.worked();
            if was_step || self.is_stage_over() {
                break;
            }
        }
        self.connections.want_read(id);
    }

    fn end_marked(&mut self) {
        self.begin_stage();
        while !self.is_stage_over() {
            let Some(id) = self.connections.next_to_end() else {
                return;
            };
            self.end(id);
            self.worked();
        }
    }

    /// Closes a connection that was marked for it.
    fn end(&mut self, id: ConnectionId) {
        // What was answered before is still worth an attempt.
        let _ = self.connections.flush(id);
        self.connections.finish(id);
        self.handshakes.end(id);
        let Some(mut connection) = self.connections.remove(id) else {
            return;
        };
        let Some(cause) = connection.ending else {
            unreachable!("only a marked connection is closed");
        };
        let is_hopeless = matches!(cause, Ended::Stalled | Ended::TooSlow | Ended::Vanished);
        if connection.delivery.in_kernel() > 0 {
            connection.stream.bequeath(match is_hopeless {
                true => Duration::ZERO,
                false => self.connections.stall_timeout(),
            });
        }
        if !is_hopeless && !matches!(cause, Ended::ByPeer | Ended::Broken) {
            connection.stream.finish(&mut self.scratch);
        }
        // Closing it ends its registration with the poll.
        drop(connection);
        self.switchboard.log_end(self.now, id, cause);
        self.switchboard
            .handle_disconnect(self.now, id, cause, &mut self.connections);
    }

    /// Offers to the kernel what has been queued, once per connection.
    fn flush(&mut self) {
        self.begin_stage();
        while !self.is_stage_over() {
            let Some(id) = self.connections.next_to_flush() else {
                return;
            };
            match self.connections.flush(id) {
                Ok(bytes) => self.connections.copying_cost += bytes,
                Err(_) => self.connections.end(id, Ended::Broken),
            }
            self.worked();
        }
    }

    /// What is due: pending connections, looks at clients that take nothing or are gone, deferred
    /// states.
    fn meet_deadlines(&mut self) {
        self.switchboard.log_left_out(self.now);
        self.begin_stage();
        while !self.is_stage_over() {
            let overdue = self.switchboard.overdue(self.now);
            if let Some(id) = overdue {
                // Its login may be here already, and wait for its turn.
                self.handle_frames(id);
            }
            let was_looked_at = self.connections.look_at_due();
            // One that is overdue after that has not been heard yet.
            let is_heard = self.switchboard.overdue(self.now) == overdue;
            let (switchboard, connections) = (&mut self.switchboard, &mut self.connections);
            let was_due = is_heard && switchboard.handle_tick(self.now, connections);
            if is_heard && !was_looked_at && !was_due {
                return;
            }
            self.worked();
        }
    }
}

mod begin;
#[cfg(test)]
mod tests;
