//! What clients do, each from its own whim, and what they do all at once.

use super::client::{Client, Manner};
use super::picture::Sent;
use super::plan::{Action, Mood};
use super::random::Random;
use super::voice::WatchedVoice;
use super::world::World;
use crate::bans::BanList;
use crate::event::VoiceToken;
use crate::protocol::Packet;
use std::time::Duration;

impl World {
    /// Something happens outside of the server: clients come, write, read and go.
    pub fn outside(&mut self) {
        if self.clients.len() < self.plan.clients && self.random.percent(60) {
            for _ in 0..self.random.between(1, 1 + self.plan.clients / 4) {
                if self.clients.len() < self.plan.clients {
                    self.connect();
                }
            }
        }
        if self.random.percent(self.plan.unison) {
            self.all_at_once();
        }
        if self.is_outage && self.random.percent(20) {
            self.is_outage = false;
            self.resume();
        }
        if self.random.percent(30) {
            self.backlog.borrow_mut().unblock();
        }
        if self.plan.sets_clock && self.random.below(300) == 0 {
            self.set_wall_clock();
        }
        if self.random.below(300) == 0 {
            let until = self.clock.get() + Duration::from_millis(self.random.below(2_000) as u64);
            let mut backlog = self.backlog.borrow_mut();
            backlog.is_out_until = Some(until);
            backlog.has_no_spare = self.random.percent(30);
        }
        self.mend_lines();
        let serials: Vec<u64> = self.clients.keys().copied().collect();
        for serial in serials {
            if self.random.percent(40) {
                if self.random.percent(self.plan.activity) {
                    self.act(serial);
                }
                self.pump(serial);
                if self.random.percent(50) {
                    self.clients[&serial].pipe.borrow_mut().unblock();
                }
            }
        }
    }

    /// Lines that were cut are there again: most before anybody may be ended for it.
    fn mend_lines(&mut self) {
        let now = self.clock.get();
        let longest = self.plan.limits.outage();
        for (serial, client) in &self.clients {
            let pipe = &mut *client.pipe.borrow_mut();
            let outage = pipe.line.outage(now);
            let is_time = match serial % 3 {
                0 => false,
                _ => outage > longest - longest / 4 || self.random.percent(3),
            };
            if pipe.line.is_cut() && is_time {
                self.log
                    .add(|| format!("{serial} is back after {outage:?}"));
                pipe.mend();
            }
        }
    }

    fn act(&mut self, serial: u64) {
        let client = self.clients.get_mut(&serial).expect("it is here");
        // Who has far more to write than it can has done enough.
        if !client.is_active() || client.unsent.len() > 300_000 {
            return;
        }
        let is_user = client.picture.id.is_some();
        if let Some(action) = self.plan.choose(is_user, &mut self.random) {
            self.log.add(|| format!("{serial}: {action:?}"));
            self.perform(serial, action);
        }
    }

    /// Everyone has the same idea, as after a restart or an outage, so that budgets are spent.
    fn all_at_once(&mut self) {
        let is_together = self.plan.mood == Mood::Together;
        if self.random.percent(if is_together { 60 } else { 20 }) {
            return self.shout();
        }
        let action = self.random.pick(&[
            match self.plan.mood {
                Mood::Shy => Action::SendHuge,
                _ => Action::LogIn,
            },
            Action::Flood,
            Action::Flood,
            Action::Chat,
            Action::Join,
            Action::StopReading,
            Action::ReadOn,
            Action::SendHuge,
            if is_together {
                Action::LogIn
            } else {
                Action::Reset
            },
            if is_together {
                Action::LogIn
            } else {
                Action::Vanish
            },
        ]);
        let share = self.random.pick(&[30, 100]);
        self.log.add(|| format!("{share} % of all: {action:?}"));
        let serials: Vec<u64> = self.clients.keys().copied().collect();
        for serial in serials {
            if self.clients[&serial].is_active() && self.random.percent(share) {
                self.perform(serial, action);
                if self.random.percent(90) {
                    self.pump(serial);
                }
            }
        }
    }

    /// Some say much, so that there is more to flush than a turn does: at once, or when everyone comes
    /// back from an outage.
    fn shout(&mut self) {
        self.log.add(|| "shouting".to_string());
        let is_limited = self.plan.limits.chat_rate > 0;
        self.is_outage = self.random.percent(50);
        for (place, client) in self.clients.values_mut().enumerate() {
            if client.is_active() && place < 6 {
                client.writing = Manner::AtOnce;
                (0..3).for_each(|_| client.chat(4_096, is_limited));
            }
            if self.is_outage {
                client.reading = Manner::NotAtAll;
            }
        }
        let serials: Vec<u64> = self.clients.keys().copied().collect();
        serials.into_iter().for_each(|serial| {
            self.pump(serial);
        });
    }

    /// The machine was suspended for as long as nobody may take nothing, and then all read at once.
    fn resume(&mut self) {
        self.log.add(|| "resumed".to_string());
        let timeout = self.plan.limits.stall_timeout;
        self.clock.set(self.clock.get() + timeout);
        let serials: Vec<u64> = self.clients.keys().copied().collect();
        for serial in serials {
            if let Some(client) = self.clients.get_mut(&serial) {
                client.reading = Manner::AtOnce;
            }
            self.pump(serial);
        }
    }

    /// Somebody reads a list of bans, or an empty one.
    pub fn ban_somebody(&mut self) {
        let some = self.clients.values().map(|client| client.address.ip());
        let some: Vec<_> = some.take(self.random.below(3)).collect();
        let list: String = some.iter().map(|ip| format!("{ip}\n")).collect();
        self.log.add(|| format!("banned: {some:?}"));
        let list = BanList::parse(&list).expect("these are addresses");
        self.core.set_bans(list.clone());
        self.bans = list;
    }

    fn perform(&mut self, serial: u64, action: Action) {
        let must_succeed = self.plan.limits.users > self.plan.clients;
        let is_limited = self.plan.limits.chat_rate > 0;
        let random = &mut self.random;
        let client = self.clients.get_mut(&serial).expect("it is here");
        match action {
            Action::LogIn => {
                let name = client.name.clone();
                client.request(Sent::LogIn { name, must_succeed });
            }
            Action::LogInBadly => {
                let name = random.pick(&["", "\n", "a name of more than thirty-two bytes"]);
                client.request(Sent::LogIn {
                    name: name.to_string(),
                    must_succeed: false,
                });
            }
            Action::Join => client.request(Sent::Join),
            Action::Leave => client.request(Sent::Leave),
            Action::Mute => client.request(Sent::Mute(random.percent(50))),
            Action::Chat => {
                let len = random.pick(&[0, 1, 20, 200, 4_096, 4_097]);
                client.chat(len, is_limited);
            }
            Action::Ping => client.request(Sent::Ping),
            Action::Flood => {
                for _ in 0..random.between(2, 120) {
                    client.request(Sent::Ping);
                }
            }
            Action::Gossip => {
                for _ in 0..random.between(2, 40) {
                    client.chat(random.pick(&[10, 4_096]), is_limited);
                }
            }
            Action::Waver => {
                for _ in 0..random.between(2, 20) {
                    let step = random.below(3);
                    client.request(match step {
                        0 => Sent::Join,
                        1 => Sent::Leave,
                        _ => Sent::Mute(random.percent(50)),
                    });
                }
            }
            Action::SendJunk => {
                let id = random.pick(&[0x00, 0x07, 0x1F, 0x21, 0x41, 0x61, 0xFF]);
                client.write_frame(id, random.pick(&[0, 1, 30, 3_000]));
            }
            Action::SendHuge => {
                let len = random.pick(&[4_093, 4_094, 5_000, 65_534, 65_535]);
                client.write_frame(0x7F, len);
                if random.percent(70) {
                    client.writing = Manner::Slowly(random.pick(&[1_500, 5_000]));
                }
            }
            Action::SendMalformed => {
                client.write_frame(0x06, 7);
                client.has_written_malformed = true;
                client.wants_to_finish = true;
            }
            Action::Prove | Action::Speak => self.send_datagram(serial, action),
            Action::ReadSlowly => client.reading = Manner::Slowly(random.between(1, 500)),
            Action::StopReading => client.reading = Manner::NotAtAll,
            Action::ReadOn => client.reading = Manner::AtOnce,
            Action::WriteSlowly => {
                let share = random.pick(&[0, 1, 5, 100]);
                client.writing = match share {
                    0 => Manner::NotAtAll,
                    share => Manner::Slowly(share),
                };
            }
            Action::WriteOn => client.writing = Manner::AtOnce,
            Action::LoseLine if self.plan.tells => client.pipe.borrow_mut().cut(),
            Action::LoseLine => {}
            Action::Finish => client.wants_to_finish = true,
            Action::Vanish => leave(client, random, false),
            Action::Reset => leave(client, random, true),
        }
    }

    fn send_datagram(&mut self, serial: u64, action: Action) {
        let client = &self.clients[&serial];
        let source = self.random.pick(&client.voice_addresses());
        let token = client.picture.token;
        match action {
            Action::Prove => {
                let source = match self.random.below(20) {
                    0 => WatchedVoice::own_address(),
                    _ => source,
                };
                let mut datagram = Vec::new();
                let packet = Packet::VoiceAuthRequest {
                    request_id: serial,
                    voice_token: VoiceToken(token),
                };
                packet.encode(&mut datagram).expect("it is short");
                let stamp = self.stamp_ns();
                self.core.voice.0.socket.arrive(source, datagram, stamp);
            }
            _ => {
                let count = self.random.pick(&[1, 1, 1, 100, self.plan.voice_flood]);
                let stamp = self.stamp_ns();
                for _ in 0..count {
                    self.core.voice.0.socket.speak(source, stamp);
                }
            }
        }
    }

    /// The kernel's time stamp of what arrives.
    fn stamp_ns(&self) -> u64 {
        let elapsed = self.clock.get().duration_since(self.start);
        elapsed.as_nanos() as u64 + self.wall_ms * 1_000_000
    }

    /// Somebody sets the wall clock. How old what waits is cannot be said for sure from then on.
    fn set_wall_clock(&mut self) {
        let step = self.random.pick(&[1, 400, 700, 5_000, 3_600_000]);
        self.wall_ms = match self.random.percent(50) {
            true => self.wall_ms + step,
            false => self.wall_ms - step,
        };
        self.core.voice.0.socket.is_clock_steady = false;
        self.log.add(|| "the wall clock is set".to_string());
    }
}

/// A client goes without a word; some of its last words may have got through.
fn leave(client: &mut Client, random: &mut Random, with_reset: bool) {
    let with_reset = with_reset || random.percent(20);
    client.vanish(with_reset);
}
