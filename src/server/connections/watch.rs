//! Looks at connections from time to time: whether what waits for them is taken, and whether their
//! machines are still there.
//!
//! Connections with something under way are looked at in turn, so that what the kernel holds is
//! counted, and a client that takes nothing is found while the kernel still takes bytes for it. A
//! silent one is looked at when it may have been silent for too long. The kernel asks the silent
//! ones and retransmits what was lost, and gives nobody up before it is done here: only here is it
//! known both when something was last heard and what waits.

use super::Connections;
use crate::cause::Ended;
use crate::connection::Stream;
use crate::connection::delivery::Progress;
use crate::event::ConnectionId;
use crate::limits::SILENCE_LOOKS;
use crate::switchboard::Deliver;
use std::time::Instant;

impl<S: Stream> Connections<S> {
    /// Records what was delivered of a connection's bytes.
    pub(super) fn note_delivered(&mut self, id: ConnectionId) {
        if let Some(connection) = self.slab.get_mut(id.index()) {
            let unacknowledged = connection.stream.unacknowledged();
            let delivered = connection.delivery.note(self.now, unacknowledged);
            connection.is_behind &= delivered == 0;
            self.lower_total(delivered);
        }
    }

    /// Schedules a look at a connection, if something waits for it.
    pub(super) fn want_look(&mut self, id: ConnectionId) {
        let connection = self.slab.get(id.index());
        if connection.is_some_and(|it| it.is_waiting() && it.look_at.is_none()) {
            self.look_again(id);
        }
    }

    fn look_again(&mut self, id: ConnectionId) {
        let at = self.now + self.patience.look;
        if let Some(connection) = self.slab.get_mut(id.index()) {
            connection.look_at = Some(at);
            self.waiting.push_back((at, id));
        }
    }

    /// Schedules a look at a newcomer for when it may have been silent for too long, where the
    /// system reports it. It may have waited to be accepted.
    pub(super) fn watch_silence(&mut self, id: ConnectionId) {
        let contact = self.slab.get(id.index()).and_then(|it| it.stream.contact());
        let left = contact.map(|it| self.patience.silence.saturating_sub(it.silent_for));
        self.set_silent_at(id, left.map(|left| self.now + left));
    }

    fn set_silent_at(&mut self, id: ConnectionId, at: Option<Instant>) {
        let Some(connection) = self.slab.get_mut(id.index()) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut connection.silent_at, at) {
            self.silent.remove(&(old, id));
        }
        if let Some(at) = at {
            self.silent.insert((at, id));
        }
    }

    /// When the next look is due.
    pub(in crate::server) fn next_look(&self) -> Option<Instant> {
        let waiting = self.waiting.front().map(|&(at, _)| at);
        let silent = self.silent.first().map(|&(at, _)| at);
        waiting.into_iter().chain(silent).min()
    }

    /// Looks at one connection that is due, and returns whether there was one, so that another may
    /// be. Marks it to be closed if it takes nothing or its machine is gone.
    pub(in crate::server) fn look_at_due(&mut self) -> bool {
        if let Some(&(at, id)) = self.waiting.front().filter(|(at, _)| *at <= self.now) {
            self.waiting.pop_front();
            // Otherwise it is an entry of an earlier connection in its place.
            if self.slab.get(id.index()).and_then(|it| it.look_at) == Some(at) {
                self.look_at_progress(id);
            }
            return true;
        }
        let due = self.silent.first().filter(|(at, _)| *at <= self.now);
        if let Some(&(_, id)) = due {
            self.look_at_silence(id);
            return true;
        }
        false
    }

    fn look_at_progress(&mut self, id: ConnectionId) {
        self.note_delivered(id);
        let Some(connection) = self.slab.get_mut(id.index()) else {
            return;
        };
        connection.look_at = None;
        // If the kernel has room since, it has only not been offered anything yet.
        let progress =
            connection
                .delivery
                .judge(self.now, connection.is_blocked(), self.patience, || {
                    connection.stream.contact()
                });
        connection.is_behind = matches!(progress, Progress::None | Progress::Stalled);
        match progress {
            Progress::Done => {}
            Progress::Some | Progress::None => self.look_again(id),
            Progress::Stalled => self.end(id, Ended::Stalled),
        }
    }

    fn look_at_silence(&mut self, id: ConnectionId) {
        let connection = self.slab.get(id.index());
        let contact = connection
            .filter(|it| it.ending.is_none())
            .and_then(|it| it.stream.contact());
        let silence = self.patience.silence;
        let at = contact.map(|contact| match contact.silent_for {
            silent_for if silent_for < silence => self.now + (silence - silent_for),
            // The kernel asks it in a moment.
            _ => self.now + silence / SILENCE_LOOKS,
        });
        self.set_silent_at(id, at);
        if contact.is_some_and(|it| it.is_asked && it.silent_for >= silence) {
            self.set_silent_at(id, None);
            self.end(id, Ended::Vanished);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::delivery::Contact;
    use crate::limits::{KERNEL_BYTES_UNSEEN, Limits};
    use std::cell::Cell;
    use std::io::{self, Read, Write};
    use std::rc::Rc;
    use std::time::Duration;

    /// A kernel that takes everything, and has so much of it not acknowledged.
    struct Taker(Rc<Cell<usize>>, Option<Contact>);

    impl Read for Taker {
        fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    impl Write for Taker {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.set(self.0.get() + bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stream for Taker {
        fn unacknowledged(&self) -> Option<usize> {
            Some(self.0.get())
        }

        fn contact(&self) -> Option<Contact> {
            self.1
        }

        fn finish(&mut self, _scratch: &mut [u8]) {}

        fn bequeath(&self, _time: Duration) {}
    }

    fn connect(connections: &mut Connections<Taker>) -> (ConnectionId, Rc<Cell<usize>>) {
        let unacknowledged = Rc::new(Cell::new(0));
        let id = connections.next_id();
        connections.insert(Taker(unacknowledged.clone(), None));
        (id, unacknowledged)
    }

    /// No connections yet, and a kilobyte for all.
    fn tight() -> Connections<Taker> {
        let outbound_bytes = 1_000;
        let limits = Limits {
            outbound_bytes,
            ..Limits::default()
        };
        Connections::new(Instant::now(), limits)
    }

    fn say(connections: &mut Connections<Taker>, id: ConnectionId, bytes: usize) {
        connections.deliver(id, &vec![0; bytes]);
        connections.flush(id).expect("it takes everything");
    }

    /// Lets time pass, and looks at those that are due.
    fn look(connections: &mut Connections<Taker>) {
        connections.now += connections.patience.look;
        while connections.look_at_due() {}
    }

    #[test]
    fn what_was_acknowledged_is_not_counted_for_long_even_before_a_look() {
        let mut connections = Connections::new(Instant::now(), Limits::default());
        let (id, unacknowledged) = connect(&mut connections);
        for _ in 0..100 {
            say(&mut connections, id, KERNEL_BYTES_UNSEEN / 4);
            assert!(connections.outbound_total() <= KERNEL_BYTES_UNSEEN);
            unacknowledged.set(0);
        }
        look(&mut connections);
        assert_eq!(connections.outbound_total(), 0);
    }

    #[test]
    fn with_too_much_for_all_who_has_taken_nothing_is_ended_though_the_kernel_takes_more() {
        let mut connections = tight();
        let (behind, _) = connect(&mut connections);
        let (steady, _) = connect(&mut connections);
        say(&mut connections, behind, 600);
        look(&mut connections);
        // This one was not looked at since it began to wait, so that it may be a good reader.
        say(&mut connections, steady, 600);
        assert_eq!(connections.next_to_end(), None);
        say(&mut connections, behind, 100);
        assert_eq!(connections.next_to_end(), Some(behind));
        assert_eq!(connections.next_to_end(), None);
    }

    #[test]
    fn who_has_caught_up_since_the_last_look_is_not_behind() {
        let mut connections = tight();
        let (id, unacknowledged) = connect(&mut connections);
        let (_, _) = connect(&mut connections);
        say(&mut connections, id, 900);
        look(&mut connections);
        unacknowledged.set(0);
        say(&mut connections, id, 200);
        assert_eq!(connections.next_to_end(), None);
        assert_eq!(connections.outbound_total(), 200);
    }

    #[test]
    fn an_entry_of_one_that_is_gone_has_nobody_looked_at_twice() {
        let mut connections = Connections::new(Instant::now(), Limits::default());
        let (first, _) = connect(&mut connections);
        say(&mut connections, first, 10);
        connections.remove(first);
        connections.now += connections.patience.look / 2;
        let (second, _) = connect(&mut connections);
        assert_eq!(first, second, "the place is used again");
        say(&mut connections, second, 10);
        for _ in 0..3 {
            look(&mut connections);
            assert_eq!(connections.waiting.len(), 1);
        }
    }

    #[test]
    fn a_newcomer_has_been_silent_since_before_it_was_accepted() {
        let mut connections = Connections::new(Instant::now(), Limits::default());
        let waited = Duration::from_secs(5);
        let contact = Contact {
            silent_for: waited,
            is_asked: false,
            is_repeating: false,
        };
        connections.insert(Taker(Rc::default(), Some(contact)));
        let left = connections.patience.silence - waited;
        assert_eq!(connections.next_look(), Some(connections.now + left));
    }
}
