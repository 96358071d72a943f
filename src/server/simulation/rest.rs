//! The faults stop and time passes: everything must come to rest, everyone must have been answered,
//! and all must agree with each other about what is.

use super::client::Manner;
use super::picture::{Person, Said};
use super::pipe::Faults;
use super::world::World;
use std::collections::BTreeMap;

/// More turns than that, and it never rests.
const TURNS_MAX: u64 = 20_000;

impl World {
    /// Lets everything come to rest, compares what everyone knows, and lets it go on.
    pub fn come_to_rest(&mut self) {
        self.log.add(|| "coming to rest".to_string());
        let events_max = std::mem::replace(&mut self.plan.events_max, 1_024);
        // At first those who do not read stay like that, and are ended if something waits for them.
        self.settle(false);
        self.core.connections.recount_at_rest();
        self.settle(true);
        self.core.connections.recount_at_rest();
        self.compare();
        for client in self.clients.values() {
            client.pipe.borrow_mut().widen([false; 2]);
        }
        self.plan.events_max = events_max;
        let faults = self.plan.faults;
        self.set_faults(faults, self.plan.accept_fault);
        self.log.add(|| "on it goes".to_string());
    }

    /// Everyone leaves, and nothing is left of them.
    pub fn all_leave(&mut self) {
        for client in self.clients.values_mut() {
            client.pipe.borrow_mut().mend();
            match self.random.below(3) {
                0 => client.wants_to_finish = true,
                1 => client.vanish(false),
                _ => client.vanish(true),
            }
        }
        self.settle(true);
        self.core.connections.recount_at_rest();
        assert!(self.clients.is_empty() && self.backlog.borrow().is_empty());
        assert_eq!(self.core.connections.count(), 0);
        assert!(self.core.connections.marks.is_empty());
        let management = self.core.switchboard.management();
        assert_eq!(management.user_count() + management.pending_count(), 0);
        assert_eq!(management.next_deadline(), None);
        let relay = self.core.switchboard.relay();
        assert_eq!(relay.user_count() + relay.address_count(), 0);
        assert_eq!(relay.listener_count(), 0);
        let counters = self.core.switchboard.counters();
        for (cause, count) in self.causes.occurred() {
            assert_eq!(counters.get(cause), count, "{cause:?}");
        }
    }

    fn set_faults(&mut self, faults: Faults, accept_fault: usize) {
        let mut backlog = self.backlog.borrow_mut();
        backlog.fault = accept_fault;
        for client in self.clients.values() {
            client.pipe.borrow_mut().faults = faults;
        }
    }

    fn settle(&mut self, all_read: bool) {
        self.set_faults(Faults::default(), 0);
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
            let serials: Vec<u64> = self.clients.keys().copied().collect();
            for serial in serials {
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
                        Some(due) if due <= moved_at + self.plan.limits.dead_peer_timeout => {
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

    fn compare(&mut self) {
        let mut truth: BTreeMap<u64, Person> = BTreeMap::new();
        for client in self.clients.values() {
            let (name, picture) = (&client.name, &client.picture);
            assert!(client.unsent.is_empty(), "{name} could not write");
            assert!(picture.sent.is_empty(), "{name}: {:?}", picture.sent);
            assert!(picture.unechoed.is_empty(), "{name} did not hear itself");
            assert!(!picture.has_part_of_a_frame(), "{name} has half a frame");
            let id = picture.id.expect("strangers are ended in time");
            let own = picture.own.clone().expect("it is logged in");
            assert!(!client.is_gone && !client.wants_to_finish, "{name} is gone");
            truth.insert(id, own);
        }
        let count = self.core.switchboard.management().user_count();
        assert_eq!(truth.len(), count);
        for client in self.clients.values() {
            let picture = &client.picture;
            let others = truth.iter().filter(|&(&id, _)| Some(id) != picture.id);
            assert!(picture.people.iter().eq(others), "{}", client.name);
            let audible = truth.iter().filter(|(_, person)| person.in_voice);
            let audible = audible
                .map(|(id, _)| id)
                .filter(|&&id| Some(id) != picture.id);
            assert!(picture.audible().eq(audible), "{}", client.name);
        }
        self.compare_what_was_said();
    }

    /// Everyone heard the same in the same order, from their login to now, and nothing that was
    /// refused.
    fn compare_what_was_said(&mut self) {
        let mut all: BTreeMap<u64, Said> = BTreeMap::new();
        let living = self.clients.values().map(|client| &client.picture.said);
        for said in living.chain(&self.heard_by_gone).flatten() {
            let known = *all.entry(said.at).or_insert(*said);
            assert_eq!(known, *said, "two messages of one time");
        }
        let all: Vec<Said> = all.into_values().collect();
        for client in self.clients.values_mut() {
            let picture = &mut client.picture;
            assert!(all.ends_with(&picture.said), "{} missed one", client.name);
            let heard_all = picture.said.len() == all.len();
            assert!(!picture.was_here || heard_all, "{} missed one", client.name);
        }
        for said in self.heard_by_gone.drain(..) {
            let Some(first) = said.first() else {
                continue;
            };
            let from = all.partition_point(|other| other.at < first.at);
            assert!(all[from..].starts_with(&said), "somebody missed one");
        }
        let mut said_by = std::mem::take(&mut self.said_by_gone);
        for client in self.clients.values_mut() {
            let picture = &mut client.picture;
            picture.said.clear();
            picture.was_here = true;
            let id = picture.id.expect("it is logged in");
            said_by.insert(id, (picture.messages.clone(), picture.refused.clone()));
        }
        // Who never learned that it was logged in is not among them.
        for said in &all {
            if let Some((messages, refused)) = said_by.get(&said.author) {
                assert_eq!(messages.get(said.number), Some(&said.len));
                assert!(!refused.contains(&said.number), "it was refused");
            }
        }
    }
}
