//! What clients do, each from its own whim, and what they do all at once.

use super::World;
use crate::client::{Manner, Request, junk};
use crate::odds::{Action, Mood};
use crate::wire;
use std::time::Duration;
use voiceapp_server::limits::CHAT_BYTES_MAX;

impl World {
    /// Something happens outside of the server: clients come, write, read and go.
    pub fn outside(&mut self) {
        if self.clients.len() < self.odds.clients && self.chance.percent(60) {
            for _ in 0..self.chance.between(1, 1 + self.odds.clients / 4) {
                if self.clients.len() < self.odds.clients {
                    let home = self.chance.pick(&self.odds.homes);
                    let serial = self.connect(home);
                    self.clients[&serial].pipe.borrow_mut().catch_up();
                }
            }
        }
        if self.chance.percent(self.odds.unison) {
            self.all_at_once();
        }
        if self.is_outage && self.chance.percent(20) {
            self.is_outage = false;
            self.resume();
        }
        if self.chance.percent(30) {
            self.backlog.borrow_mut().unblock();
        }
        if self.odds.sets_clock && self.chance.below(300) == 1 {
            self.set_wall_clock();
        }
        if self.chance.below(300) == 1 {
            let until = self.clock.get() + Duration::from_millis(self.chance.below(2_000) as u64);
            let mut backlog = self.backlog.borrow_mut();
            backlog.is_out_until = Some(until);
            backlog.has_no_spare = self.chance.percent(30);
        }
        self.mend_lines();
        for serial in self.serials() {
            if self.chance.percent(40) {
                if self.chance.percent(self.odds.activity) {
                    self.act(serial);
                }
                self.pump(serial);
                if self.chance.percent(50) {
                    self.clients[&serial].pipe.borrow_mut().unblock();
                }
            }
        }
    }

    /// Lines that were cut are there again: most before anybody may be ended for it.
    fn mend_lines(&mut self) {
        let now = self.clock.get();
        let longest = self.odds.limits.outage();
        for (serial, client) in &self.clients {
            let pipe = &mut *client.pipe.borrow_mut();
            let outage = pipe.line.outage(now);
            let is_time = match serial % 3 {
                0 => false,
                _ => outage > longest - longest / 4 || self.chance.percent(3),
            };
            if pipe.line.is_cut() && is_time {
                self.log
                    .add(|| format!("{serial} is back after {outage:?}"));
                pipe.mend();
            }
        }
    }

    fn act(&mut self, serial: u64) {
        let client = &self.clients[&serial];
        // Who has far more to write than it can has done enough.
        if !client.is_active() || client.unsent.len() > 300_000 {
            return;
        }
        let is_user = client.picture.id.is_some();
        if let Some(action) = self.odds.choose(is_user, &mut self.chance) {
            self.log.add(|| format!("{serial}: {action:?}"));
            self.perform(serial, action);
        }
    }

    /// Everyone has the same idea, as after a restart or an outage, so that budgets are spent.
    fn all_at_once(&mut self) {
        let mood = self.odds.mood;
        let shouting = if mood == Mood::Together { 60 } else { 20 };
        if self.chance.percent(shouting) {
            return self.shout();
        }
        let [coming, leaving] = match mood {
            Mood::Shy => [Action::SendHuge, Action::Vanish],
            Mood::Usual => [Action::LogIn, Action::Reset],
            Mood::Together => [Action::LogIn, Action::LogIn],
        };
        let action = self.chance.pick(&[
            coming,
            leaving,
            Action::Flood,
            Action::Flood,
            Action::Chat,
            Action::Join,
            Action::Prove,
            Action::SpeakMuch,
            Action::StopReading,
            Action::ReadOn,
            Action::SendHuge,
        ]);
        let share = self.chance.pick(&[30, 100]);
        self.log.add(|| format!("{share} % of all: {action:?}"));
        for serial in self.serials() {
            if self.clients[&serial].is_active() && self.chance.percent(share) {
                self.perform(serial, action);
                if self.chance.percent(90) {
                    self.pump(serial);
                }
            }
        }
    }

    /// Some say much, so that there is more to flush than a turn does: at once, or when everyone comes back from an
    /// outage.
    fn shout(&mut self) {
        self.log.add(|| "shouting".to_string());
        self.is_outage = self.chance.percent(50);
        for (place, serial) in self.serials().into_iter().enumerate() {
            let client = self.clients.get_mut(&serial).expect("it is here");
            if self.is_outage {
                client.reading = Manner::NotAtAll;
            }
            if client.is_active() && place < 6 {
                client.writing = Manner::AtOnce;
                for _ in 0..3 {
                    self.request(serial, Request::Chat("x".repeat(CHAT_BYTES_MAX)));
                }
            }
        }
        for serial in self.serials() {
            self.pump(serial);
        }
    }

    /// The machine was suspended for as long as nobody may take nothing, and then all read at once.
    fn resume(&mut self) {
        self.log.add(|| "resumed".to_string());
        let timeout = self.odds.limits.stall_timeout;
        self.clock.set(self.clock.get() + timeout);
        for serial in self.serials() {
            if let Some(client) = self.clients.get_mut(&serial) {
                client.reading = Manner::AtOnce;
            }
            self.pump(serial);
        }
    }

    pub fn request(&mut self, serial: u64, request: Request) {
        self.next_request += 1;
        let request_id = self.next_request << 8 | self.chance.below(256) as u64;
        let tail_len = match self.chance.percent(3) {
            true => self.chance.below(20),
            false => 0,
        };
        let tail = self.chance.bytes(tail_len);
        let asked = self.clients[&serial].picture.asked;
        let (tail, is_whole) = match (&request, asked) {
            (Request::LogIn(_), Some(caps)) => junk::asked(caps, &mut self.chance),
            // Behind a name that is too short for capabilities.
            (Request::LogIn(_), None) => (tail[..tail_len.min(3)].to_vec(), true),
            _ => (tail, true),
        };
        let client = self.clients.get_mut(&serial).expect("it is here");
        client.request(request_id, request, &tail);
        if !is_whole {
            client.has_written_malformed = true;
            client.wants_to_finish = true;
        }
    }

    fn perform(&mut self, serial: u64, action: Action) {
        let chance = &mut self.chance;
        let client = self.clients.get_mut(&serial).expect("it is here");
        match action {
            Action::LogIn => {
                let name = junk::good_name(chance);
                self.request(serial, Request::LogIn(name));
            }
            Action::LogInBadly => {
                let name = junk::bad_name(chance);
                self.request(serial, Request::LogIn(name));
            }
            Action::LogInOften => {
                for _ in 0..chance.between(2, 30) {
                    self.perform(serial, Action::LogIn);
                }
            }
            Action::Join => {
                self.request(serial, Request::Join);
                // Most also say where they are to be reached.
                let most = if self.odds.is_loud { 100 } else { 50 };
                if self.chance.percent(most) {
                    self.perform(serial, Action::Prove);
                }
            }
            Action::Leave => self.request(serial, Request::Leave),
            Action::Mute => {
                let is_muted = chance.percent(50);
                let as_byte = chance.pick(&[1, 1, 1, 2, 255]) * u8::from(is_muted);
                client.mute(chance.field(), is_muted, as_byte);
            }
            Action::Waver => {
                for _ in 0..chance.between(2, 40) {
                    let steps = [Action::Join, Action::Leave, Action::Mute, Action::Mute];
                    match self.chance.pick(&steps) {
                        Action::Join => self.request(serial, Request::Join),
                        step => self.perform(serial, step),
                    }
                }
            }
            Action::Chat => {
                let message = junk::message(chance);
                self.request(serial, Request::Chat(message));
            }
            Action::ChatOddly => {
                let message = junk::odd_message(self.odds.limits.chat_bytes, chance);
                self.request(serial, Request::Chat(message));
            }
            Action::Gossip => {
                for _ in 0..chance.between(2, 60) {
                    let len = self.chance.pick(&[10, 10, 4_096]);
                    self.request(serial, Request::Chat("y".repeat(len)));
                }
            }
            Action::Ping => self.request(serial, Request::Ping),
            Action::Flood => {
                for _ in 0..chance.between(2, 120) {
                    self.request(serial, Request::Ping);
                }
            }
            Action::SendOdd => client.write_odd(&junk::odd_frame(chance)),
            Action::SendHuge => {
                let len = chance.pick(&[4_093, 4_094, 5_000, 65_534, 65_535]);
                client.write_odd(&wire::frame(0x7F, &vec![0xA5; len]));
                if chance.percent(70) {
                    client.writing = Manner::Slowly(chance.pick(&[1_500, 5_000]));
                }
            }
            Action::SendMalformed => {
                client.write_odd(&junk::malformed_frame(chance));
                client.has_written_malformed = true;
                client.wants_to_finish = true;
            }
            Action::SendNoise => {
                let len = chance.between(1, 100);
                client.write_noise(&chance.bytes(len));
            }
            Action::ReadSlowly => client.reading = Manner::Slowly(chance.between(1, 500)),
            Action::StopReading => client.reading = Manner::NotAtAll,
            Action::ReadOn => client.reading = Manner::AtOnce,
            Action::WriteSlowly => {
                let share = chance.pick(&[0, 1, 5, 100]);
                client.writing = match share {
                    0 => Manner::NotAtAll,
                    share => Manner::Slowly(share),
                };
            }
            Action::WriteOn => client.writing = Manner::AtOnce,
            Action::LoseLine if self.odds.tells => client.pipe.borrow_mut().cut(),
            Action::LoseLine => {}
            Action::Finish => client.wants_to_finish = true,
            Action::Vanish => client.vanish(chance.percent(20)),
            Action::Reset => client.vanish(true),
            datagrams => self.perform_on_udp(serial, datagrams),
        }
    }

    /// Somebody sets the wall clock. How old what waits is cannot be said for sure from then on.
    fn set_wall_clock(&mut self) {
        let step = self.chance.pick(&[1, 400, 700, 5_000, 3_600_000]);
        let air = &mut self.tap.get().air;
        air.wall_ms = match self.chance.percent(50) {
            true => air.wall_ms + step,
            false => air.wall_ms - step,
        };
        air.is_clock_steady = false;
        self.log.add(|| "the wall clock is set".to_string());
    }
}
