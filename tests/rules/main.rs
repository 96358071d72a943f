//! A story for every rule of the protocol, by its number: both halves under the switchboard, in
//! virtual time.

#[path = "../common/mod.rs"]
mod common;

mod asking;
mod bad_input;
mod limits;
mod login;
mod model;
mod people;
mod relay;
