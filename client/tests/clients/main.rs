//! The client with a server: what it is made of in virtual time, and the programs themselves.

mod access;
#[cfg(unix)]
mod asking;
mod encryption;
mod examples;
mod live;
mod measure;
mod outages;
mod programs;
mod proxy;
mod sound;
mod starting;
mod story;
#[cfg(unix)]
mod terminal;
mod world;

use voiceapp_testkit::{PATIENCE, Running, TempFile};
