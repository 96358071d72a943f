//! The load generator, piece by piece.

pub mod app;
mod choices;
mod field;
mod figures;
mod floor;
mod gusts;
mod histogram;
mod json;
mod options;
mod page;
mod plot;
mod process;
mod progress;
mod receiver;
mod report;
mod run;
mod speaker;
mod storm;
mod sys;
mod team;
mod user;
mod voice;
mod voice_socket;
mod wire;
mod worker;
