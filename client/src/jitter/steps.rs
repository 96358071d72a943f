//! What a jitter buffer gives: steps, the datagrams in them, and counts of what became of all.

use serde::Serialize;

/// What the next 20 ms are to be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nobody speaks, or there is nothing to play.
    Silence,
    /// This datagram.
    Play(Datagram),
    /// What the decoder makes up in place of a datagram that has not come.
    Conceal,
    /// All of these in the time of one: there is more depth than needed.
    Merge(Vec<Datagram>),
}

/// A datagram whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// One decoder plays what is of one run, and nothing else.
    pub run: u32,
    /// The voice data, as it came.
    pub data: Vec<u8>,
}

/// What became of a speaker's datagrams, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Played in their turn.
    pub played: u64,
    /// Came after their turn, and were not played.
    pub late: u64,
    /// Made up by the decoder, for whatever reason.
    pub concealed: u64,
    /// Took nobody's place, be it concealed or silent, and so made the sound longer.
    pub stretched: u64,
    /// Merged with another, or left out with what was lost, which made the sound shorter.
    pub shortened: u64,
    /// Not played for another reason: more came than may wait.
    pub dropped: u64,
}
