//! How a run ends, and begins where it begins with a crowd. The faults stop; everyone's picture
//! must then be the truth, and everyone in voice must be heard by everyone in voice. Then all
//! leave, and the server must be as empty as it was.

use crate::client::Request;
use crate::plan::Action;
use crate::session::Person;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// After this long no rate stands in the way, whatever the limits are, and nothing is owed.
const A_WHILE: Duration = Duration::from_secs(60);

/// Enough to see that everyone hears; everybody to everybody would take longer than the rest of the
/// run.
const LAST_SPEAKERS: usize = 10;

impl World {
    /// Everyone connects before anyone logs in, so that the first are crowded out and have to come
    /// again. Then all have the longest names there are.
    pub fn gather_crowd(&mut self) {
        for _ in 0..2 {
            for client in 0..self.clients.len() {
                if self.clients[client].connection.is_none() {
                    assert!(
                        self.connect(client),
                        "there is no limit that it has reached"
                    );
                }
            }
            self.log_in_waiting();
        }
    }

    fn log_in_waiting(&mut self) {
        for client in 0..self.clients.len() {
            let newcomer = &self.clients[client];
            if newcomer.connection.is_some() && !newcomer.session.is_logged_in() {
                let name = long_name(self.model.count_users(|_| true));
                self.request(client, Request::LogIn(name));
                if client % 3 == 0 {
                    self.request(client, Request::Join);
                }
                if client % 50 == 0 {
                    self.act(client, Action::Mute);
                }
                self.transmit_all(client);
            }
        }
    }

    pub fn finish(&mut self) {
        self.note(|| "the faults stop".to_string());
        self.network.stop_faults();
        self.set_bans(Vec::new(), "");
        self.accepts_again_at = Duration::ZERO;
        self.plan.runs_out_of_descriptors = false;
        self.settle();
        self.compare_tables();
        for client in &self.clients {
            client.session.assert_all_answered();
        }
        self.let_all_be_told();
        for client in 0..self.clients.len() {
            self.check_list(client);
        }
        self.check_voice();
        self.empty_server();
    }

    /// Everything under way arrives, and the server finds out about everyone who has vanished.
    fn settle(&mut self) {
        for client in 0..self.clients.len() {
            self.transmit_all(client);
        }
        for ghost in &mut self.ghosts {
            ghost.ends_at = self.elapsed;
        }
        while let Some(at) = self.network.quiet_at() {
            self.elapsed = self.elapsed.max(at);
            self.let_things_happen();
        }
        self.let_things_happen();
    }

    /// Time passes, and from then on what the others have been told is the truth.
    fn let_all_be_told(&mut self) {
        self.elapsed += A_WHILE;
        self.tick();
        self.compare_tables();
        for user in self.model.users() {
            let told = (user.told_in_voice, user.told_muted);
            assert_eq!(told, (user.in_voice, user.is_muted), "{}", user.id);
            assert_eq!(user.owed_at, None, "{}", user.id);
        }
    }

    /// What a client has in its list must be the truth about itself, and what it has been told of the
    /// others.
    pub fn check_list(&self, client: usize) {
        let client = &self.clients[client];
        let mut connections = self.model.connections.iter();
        let Some(connection) = connections.find(|c| Some(c.id) == client.connection) else {
            return;
        };
        let session = &client.session;
        let own = connection.user.as_ref().map(|user| user.id);
        assert_eq!(session.id, own, "whether, and as whom, it is logged in");
        if own.is_none() || !session.keeps_list {
            return;
        }
        let knows_itself = !session.is_garbled && client.unsent.is_empty();
        let mut truth = BTreeMap::new();
        let mut in_voice = BTreeSet::new();
        for user in self.model.users() {
            let is_other = own != Some(user.id);
            let (is_in_voice, is_muted) = match is_other {
                true => (user.told_in_voice, user.told_muted),
                false => (user.in_voice, user.is_muted),
            };
            let person = Person {
                name: user.name.clone(),
                in_voice: is_in_voice,
                is_muted,
            };
            if is_other || knows_itself {
                assert_eq!(session.people.get(&user.id), Some(&person), "{}", user.id);
            }
            if is_other && is_in_voice {
                in_voice.insert(user.id);
            }
            truth.insert(user.id, person);
        }
        assert!(
            session.people.keys().eq(truth.keys()),
            "people who are not here"
        );
        assert_eq!(session.audible, in_voice);
    }

    /// Everyone proves a new address and some speak: the clients alone can tell what each must
    /// hear.
    fn check_voice(&mut self) {
        for client in 0..self.clients.len() {
            if self.clients[client].session.is_logged_in() {
                self.move_to_fresh_address(client);
                self.prove_own(client);
            }
        }
        self.settle();
        self.elapsed += A_WHILE;
        let mut speakers = Vec::new();
        for (place, client) in self.clients.iter_mut().enumerate() {
            let session = &client.session;
            assert!(
                client.proof.is_none() || !session.is_logged_in(),
                "an unanswered proof"
            );
            client.heard = 0;
            let is_open = session.in_voice && !session.is_muted && !session.is_garbled;
            if is_open && speakers.len() < LAST_SPEAKERS {
                speakers.push(place);
            }
        }
        for &speaker in &speakers {
            let data_len = self.plan.limits.voice_bytes.min(240);
            self.speak(speaker, self.clients[speaker].address, data_len);
        }
        self.settle();
        for (place, client) in self.clients.iter().enumerate() {
            let others = speakers.iter().filter(|&&speaker| speaker != place).count();
            let expected = if client.session.in_voice { others } else { 0 };
            assert!(
                client.heard == expected || client.shares_address,
                "client {place} heard {} of {expected}",
                client.heard
            );
        }
    }

    /// All leave in any order; those who never logged in are sent away. What they leave behind on
    /// UDP means nothing.
    fn empty_server(&mut self) {
        let mut staying: Vec<usize> = (0..self.clients.len()).collect();
        while !staying.is_empty() {
            let place = self.random.below(staying.len());
            let client = staying.swap_remove(place);
            if self.clients[client].session.is_logged_in() {
                self.leave_server(client);
            }
        }
        self.elapsed += self.plan.limits.login_timeout;
        self.tick();
        for client in 0..self.clients.len() {
            self.elapsed += Duration::from_millis(20);
            self.speak(client, self.clients[client].address, 240);
            self.act(client, Action::ProveDepartedToken);
        }
        self.settle();
        self.compare_tables();
        let (management, relay) = (self.switchboard.management(), self.switchboard.relay());
        assert_eq!(management.user_count(), 0);
        assert_eq!(management.pending_count(), 0);
        assert_eq!(relay.user_count(), 0);
        assert_eq!(relay.address_count(), 0);
        assert_eq!(relay.listener_count(), 0);
        assert_eq!(self.switchboard.next_deadline(), None);
    }
}

/// As long as names can be, but for two things: with six bytes less in front, a list of 1,489 is
/// one byte too long for a newcomer of 32 bytes, and just fits for one of 31.
fn long_name(rank: usize) -> String {
    let len = match rank {
        0 => 26,
        1..=1_487 => 32,
        _ => 31 + rank % 2,
    };
    format!("{rank:0>len$}")
}
