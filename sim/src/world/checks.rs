//! What must be so after every turn, and whenever the loop goes to sleep: nobody is ended without a
//! reason, and nothing is left behind.

use super::World;
use crate::client::Client;
use crate::kernel::pipe::Pipe;
use crate::model::User;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use voiceapp_server::Limits;
use voiceapp_server::cause::{Cause, CauseKind};
use voiceapp_server::limits::{CHAT_BYTES_MAX, FRAME_BYTES_MAX};
use voiceapp_server::simulation::bounds::{
    LARGE_PENDING_MAX, LOOKS_PER_STALL, PENDING_BYTES, silence,
};
use voiceapp_server::simulation::{Look, Mark};

impl World {
    /// Whoever the server has dropped in this turn was dropped for a reason, and reads what it left.
    pub fn look_at_ended(&mut self) {
        let drops = std::mem::take(&mut self.ledger.borrow_mut().drops);
        if !drops.is_empty() || !self.core.marks().is_empty() {
            self.count_strangers();
        }
        for serial in drops {
            // In as many pieces as it likes.
            while self.pump(serial) {}
            let client = self.clients.remove(&serial).expect("it is dropped once");
            let (id, token) = (client.pipe.borrow().id, client.pipe.borrow().token);
            match id {
                None => self.check_refused(&client),
                Some(id) => {
                    let marks = self.core.marks();
                    let place = marks.iter().position(|mark| mark.id == id);
                    let mark = marks.remove(place.expect("only who was marked is ended"));
                    self.log.add(|| format!("{serial} ended: {mark:?}"));
                    self.causes.count(mark.cause);
                    self.digest.number(mark.cause as u64);
                    if !mark.is_checked {
                        self.check_reason(&client, mark);
                    }
                    check_bequest(&client, mark.cause, self.odds.limits.stall_timeout);
                    self.check_heard_out(&client, mark.cause);
                }
            }
            if let Some(token) = token {
                self.tap.get().unread.remove(&token);
                self.departed_tokens.push_back(token);
            }
            let is_remembered = client.picture.keeps_words;
            self.gone.extend(is_remembered.then_some((serial, client)));
        }
        // A mark that has not led to an end yet was made for a reason that may be gone by then.
        let mut marks = std::mem::take(self.core.marks());
        for mark in marks.iter_mut().filter(|mark| !mark.is_checked) {
            let is_marked = |client: &&Client| client.pipe.borrow().id == Some(mark.id);
            let client = self.clients.values().find(is_marked);
            self.check_reason(client.expect("it is here"), *mark);
            mark.is_checked = true;
        }
        *self.core.marks() = marks;
    }

    /// Who has no place was turned away: by the switchboard, which the model has seen, or by the kernel.
    fn check_refused(&self, client: &Client) {
        let pipe = client.pipe.borrow();
        let was_taken_in = |token| self.tap.get().unread.contains_key(&token);
        let is_refused = pipe.was_refused || pipe.token.is_none_or(|it| !was_taken_in(it));
        let may_fail = pipe.token.is_some() || pipe.was_refused || self.odds.accept_fault > 0;
        assert!(is_refused && may_fail, "refused without a reason");
    }

    fn check_reason(&self, client: &Client, mark: Mark) {
        let (now, limits) = (self.clock.get(), &self.odds.limits);
        let pipe = client.pipe.borrow();
        let cause = mark.cause;
        let is_reason = match cause {
            Cause::ClosedByPeer => pipe.end_was_read,
            Cause::ClosedBroken => pipe.error_was_told,
            Cause::ClosedMalformed => client.has_written_malformed,
            Cause::ClosedTooSlow => {
                // What is queued at once: for who logs in, the list; else one message and its like.
                let at_once = match client.was_stranger {
                    true => FRAME_BYTES_MAX + 70 * limits.users,
                    false => CHAT_BYTES_MAX + 100,
                };
                let bound = self.core.bytes_max();
                let is_over = mark.queued + at_once > bound && !mark.is_writable;
                let are_over = mark.total + at_once > limits.outbound_bytes;
                is_over || (are_over && (!mark.is_writable || mark.is_behind))
            }
            Cause::ClosedStalled => {
                let at_end = pipe.at_end();
                let is_waiting = at_end.unacknowledged > 0 || pipe.is_told_full;
                let waited = now - at_end.stuck_since;
                let is_lost = at_end.is_lost && pipe.line.outage(now) <= limits.outage();
                let is_too_long = match at_end.is_lost {
                    true => waited >= silence(limits),
                    false => waited >= limits.stall_timeout,
                };
                is_waiting && is_too_long && !is_lost
            }
            Cause::ClosedVanished => {
                let is_silent = now >= pipe.line.last_heard() + silence(limits);
                is_silent && !pipe.line.is_up() && pipe.line.outage(now) > limits.outage()
            }
            Cause::ClosedBanned => self.bans.contains(client.address.ip()),
            Cause::ClosedCrowdedOut => client.was_stranger && self.is_crowded(client),
            Cause::ClosedLoginDeadline => {
                client.was_stranger && now >= pipe.came_in_at + limits.login_timeout
            }
            Cause::ClosedHttp => client.first_byte == Some(b'G'),
            Cause::AcceptFailed => pipe.registration_failed,
            // The model has seen to it.
            Cause::ClosedLoginRefused => true,
            _ => false,
        };
        let at_end = pipe.at_end();
        assert!(
            is_reason,
            "{cause:?} of {}: {mark:?}, {at_end:?} at {now:?}",
            client.name
        );
    }

    /// Remembers what is queued for those that take nothing in the turn that begins.
    pub fn note_full(&mut self) {
        self.core.least_total();
        for client in self.clients.values_mut() {
            let pipe = client.pipe.borrow();
            let look = pipe.id.map(|id| self.core.look(id));
            let is_full = |look: &Look| !look.is_writable || look.is_behind;
            let full = look.filter(|look| is_full(look) && !look.is_ending);
            client.queued_while_full = full.map(|look| look.queued);
        }
    }

    /// With all together over their bound, whoever takes nothing was not given more.
    pub fn check_full(&mut self) {
        let least = self.core.least_total();
        if !self.ledger.borrow().drops.is_empty() || least <= self.odds.limits.outbound_bytes {
            return;
        }
        for client in self.clients.values() {
            if let (Some(id), Some(queued)) = (client.pipe.borrow().id, client.queued_while_full) {
                let look = self.core.look(id);
                let is_full = !look.is_writable || look.is_behind;
                assert!(
                    !is_full || look.queued <= queued,
                    "{} was given more",
                    client.name
                );
            }
        }
    }

    /// Whether one stranger too many has come, or one too many writes long frames.
    fn is_crowded(&self, client: &Client) -> bool {
        self.pending_at_most > self.odds.limits.pending_connections
            || (client.has_written_much && self.large_at_most > LARGE_PENDING_MAX)
    }

    /// How many strangers there were in this turn at most, and how many of them may have been large.
    fn count_strangers(&mut self) {
        let now = self.clock.get();
        let came = |client: &&Client| {
            let pipe = client.pipe.borrow();
            pipe.id.is_some() && pipe.came_in_at == now
        };
        self.pending_at_most = self.pending_before + self.clients.values().filter(came).count();
        let writes_much = |client: &&Client| client.has_written_much && client.was_stranger;
        self.large_at_most = self.clients.values().filter(writes_much).count();
    }

    /// The server believes of each connection what is so.
    pub fn check_awake(&self) {
        let management = self.core.switchboard().management();
        let users: BTreeSet<_> = management.listeners().map(|(it, _)| it).collect();
        let (mut count, mut strangers) = (0, 0);
        for client in self.clients.values() {
            let pipe = &*client.pipe.borrow();
            let Some(id) = pipe.id else {
                continue;
            };
            count += 1;
            let look = self.core.look(id);
            let is_stranger = management.is_pending(id);
            strangers += usize::from(is_stranger);
            // Management has no place any more for a stranger that is to end.
            assert!(is_stranger || users.contains(&id) || look.is_ending);
            assert_eq!(look.is_writable, !pipe.is_told_full, "{}", client.name);
            let is_counted = look.in_kernel >= pipe.unacknowledged();
            assert!(is_counted || !pipe.line.tells, "{}", client.name);
            if look.is_ending {
                continue;
            }
            let is_looked_at = look.look_at.is_some();
            assert!(is_looked_at || !pipe.is_waiting(), "{}", client.name);
            // With so few there is always time for all who are due.
            if self.clients.len() <= 60 {
                check_found(client, pipe, self.clock.get(), &self.odds.limits);
            }
        }
        assert_eq!(count, self.core.connection_count(), "connections");
        assert_eq!(users.len(), management.user_count());
        assert_eq!(strangers, management.pending_count());
        self.compare_tables();
    }

    /// The loop is about to sleep until it is due: nothing waits that nobody will tell it of.
    pub fn check_asleep(&self, due: Option<Instant>) {
        self.core.recount_asleep(due);
        assert!(self.tap.get().air.is_empty(), "voice is left behind");
        assert_eq!(self.core.voice_waiting(), 0, "voice waits for nothing");
        let wakes_by = |at: Instant| due.is_some_and(|due| due <= at);
        let is_ready = self.backlog.borrow().is_ready();
        let is_paused = self.core.paused_until().is_some_and(wakes_by);
        let may_wait = is_paused && self.backlog.borrow().is_stuck;
        assert!(!is_ready || may_wait, "somebody waits to be accepted");
        let limits = &self.odds.limits;
        for client in self.clients.values() {
            let pipe = client.pipe.borrow();
            let Some(id) = pipe.id else {
                continue;
            };
            let (name, look) = (&client.name, self.core.look(id));
            assert!(!pipe.is_readable(), "{name} is not read from");
            assert!(!look.has_frame, "{name} is not listened to");
            if look.queued > 0 {
                let will_flush = look.is_writable && look.is_held_back && due.is_some();
                let is_full = !look.is_writable && !pipe.is_writable();
                assert!(will_flush || is_full, "{name} is not written to");
            }
            assert!(look.look_at.is_none_or(wakes_by), "{name} may stall");
            assert_eq!(look.silent_at.is_some(), pipe.line.tells, "{name}");
            assert!(look.silent_at.is_none_or(wakes_by), "{name} may be gone");
            // All that it wrote was handled, and all that was written to it was read: an answer that is
            // still missing is held back.
            let is_handled = pipe.to_server.len() + look.unhandled + client.unsent.len() == 0;
            if is_handled && pipe.to_client.len() == 0 && look.is_writable && !client.is_gone {
                let sent = &client.picture.sent;
                let is_known = !client.picture.is_garbled;
                assert!(
                    sent.is_empty() || !is_known,
                    "{name} waits for its answer to {sent:?}"
                );
            }
            if self.core.switchboard().management().is_pending(id) {
                assert!(wakes_by(pipe.came_in_at + limits.login_timeout));
            } else {
                assert!(!look.is_large, "{name} is no stranger");
            }
            let is_large = look.is_large || look.unhandled <= PENDING_BYTES;
            let is_pending = self.core.switchboard().management().is_pending(id);
            assert!(is_large || !is_pending, "{name} holds much");
        }
    }

    /// Who was ended after its last word has been answered, if there was room for the answers.
    fn check_heard_out(&self, client: &Client, cause: Cause) {
        let pipe = client.pipe.borrow();
        let may_know = !client.is_gone && !pipe.is_told_full && pipe.line.is_up();
        let is_told = [
            Cause::ClosedByPeer,
            Cause::ClosedMalformed,
            Cause::ClosedLoginRefused,
        ];
        if may_know && is_told.contains(&cause) {
            let picture = &client.picture;
            let is_answered = picture.sent.is_empty() && picture.unechoed.is_empty();
            let is_answered = is_answered || picture.is_garbled;
            let is_refused = cause == Cause::ClosedLoginRefused;
            let is_cut_off = is_refused || cause == Cause::ClosedMalformed;
            assert!(is_answered || is_cut_off, "unanswered: {:?}", picture.sent);
            assert!(!picture.has_part_of_a_frame());
            assert!(!is_refused || picture.was_refused);
            let is_last = cause != Cause::ClosedByPeer && picture.is_extended();
            assert!(!is_last || picture.was_told_the_end, "no word of its end");
        }
    }

    /// What the server counts must be what the model counts.
    fn compare_tables(&self) {
        let tap = self.tap.get();
        let (model, switchboard) = (&tap.model, self.core.switchboard());
        let (management, relay) = (switchboard.management(), switchboard.relay());
        let users = model.count_users(|_| true);
        assert_eq!(management.user_count(), users);
        assert_eq!(management.users_at_most(), model.users_at_most);
        assert_eq!(management.pending_count(), model.pending_count());
        assert_eq!(relay.user_count(), users);
        let addresses = model.count_users(|user| user.peer.is_some());
        assert_eq!(relay.address_count(), addresses);
        let hears = |user: &User| user.peer.is_some() && user.in_voice;
        assert_eq!(relay.listener_count(), model.count_users(hears));
        assert_eq!(switchboard.counters(), model.counters);
        let deadline = model.next_deadline().map(|deadline| self.start + deadline);
        assert_eq!(switchboard.next_deadline(), deadline);
    }

    /// Once a turn is enough to find out that nobody can be taken in.
    pub fn check_pauses(&self, before: u64) {
        let pauses = self.core.counters().get(Cause::AcceptPaused) - before;
        assert!(pauses <= 1, "{pauses} pauses in one turn");
    }

    /// Every datagram that was taken from the kernel was sent on, answered, counted as dropped, or waits.
    pub fn check_books(&self) {
        let answered = [
            Cause::VoiceAuthUnknownToken,
            Cause::VoiceAuthElsewhere,
            Cause::VoiceAuthNotSealed,
            Cause::VoiceAuthTaken,
        ];
        let counters = self.core.counters();
        let dropped = counters
            .occurred()
            .filter(|(cause, _)| cause.kind() == CauseKind::Datagram && !answered.contains(cause));
        let dropped: u64 = dropped.map(|(_, count)| count).sum();
        let (air, waiting) = (&self.tap.get().air, self.core.voice_waiting());
        let done = air.sent + air.answered - air.asked + dropped;
        assert_eq!(air.taken, done + waiting as u64, "lost silently");
        let is_left = waiting > 0 || !air.is_told_empty;
        assert!(self.core.voice_is_ready() || !is_left, "voice is forgotten");
    }
}

/// Who takes nothing, or is gone, was found out by this time.
fn check_found(client: &Client, pipe: &Pipe, now: Instant, limits: &Limits) {
    let name = &client.name;
    let (at_end, look) = (pipe.at_end(), limits.stall_timeout / LOOKS_PER_STALL);
    if pipe.is_waiting() && !at_end.is_lost {
        let noticed_at = at_end.stuck_since.max(pipe.seen_at);
        let due = noticed_at + limits.stall_timeout + 2 * look;
        assert!(now < due, "{name} has stalled");
    }
    if pipe.line.tells && !pipe.line.is_up() {
        let due = pipe.line.last_heard() + silence(limits);
        assert!(now < due, "{name} is gone");
    }
}

/// What the kernel was left with is given up at once for who does not take it, and in time for others.
fn check_bequest(client: &Client, cause: Cause, stall_timeout: Duration) {
    let pipe = client.pipe.borrow();
    if pipe.line.tells && pipe.at_end().unacknowledged > 0 {
        let is_hopeless = matches!(
            cause,
            Cause::ClosedStalled | Cause::ClosedTooSlow | Cause::ClosedVanished
        );
        let time = match is_hopeless {
            true => Duration::ZERO,
            false => stall_timeout,
        };
        assert_eq!(pipe.bequeathed, Some(time), "{}: {cause:?}", client.name);
    }
}
