//! What reads and writes bytes, on any bytes at all: the [splitter] of streams the [decoders] of packets and voice,
//! and what seals and opens voice.

pub mod decoders;
#[cfg(feature = "encryption")]
pub mod sealing;
pub mod splitter;
