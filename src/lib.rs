#![deny(missing_docs, unsafe_code)]
//! A voice server.

pub mod cause;
pub mod config;
mod connection;
pub mod event;
pub mod limits;
pub mod management;
pub mod protocol;
pub mod relay;
mod server;
pub mod switchboard;
mod udp;

pub use cause::{Cause, Counters};
pub use config::Config;
pub use management::ManagementServer;
pub use relay::VoiceRelayServer;
pub use server::{Server, ServerError, StopHandle, Summary};
pub use switchboard::Switchboard;
