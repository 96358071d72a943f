//! The load generator, piece by piece. The program is `examples/crowd.rs`, and the pieces' own tests run with those of the
//! other example programs, in `tests/clients`.

pub mod app;
mod choices;
mod figures;
mod floor;
mod gusts;
mod histogram;
mod json;
mod options;
mod page;
mod plot;
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
mod worker;
