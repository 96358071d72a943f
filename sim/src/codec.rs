//! What reads and writes bytes, on any bytes at all: the [splitter] of streams and the [decoders] of packets and voice.

pub mod decoders;
pub mod splitter;
