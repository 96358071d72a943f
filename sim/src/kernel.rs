//! The one kernel, as unkind as it may be: [connections](pipe) and the [lines](line) under them, the [listening
//! socket](listener), and datagrams in the [air](air).

pub mod air;
pub mod line;
pub mod listener;
pub mod pipe;
pub mod stream;
