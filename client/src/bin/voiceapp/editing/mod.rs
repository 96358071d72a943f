//! A line that is edited, without a terminal: bytes that were typed go in, and lines and what is to be
//! shown come out.

mod editor;
mod keys;
pub mod screen;
