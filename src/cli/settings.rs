//! The table of settings, in the groups and the order in which they are shown.
//! [`Config::check`](crate::Config::check) checks ranges; here they are in words.
//!
//! Each file below has the settings of one purpose. Here are the functions that they share, which read
//! a value from text and show it.

mod access;
mod essential;
mod limits;
mod machine;

use super::setting::Setting;
use access::ACCESS;
use essential::ESSENTIAL;
use limits::LIMITS;
use machine::MACHINE;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// All settings, group by group.
pub const SETTINGS: &[Setting] = &joined([ESSENTIAL, ACCESS, LIMITS, MACHINE]);

const COUNT: usize = ESSENTIAL.len() + ACCESS.len() + LIMITS.len() + MACHINE.len();

const fn joined(groups: [&[Setting]; 4]) -> [Setting; COUNT] {
    let mut all = [groups[0][0]; COUNT];
    let (mut filled, mut group) = (0, 0);
    while group < groups.len() {
        let mut place = 0;
        while place < groups[group].len() {
            all[filled] = groups[group][place];
            filled += 1;
            place += 1;
        }
        group += 1;
    }
    assert!(filled == COUNT);
    all
}

const YES_OR_NO: &str = "yes or no";
const RATE: &str = "a whole number from 0 to 500000000";
fn put<V: FromStr>(place: &mut V, text: &str) -> Option<()> {
    *place = text.parse().ok()?;
    Some(())
}

/// A path, or nothing where it is this word.
fn path_or(text: &str, nothing: &str) -> Option<Option<PathBuf>> {
    match text {
        "" => None,
        text if text == nothing => Some(None),
        path => Some(Some(path.into())),
    }
}

fn show_path_or(path: &Option<PathBuf>, nothing: &str) -> String {
    let path = path.as_ref();
    path.map_or(nothing.into(), |path| path.display().to_string())
}

fn put_text(place: &mut String, text: &str) -> Option<()> {
    *place = match text {
        "" => return None,
        "none" => String::new(),
        text => text.into(),
    };
    Some(())
}

fn show_text(text: &str) -> String {
    if text.is_empty() { "none" } else { text }.into()
}

fn put_seconds(place: &mut Duration, text: &str) -> Option<()> {
    *place = Duration::from_secs(text.parse().ok()?);
    Some(())
}

fn put_yes_or_no(place: &mut bool, text: &str) -> Option<()> {
    *place = match text {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    Some(())
}

fn show_yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.into()
}
