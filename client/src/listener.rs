//! All speakers: what arrives from each, and the mix of them, 20 ms at a time.

use super::codec::Decoder;
use super::event::{Event, Heard, Playout, Who};
use super::fade::{FADE_SAMPLES, cross_fade, fade};
use super::jitter::{Datagram, JitterBuffer, Step};
use super::limiter::Limiter;
use super::session::Voice;
use super::speaker::{Place, Speaker};
use super::{FRAME_SAMPLES, Sound};
use std::collections::BTreeMap;
use std::time::Instant;
use voiceapp_protocol::UserId;

#[cfg(test)]
mod tests;

/// A sound below this power is quiet: 50 dB below full scale.
const QUIET_POWER: f32 = 1e-5;
/// So many speakers are remembered. One more takes the place of one who has left, or else of the
/// one who has been silent for the longest.
const KNOWN_MAX: usize = 200;
/// So many are played at a time, as each takes a decoder: some 100 KB and a good deal of time. More could
/// not be told apart anyway.
const PLAYING_MAX: usize = 64;

/// All speakers, each with a jitter buffer and a decoder, and the sum of them.
pub struct Listener {
    speakers: BTreeMap<UserId, Known>,
    /// None if nothing listens, and arrivals are only counted.
    limiter: Option<Limiter>,
    /// What is left of the last session, which fades.
    fading: Vec<Player>,
    /// Datagrams of more speakers than fit.
    unheard: u64,
}

struct Known {
    /// As they were called when last heard.
    who: Who,
    speaker: Speaker,
    player: Option<Player>,
    /// The last player's result, once it is gone.
    playout: Option<Playout>,
    has_left: bool,
}

/// Makes sound of one speaker's voice.
struct Player {
    jitter: JitterBuffer,
    /// The decoder of the run that is played.
    decoder: Option<(u32, Decoder)>,
    /// Decoded and not played yet: a datagram need not hold 20 ms.
    ready: Vec<f32>,
    is_silent: bool,
    is_quiet: bool,
}

impl Listener {
    /// Without playing, it only counts what arrives.
    pub fn new(is_playing: bool) -> Self {
        Listener {
            speakers: BTreeMap::new(),
            limiter: is_playing.then(Limiter::new),
            fading: Vec::new(),
            unheard: 0,
        }
    }

    /// Takes voice that has arrived, and returns an event if a talk begins with it.
    pub fn hear(
        &mut self,
        at: Instant,
        voice: &Voice<'_>,
        who: impl FnOnce() -> Who,
    ) -> Option<Event> {
        if !self.has_room_for(voice.from) {
            self.unheard += 1;
            return None;
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
        if self.limiter.is_some() {
            let player = known.player.get_or_insert_with(Player::new);
            if place != Place::Duplicate {
                let numbers = (voice.sequence, voice.timestamp);
                let is_first = place == Place::First;
                player.jitter.push(at, numbers, is_first, voice.data);
            }
        }
        is_talk_start.then(|| {
            known.who = who();
            Event::Speaking {
                who: known.who.clone(),
            }
        })
    }

    /// Makes room for a speaker, if that can be.
    fn has_room_for(&mut self, id: UserId) -> bool {
        let is_known = self.speakers.contains_key(&id);
        if !is_known && self.speakers.len() >= KNOWN_MAX {
            self.speakers.retain(|_, known| !known.has_left);
        }
        if !is_known && self.speakers.len() >= KNOWN_MAX {
            let silent = self.speakers.iter().filter(|(_, it)| it.is_silent());
            let longest = silent.min_by_key(|(_, it)| it.speaker.last_heard_at());
            let Some(id) = longest.map(|(id, _)| *id) else {
                return false;
            };
            self.speakers.remove(&id);
        }
        let is_playing = |known: &Known| !known.is_silent();
        // A speaker who is played already goes on.
        self.limiter.is_none()
            || self.speakers.get(&id).is_some_and(is_playing)
            || self.speakers.values().filter(|it| is_playing(it)).count() < PLAYING_MAX
    }

    /// Datagrams that were ignored, as more users spoke than can be heard.
    pub fn unheard(&self) -> u64 {
        self.unheard
    }

    /// Handles what has happened. Voice from before may still be on its way, so that only a
    /// beginning, and no end, is where the next datagram need not follow the last.
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
            // A name can come after the user's first datagram.
            Event::JoinedServer { who } => {
                if let Some(known) = self.speakers.get_mut(&UserId(who.user_id)) {
                    known.who = who.clone();
                }
            }
            Event::LeftServer { who } => {
                if let Some(known) = self.speakers.get_mut(&UserId(who.user_id)) {
                    known.has_left = true;
                }
            }
            _ => {}
        }
    }

    /// Forgets all speakers: the ids of the next session mean other users. What is played fades.
    pub fn forget(&mut self) {
        let known = std::mem::take(&mut self.speakers).into_values();
        let players = known.filter_map(|it| it.player);
        self.fading.extend(players.filter(|it| !it.is_silent));
    }

    /// The speakers who have stopped by now.
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

    /// When a speaker will have stopped, unless more is heard.
    pub fn wake_at(&self) -> Option<Instant> {
        let speakers = self.speakers.values();
        speakers.filter_map(|it| it.speaker.pause_at()).min()
    }

    /// The mix of all speakers for the next 20 ms. None if nobody speaks, which is silence.
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
        for mut player in self.fading.drain(..) {
            player.fade_out();
            is_silent &= !player.mix_into(&mut mix);
        }
        let is_done = limiter.is_done();
        let sound = limiter.limit(&mix);
        (!is_silent || !is_done).then_some(sound)
    }

    /// What was heard so far, of each speaker.
    pub fn stats(&self) -> Vec<Heard> {
        let heard = |known: &Known| Heard {
            who: known.who.clone(),
            arrivals: known.speaker.arrivals(),
            playout: known.player.as_ref().map(Player::playout).or(known.playout),
        };
        self.speakers.values().map(heard).collect()
    }
}

impl Known {
    /// Whether nothing of this speaker is played or waits to be played.
    fn is_silent(&self) -> bool {
        let is_idle = self.player.as_ref().is_none_or(|it| it.jitter.is_idle());
        is_idle && self.speaker.pause_at().is_none()
    }
}

impl Player {
    fn new() -> Self {
        Player {
            jitter: JitterBuffer::new(),
            decoder: None,
            ready: Vec::new(),
            is_silent: true,
            is_quiet: true,
        }
    }

    fn playout(&self) -> Playout {
        Playout {
            is_playing: !self.jitter.is_idle(),
            depth_ms: self.jitter.depth_ms(),
            counts: self.jitter.counts(),
        }
    }

    /// Adds the next 20 ms of this speaker, and returns whether there is anything.
    fn add_to(&mut self, mix: &mut Sound, now: Instant) -> bool {
        while self.ready.len() < FRAME_SAMPLES {
            let before = self.ready.len();
            match self.jitter.step(now, self.is_quiet) {
                Step::Silence => {
                    self.fade_out();
                    break;
                }
                Step::Play(datagram) => self.decode(&datagram),
                Step::Conceal => self.conceal(),
                Step::Merge(datagrams) => self.decode_all(&datagrams),
            }
            self.is_quiet = is_quiet(&self.ready[before..]);
            if self.is_silent {
                let until = self.ready.len().min(before + FADE_SAMPLES);
                fade(&mut self.ready[before..until], 0.0, 1.0);
                self.is_silent = false;
            }
        }
        if self.jitter.is_idle() {
            self.decoder = None;
        }
        self.mix_into(mix)
    }

    fn mix_into(&mut self, mix: &mut Sound) -> bool {
        let len = self.ready.len().min(FRAME_SAMPLES);
        for (mix, sample) in mix.iter_mut().zip(self.ready.drain(..len)) {
            *mix += sample;
        }
        len > 0
    }

    fn decode(&mut self, datagram: &Datagram) {
        let before = self.ready.len();
        match &mut self.decoder {
            Some((run, decoder)) if *run == datagram.run => {
                decoder.decode(&datagram.data, &mut self.ready);
            }
            other => {
                let mut decoder = Decoder::new();
                decoder.decode(&datagram.data, &mut self.ready);
                if let (Some((_, mut last)), false) =
                    (other.replace((datagram.run, decoder)), self.is_silent)
                {
                    let mut over = Vec::new();
                    last.conceal(&mut over);
                    over.truncate(FADE_SAMPLES);
                    cross_fade(&over, &mut self.ready[before..]);
                }
            }
        }
    }

    /// Moves from the first of them to the last. Those in between are decoded for what follows on
    /// them.
    fn decode_all(&mut self, datagrams: &[Datagram]) {
        let before = self.ready.len();
        let mut over = None;
        for datagram in datagrams {
            let decoded = self.ready.split_off(before);
            if !decoded.is_empty() {
                over.get_or_insert(decoded);
            }
            self.decode(datagram);
        }
        if let Some(over) = over {
            cross_fade(&over, &mut self.ready[before..]);
        }
    }

    fn conceal(&mut self) {
        match &mut self.decoder {
            Some((_, decoder)) => decoder.conceal(&mut self.ready),
            None => self.ready.extend([0.0; FRAME_SAMPLES]),
        }
    }

    /// Sound that nothing follows on fades out.
    fn fade_out(&mut self) {
        if !self.is_silent {
            let before = self.ready.len();
            self.conceal();
            fade(&mut self.ready[before..], 1.0, 0.0);
            self.is_silent = true;
        }
    }
}

fn is_quiet(sound: &[f32]) -> bool {
    let power: f32 = sound.iter().map(|it| it * it).sum();
    power <= QUIET_POWER * sound.len() as f32
}
