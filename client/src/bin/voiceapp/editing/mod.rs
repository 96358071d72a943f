//! A line that is edited, without a terminal: typed bytes go in, and lines and the text to show
//! come out.

mod editor;
mod keys;
pub mod screen;
mod secret;
