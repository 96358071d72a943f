//! Everyone who is heard: what arrives from each, and all of it as one sound, 20 ms at a time.

use super::codec::Decoder;
use super::event::{Event, Heard, Playout, Who};
use super::jitter::{JitterBuffer, Step};
use super::limiter::Limiter;
use super::session::Voice;
use super::speaker::{Place, Speaker};
use super::{FRAME_SAMPLES, Sound};
use std::collections::BTreeMap;
use std::time::Instant;
use voiceapp_server::event::UserId;

#[cfg(test)]
mod tests;

/// Sound after silence comes in over so many samples, 5 ms, so that it does not click.
const FADE_IN_SAMPLES: usize = 240;

/// From this many on, speakers who have left are forgotten when somebody new speaks.
const KNOWN_MAX: usize = 200;

pub struct Listener {
    speakers: BTreeMap<UserId, Known>,
    /// None if nobody listens, and arrivals are only counted.
    limiter: Option<Limiter>,
}

struct Known {
    /// As they were called when last heard.
    who: Who,
    speaker: Speaker,
    player: Option<Player>,
    /// What the last player did, when it is gone.
    playout: Option<Playout>,
    has_left: bool,
}

/// What makes sound of one speaker's voice.
struct Player {
    jitter: JitterBuffer,
    decoder: Decoder,
    /// Decoded and not played yet: a datagram need not hold 20 ms.
    ready: Vec<f32>,
    is_silent: bool,
}

impl Listener {
    pub fn new(is_playing: bool) -> Self {
        Listener {
            speakers: BTreeMap::new(),
            limiter: is_playing.then(Limiter::new),
        }
    }

    /// Takes voice that has arrived, and says so if somebody begins to speak with it.
    pub fn hear(
        &mut self,
        at: Instant,
        voice: &Voice<'_>,
        who: impl FnOnce() -> Who,
    ) -> Option<Event> {
        if self.speakers.len() >= KNOWN_MAX && !self.speakers.contains_key(&voice.from) {
            self.speakers.retain(|_, known| !known.has_left);
        }
        let known = self.speakers.entry(voice.from).or_insert_with(|| Known {
            who: Who::stranger(voice.from),
            speaker: Speaker::default(),
            player: None,
            playout: None,
            has_left: false,
        });
        let (place, is_talk_start) =
            known
                .speaker
                .hear(at, voice.sequence, voice.timestamp, voice.data);
        if self.limiter.is_some() && place != Place::Duplicate {
            let player = known.player.get_or_insert_with(Player::new);
            if place == Place::First {
                player.jitter.restart();
            }
            player
                .jitter
                .push(at, voice.sequence, voice.timestamp, voice.data);
        }
        is_talk_start.then(|| {
            known.who = who();
            Event::Speaking {
                who: known.who.clone(),
            }
        })
    }

    /// Takes note of what has happened. Voice that was said before may still be on its way, so that
    /// only a beginning, and no end, is where the next need not follow on the last.
    pub fn handle_event(&mut self, event: &Event) {
        match event {
            Event::JoinedVoice { who }
            | Event::Muted {
                who,
                is_muted: false,
            } => {
                if let Some(known) = self.speakers.get_mut(&UserId(who.user_id)) {
                    known.speaker.expect_gap();
                }
            }
            Event::YouJoinedVoice { already: false } => {
                let all = self.speakers.values_mut();
                all.for_each(|it| it.speaker.expect_gap());
            }
            Event::LeftServer { who } => {
                if let Some(known) = self.speakers.get_mut(&UserId(who.user_id)) {
                    known.has_left = true;
                }
            }
            _ => {}
        }
    }

    /// Forgets everyone: the ids of the next session are not those of this one.
    pub fn forget(&mut self) {
        self.speakers.clear();
    }

    /// Who has stopped speaking by now.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Event> {
        let mut events = Vec::new();
        for known in self.speakers.values_mut() {
            if let Some((heard, lost)) = known.speaker.end_talk(now) {
                let who = known.who.clone();
                events.push(Event::StoppedSpeaking { who, heard, lost });
            }
        }
        events
    }

    /// When somebody will have stopped speaking, unless more is heard.
    pub fn wake_at(&self) -> Option<Instant> {
        let speakers = self.speakers.values();
        speakers.filter_map(|it| it.speaker.pause_at()).min()
    }

    /// Everyone mixed, for the next 20 ms. None if nobody speaks, which is silence.
    pub fn play(&mut self, now: Instant) -> Option<Sound> {
        let limiter = self.limiter.as_mut()?;
        let mut mix = [0.0; FRAME_SAMPLES];
        let mut is_silent = true;
        for known in self.speakers.values_mut() {
            if let Some(player) = &mut known.player {
                is_silent &= !player.add_to(&mut mix, now);
                if known.has_left && player.jitter.is_idle() {
                    known.playout = Some(player.playout());
                    known.player = None;
                }
            }
        }
        let is_done = limiter.is_done();
        let sound = limiter.limit(&mix);
        (!is_silent || !is_done).then_some(sound)
    }

    pub fn stats(&self) -> Vec<Heard> {
        let heard = |known: &Known| Heard {
            who: known.who.clone(),
            arrivals: known.speaker.arrivals(),
            playout: known.player.as_ref().map(Player::playout).or(known.playout),
        };
        self.speakers.values().map(heard).collect()
    }
}

impl Player {
    fn new() -> Self {
        Player {
            jitter: JitterBuffer::new(),
            decoder: Decoder::new(),
            ready: Vec::new(),
            is_silent: true,
        }
    }

    fn playout(&self) -> Playout {
        Playout {
            is_playing: !self.jitter.is_idle(),
            depth_ms: self.jitter.depth_ms(),
            counts: self.jitter.counts(),
        }
    }

    /// Adds the next 20 ms of this speaker, and tells whether there is anything.
    fn add_to(&mut self, mix: &mut Sound, now: Instant) -> bool {
        while self.ready.len() < FRAME_SAMPLES {
            let before = self.ready.len();
            let step = self.jitter.step(now);
            let is_fading = step == Step::FadeOut;
            match step {
                Step::Silence => break,
                Step::Play(data) => self.decoder.decode(&data, &mut self.ready),
                Step::Conceal | Step::FadeOut => self.decoder.conceal(&mut self.ready),
                Step::Merge(first, second) => {
                    let mut over = Vec::new();
                    self.decoder.decode(&first, &mut over);
                    self.decoder.decode(&second, &mut self.ready);
                    cross_fade(&over, &mut self.ready[before..]);
                }
            }
            if is_fading {
                fade(&mut self.ready[before..], 1.0, 0.0);
            }
            if self.is_silent {
                let until = self.ready.len().min(before + FADE_IN_SAMPLES);
                fade(&mut self.ready[before..until], 0.0, 1.0);
            }
            self.is_silent = is_fading;
        }
        let len = self.ready.len().min(FRAME_SAMPLES);
        for (mix, sample) in mix.iter_mut().zip(self.ready.drain(..len)) {
            *mix += sample;
        }
        self.is_silent |= len == 0;
        len > 0
    }
}

/// Moves from `first` to what is in `second` while both last.
fn cross_fade(first: &[f32], second: &mut [f32]) {
    let len = first.len().min(second.len());
    fade(&mut second[..len], 0.0, 1.0);
    for (place, (second, first)) in second.iter_mut().zip(first).enumerate() {
        *second += first * (1.0 - place as f32 / len as f32);
    }
}

fn fade(sound: &mut [f32], from: f32, to: f32) {
    let step = (to - from) / sound.len().max(1) as f32;
    for (place, sample) in sound.iter_mut().enumerate() {
        *sample *= from + step * place as f32;
    }
}
