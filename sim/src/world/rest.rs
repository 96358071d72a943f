//! The faults stop and time passes: everything must come to rest, everyone must have been answered, and all must
//! agree with each other about what is.

use super::World;
use crate::client::Manner;
use crate::client::picture::Person;
use crate::kernel::air::{AirFaults, Sent};
use crate::kernel::pipe::Faults;
use std::collections::BTreeMap;
use std::time::Duration;

/// More turns than that, and it never rests.
const TURNS_MAX: u64 = 20_000;

/// After this long no rate stands in the way, whatever the limits are, and nothing is owed.
const A_WHILE: Duration = Duration::from_secs(60);

/// Enough to see that everyone hears; everybody to everybody would take longer than the rest of the run.
const LAST_SPEAKERS: usize = 10;

impl World {
    /// Lets everything come to rest, and compares what everyone knows.
    pub fn come_to_rest(&mut self) {
        self.log.add(|| "coming to rest".to_string());
        let events_max = std::mem::replace(&mut self.odds.events_max, 1_024);
        // At first those who do not read stay like that, and are ended if something waits for them.
        self.settle(false);
        self.core.recount_at_rest();
        self.settle(true);
        self.core.recount_at_rest();
        self.compare();
        self.odds.events_max = events_max;
    }

    /// With all that was odd before.
    pub fn go_on(&mut self) {
        for client in self.clients.values() {
            client.pipe.borrow_mut().widen([false; 2]);
        }
        let (faults, accept_fault, air) = (self.odds.faults, self.odds.accept_fault, self.odds.air);
        self.set_faults(faults, accept_fault, air);
        self.log.add(|| "on it goes".to_string());
    }

    /// Everyone proves a new address and some speak: the clients alone can tell what each must hear.
    pub fn all_hear(&mut self) {
        self.set_bans(Vec::new(), "");
        self.pass(A_WHILE);
        let mut tap = self.tap.get();
        (tap.air.records, tap.air.queue_max) = (true, usize::MAX);
        drop(tap);
        let mut proofs = BTreeMap::new();
        for serial in self.serials() {
            let home = self.clients[&serial].address;
            let mut fresh = self.fresh_voice_address(home);
            fresh.set_ip(home.ip().to_canonical());
            let client = self.clients.get_mut(&serial).expect("it is here");
            client.voice = fresh;
            let (path, token) = (client.path(), client.picture.token);
            self.prove(serial, path, token);
            proofs.insert(fresh, serial);
        }
        self.settle(true);
        self.pass(A_WHILE);
        let is_open = |serial: &u64| {
            let picture = &self.clients[serial].picture;
            picture.in_voice && !picture.is_muted && !picture.is_garbled
        };
        let speakers = self.serials().into_iter().filter(is_open);
        let speakers: Vec<u64> = speakers.take(LAST_SPEAKERS).collect();
        self.tap.get().air.record.clear();
        let before = self.core.counters();
        for serial in &speakers {
            let path = self.clients[serial].path();
            let len = self.odds.limits.voice_bytes.min(240);
            self.speak(*serial, path, len);
            // Several may be of one address, which has a rate.
            self.pass(A_WHILE / 10);
        }
        self.settle(true);
        let record = std::mem::take(&mut self.tap.get().air.record);
        self.tap.get().air.records = false;
        let mut heard: BTreeMap<u64, usize> = BTreeMap::new();
        for sent in &record {
            let Sent::Voice { to, .. } = sent else {
                continue;
            };
            for path in to {
                *heard.entry(proofs[&path.remote]).or_default() += 1;
            }
        }
        for (serial, client) in self.clients.iter().filter(|(_, it)| !it.picture.is_garbled) {
            let others = speakers.iter().filter(|&it| it != serial).count();
            let expected = if client.picture.in_voice { others } else { 0 };
            let heard = heard.get(serial).copied().unwrap_or_default();
            let after = self.core.counters();
            let news = after
                .occurred()
                .filter(|&(it, count)| count > before.get(it));
            assert_eq!(
                heard,
                expected,
                "what {} hears: {:?}",
                client.name,
                news.collect::<Vec<_>>()
            );
        }
    }

    /// Everyone leaves, and nothing is left of them.
    pub fn all_leave(&mut self) {
        for client in self.clients.values_mut() {
            client.pipe.borrow_mut().mend();
            match self.chance.below(3) {
                0 => client.wants_to_finish = true,
                1 => client.vanish(false),
                _ => client.vanish(true),
            }
        }
        self.settle(true);
        self.core.recount_at_rest();
        assert!(self.clients.is_empty() && self.backlog.borrow().is_empty());
        assert_eq!(self.core.connection_count(), 0);
        assert!(self.core.marks().is_empty() && self.tap.get().unread.is_empty());
        let management = self.core.switchboard().management();
        assert_eq!(management.user_count() + management.pending_count(), 0);
        assert_eq!(management.next_deadline(), None);
        let relay = self.core.switchboard().relay();
        assert_eq!(relay.user_count() + relay.address_count(), 0);
        assert_eq!(relay.listener_count(), 0);
        let counters = self.core.switchboard().counters();
        for (cause, count) in self.causes.occurred() {
            assert_eq!(counters.get(cause), count, "{cause:?}");
        }
    }

    /// Time passes, with every turn of the loop that is due in it.
    pub fn pass(&mut self, duration: Duration) {
        let until = self.clock.get() + duration;
        loop {
            self.settle_now();
            let air = self.tap.get().air.next_arrival();
            let next = [self.due(), air].into_iter().flatten().min();
            match next.filter(|&next| next <= until) {
                Some(next) => self.clock.set(next.max(self.clock.get())),
                None => break,
            }
            let events = self.poll().unwrap_or_default();
            self.turn(&events);
        }
        self.clock.set(until.max(self.clock.get()));
        self.settle_now();
    }

    /// Everything happens that happens at once.
    pub fn settle_now(&mut self) {
        loop {
            let mut has_moved = false;
            for serial in self.serials() {
                has_moved |= self.pump(serial);
            }
            let polled = self.poll();
            let is_due = self.due().is_some_and(|due| due <= self.clock.get());
            match polled {
                Some(events) => self.turn(&events),
                None if is_due => self.turn(&[]),
                None if !has_moved => return,
                None => {}
            }
        }
    }

    fn set_faults(&mut self, faults: Faults, accept_fault: usize, air: AirFaults) {
        self.tap.get().air.faults = air;
        let mut backlog = self.backlog.borrow_mut();
        backlog.fault = accept_fault;
        for client in self.clients.values() {
            client.pipe.borrow_mut().faults = faults;
        }
    }

    fn settle(&mut self, all_read: bool) {
        self.set_faults(Faults::default(), 0, AirFaults::default());
        self.backlog.borrow_mut().is_out_until = None;
        self.backlog.borrow_mut().unblock();
        for client in self.clients.values_mut() {
            client.pipe.borrow_mut().unblock();
            if all_read {
                client.pipe.borrow_mut().mend();
            }
            client.writing = Manner::AtOnce;
            if all_read || client.reading != Manner::NotAtAll {
                client.reading = Manner::AtOnce;
            }
            let reads = client.reading == Manner::AtOnce;
            client.pipe.borrow_mut().widen([true, reads]);
        }
        let until = self.turns + TURNS_MAX;
        let (mut moved_at, mut count) = (self.clock.get(), self.clients.len());
        while self.turns < until {
            let mut has_moved = false;
            for serial in self.serials() {
                has_moved |= self.pump(serial);
            }
            let due = self.due();
            let polled = self.poll();
            if has_moved || polled.is_some() || self.clients.len() != count {
                moved_at = self.clock.get();
                count = self.clients.len();
            }
            match polled {
                Some(events) => self.turn(&events),
                None if due.is_some_and(|due| due <= self.clock.get()) => self.turn(&[]),
                None => {
                    self.check_asleep(due);
                    match due {
                        _ if has_moved => {}
                        // Those who are silent are looked at for ever.
                        Some(due) if due <= moved_at + self.odds.limits.dead_peer_timeout => {
                            self.clock.set(due);
                            self.turn(&[]);
                        }
                        _ => return,
                    }
                }
            }
        }
        panic!("it does not come to rest");
    }

    /// What each client shows must be the truth about itself, and what it was to be told of the others; and once
    /// everything has been told, that is the truth as well.
    fn compare(&mut self) {
        let tap = self.tap.get();
        let mut truth: BTreeMap<u64, Person> = BTreeMap::new();
        for user in tap.model.users() {
            let told = (user.told_in_voice, user.told_muted);
            let is_told = told == (user.in_voice, user.is_muted) || user.owed_at.is_some();
            assert!(is_told, "{} is told wrongly", user.id);
            let person = Person {
                name: user.name.clone(),
                in_voice: told.0,
                is_muted: told.1,
            };
            truth.insert(user.id, person);
        }
        assert_eq!(
            truth.len(),
            self.clients.len(),
            "strangers are ended in time"
        );
        for client in self.clients.values() {
            let (name, picture) = (&client.name, &client.picture);
            assert!(client.unsent.is_empty(), "{name} could not write");
            let is_answered = picture.sent.is_empty() && picture.unechoed.is_empty();
            assert!(
                is_answered || picture.is_garbled,
                "{name}: {:?}",
                picture.sent
            );
            assert!(!picture.has_part_of_a_frame(), "{name} has half a frame");
            let token = client.pipe.borrow().token.expect("it was taken in");
            assert!(
                tap.unread[&token].len() == 0,
                "{name} was not sent something"
            );
            assert!(!client.is_gone && !client.wants_to_finish, "{name} is gone");
            let id = picture.id.expect("strangers are ended in time");
            let others = |&(other, _): &(&u64, &Person)| *other != id;
            let shown = picture.people.iter().filter(others);
            assert!(shown.eq(truth.iter().filter(others)), "{name}");
            let audible = truth.iter().filter(others).filter(|(_, it)| it.in_voice);
            assert!(
                picture.audible.iter().eq(audible.map(|(id, _)| id)),
                "{name}"
            );
            if picture.is_extended() {
                let users = tap.model.users().into_iter();
                let encrypted = users.filter(|user| user.is_encrypted).map(|user| user.id);
                assert!(encrypted.eq(picture.encrypted.iter().copied()), "{name}");
            }
            let own = tap.model.users().into_iter().find(|user| user.id == id);
            let own = own.expect("it is logged in");
            if !picture.is_garbled {
                let is_true = (picture.in_voice, picture.is_muted) == (own.in_voice, own.is_muted);
                assert!(is_true && picture.people[&id].name == own.name, "{name}");
            }
        }
    }
}
