//! Names, messages, frames and datagrams, good and bad, made from chance alone.

use crate::random::Random;
use crate::wire::{self, Payload};

/// 1 to 32 bytes, often right at the edges, and more where it is padded with spaces.
pub fn good_name(random: &mut Random) -> String {
    let len = match random.below(4) {
        0 => 32,
        1 => 1,
        _ => random.between(1, 32),
    };
    let mut name = text(random, len);
    let is_space = |c| c == ' ' || c == '\u{a0}';
    if name.chars().all(is_space) {
        name = "a".repeat(len);
    }
    match random.below(8) {
        0 => format!(" {name}\u{a0} "),
        _ => name,
    }
}

pub fn bad_name(random: &mut Random) -> String {
    let control = random.pick(&['\0', '\n', '\u{1b}', '\u{7f}', '\u{80}', '\u{9f}']);
    match random.below(7) {
        0 => String::new(),
        5 => random.pick(&[" ", "\u{a0}  "]).to_owned(),
        6 => "alice\u{200b}".to_owned(),
        1 => text(random, 33),
        2 => text(random, 300),
        3 => "🎤".repeat(9),
        _ => format!("ab{control}cd"),
    }
}

/// What somebody is called who asks for this, of all the names here: spaces are
/// trimmed and become one, and nothing else changes.
pub fn name_of(asked: &str) -> Option<String> {
    let is_space = |c| c == ' ' || c == '\u{a0}';
    let is_bad = |c: char| c < ' ' || ('\u{7f}'..='\u{9f}').contains(&c) || c == '\u{200b}';
    let asked = asked.trim_matches(is_space);
    let words: Vec<&str> = asked.split(is_space).filter(|it| !it.is_empty()).collect();
    let is_name = !asked.is_empty() && asked.len() <= 32 && !asked.contains(is_bad);
    is_name.then(|| words.join(" "))
}

pub fn message(random: &mut Random) -> String {
    let len = random.between(1, 120);
    text(random, len)
}

/// Nothing, or as much as may be, or a little too much, or far too much.
pub fn odd_message(longest: usize, random: &mut Random) -> String {
    let len = random.pick(&[0, 0, 1, longest, longest + 1, 4_097, 60_000]);
    text(random, len)
}

/// Text of exactly so many bytes, of characters of one to four bytes; none is a control character.
fn text(random: &mut Random, len: usize) -> String {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let c = random.pick(&['a', 'Z', ' ', '~', '\u{a0}', 'ß', '漢', '€', '🎤']);
        if text.len() + c.len_utf8() <= len {
            text.push(c);
        } else {
            text.push('.');
        }
    }
    text
}

/// A whole frame that a server skips.
pub fn odd_frame(random: &mut Random) -> Vec<u8> {
    let known_ids: Vec<u8> = [&wire::FROM_CLIENTS[..], &wire::NOT_FROM_CLIENTS].concat();
    let mut id = random.next() as u8;
    while known_ids.contains(&id) {
        id = random.next() as u8;
    }
    if random.percent(50) {
        id = random.pick(&wire::NOT_FROM_CLIENTS);
    }
    let len = if random.percent(2) {
        65_535
    } else {
        random.below(60)
    };
    Payload(random.bytes(len)).frame(id)
}

/// A whole frame whose payload ends too early, or is not UTF-8 where it must be.
pub fn malformed_frame(random: &mut Random) -> Vec<u8> {
    let id = random.pick(&wire::FROM_CLIENTS);
    let has_text = matches!(id, wire::LOGIN_REQUEST | wire::CHAT_REQUEST);
    let fields = Payload::new().u64(random.field());
    if has_text && random.percent(50) {
        let not_utf8: &[u8] = random.pick(&[b"\xff", b"ab\xc3", b"\xed\xa0\x80", b"\xc0\x80"]);
        return fields.string(not_utf8).frame(id);
    }
    let whole = match id {
        _ if has_text => fields.string(message(random).as_bytes()),
        wire::USER_MUTE_STATE => fields.bool(true),
        _ => fields,
    };
    let cut = random.below(whole.0.len());
    Payload(whole.0[..cut].to_vec()).frame(id)
}

/// A datagram that no client should send: nothing, too short, too long, or not for UDP.
pub fn odd_datagram(random: &mut Random) -> Vec<u8> {
    let ours = random.pick(&[wire::VOICE_AUTH_REQUEST, wire::VOICE_DATA]);
    let len = random.below(40);
    match random.below(7) {
        0 => Vec::new(),
        1 => random.bytes(len),
        2 => Payload(random.bytes(len)).frame(random.next() as u8),
        3 => Payload(random.bytes(len)).frame(random.pick(&wire::FROM_CLIENTS)),
        4 => {
            let short_len = random.below(16);
            Payload(random.bytes(short_len)).frame(ours)
        }
        5 => {
            let mut frame = Payload(random.bytes(len)).frame(ours);
            let claimed = random.next() as u16;
            frame[1..3].copy_from_slice(&claimed.to_be_bytes());
            frame
        }
        _ => {
            let long_len = random.pick(&[2_044, 2_045, 2_046, 3_000, 60_000]);
            Payload(random.bytes(long_len)).frame(random.pick(&[ours, wire::PING_REQUEST]))
        }
    }
}
