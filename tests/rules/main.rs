//! Stories of clients that ask for extensions: both halves under the switchboard, in virtual time. Those of all
//! other clients are the simulator's (`sim/src/stories`).

#[path = "../common/mod.rs"]
mod common;

mod access;
mod asking;
