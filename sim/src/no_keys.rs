//! In a build without encryption nobody has keys, and nothing is sealed.

use std::collections::VecDeque;
use voiceapp_server::event::VoiceSecrets;

pub const EPOCH: u64 = 1 << 23;

/// There are none.
pub struct Keys {
    pub secrets: VoiceSecrets,
    pub sent: VecDeque<Vec<u8>>,
    never: Ear,
}

/// Nobody hears sealed voice.
pub enum Ear {}

impl Keys {
    pub fn of(_serial: u64) -> Option<Self> {
        None
    }

    pub fn key_id(&self) -> u32 {
        match self.never {}
    }

    pub fn ear(&self) -> Ear {
        match self.never {}
    }

    pub fn seal(&mut self, _inside: &[u8], _zeros: usize) -> Vec<u8> {
        match self.never {}
    }

    pub fn hurry(&mut self) {
        match self.never {}
    }

    pub fn seal_far_ahead(&self, _inside: &[u8], _counter: u64) -> Vec<u8> {
        match self.never {}
    }

    pub fn open(&mut self, _datagram: &[u8]) -> Option<Vec<u8>> {
        match self.never {}
    }
}

impl Ear {
    pub fn hear(&mut self, _datagram: &mut [u8]) -> Vec<u8> {
        match *self {}
    }
}

pub fn key_of(_datagram: &[u8]) -> u32 {
    unreachable!("nothing is sealed")
}
