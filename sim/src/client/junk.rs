//! Names, messages, frames and datagrams, good and bad, made from chance alone.

use crate::chance::Chance;
use crate::wire::{self, Payload};

/// 1 to 32 bytes, often right at the edges, and more where it is padded with spaces.
pub fn good_name(chance: &mut Chance) -> String {
    let len = match chance.below(4) {
        0 => 32,
        1 => 1,
        _ => chance.between(1, 32),
    };
    let mut name = text(chance, len);
    let is_space = |c| c == ' ' || c == '\u{a0}';
    if name.chars().all(is_space) {
        name = "a".repeat(len);
    }
    match chance.below(8) {
        0 => format!(" {name}\u{a0} "),
        _ => name,
    }
}

pub fn bad_name(chance: &mut Chance) -> String {
    let control = chance.pick(&['\0', '\n', '\u{1b}', '\u{7f}', '\u{80}', '\u{9f}']);
    match chance.below(7) {
        0 => String::new(),
        5 => chance.pick(&[" ", "\u{a0}  "]).to_owned(),
        6 => "alice\u{200b}".to_owned(),
        1 => text(chance, 33),
        2 => text(chance, 300),
        3 => "🎤".repeat(9),
        _ => format!("ab{control}cd"),
    }
}

/// Whether a name has nothing in it but what the names here have.
pub fn is_plain(name: &str) -> bool {
    let others = ['ß', '漢', '€', '🎤', '\u{a0}', '\u{200b}'];
    let is_plain = |c: char| c.is_ascii() || c <= '\u{9f}' || others.contains(&c);
    name.chars().all(is_plain)
}

/// What somebody is called who asks for this, of all the plain names: spaces are
/// trimmed and become one, and nothing else changes.
pub fn name_of(asked: &str) -> Option<String> {
    let is_space = |c| c == ' ' || c == '\u{a0}';
    let is_bad = |c: char| c < ' ' || ('\u{7f}'..='\u{9f}').contains(&c) || c == '\u{200b}';
    let asked = asked.trim_matches(is_space);
    let words: Vec<&str> = asked.split(is_space).filter(|it| !it.is_empty()).collect();
    let is_name = !asked.is_empty() && asked.len() <= 32 && !asked.contains(is_bad);
    is_name.then(|| words.join(" "))
}

/// What a login asks for, and fields behind it: those that there are and others, once, twice, and longer than what is
/// known of them. Says whether they are well formed.
pub fn asked(caps: u32, chance: &mut Chance) -> (Vec<u8>, bool) {
    let mut asked = Payload::new().u32(caps);
    let mut seen = Vec::new();
    let mut is_whole = true;
    for _ in 0..chance.pick(&[0, 0, 1, 2, 5]) {
        let tag = chance.pick(&[1, 2, 3, 3, 4, 9, 0, 255]);
        let text = text(chance, 9);
        let content = match tag {
            1 | 2 => Payload::new().string(text.as_bytes()),
            3 => Payload::new().string(text.as_bytes()).string(b"1.2"),
            _ => Payload(chance.bytes(12)),
        };
        let content = match chance.below(60) {
            0..=5 => content.bytes(b"later"),
            // Too short, where somebody looks at it: the first time.
            59 => {
                is_whole &= tag == 0 || tag > 3 || seen.contains(&tag);
                Payload(content.0[..5].to_vec())
            }
            _ => content,
        };
        seen.push(tag);
        asked = asked.bytes(&content.frame(tag));
    }
    if chance.below(60) == 59 {
        is_whole = false;
        let end_len = chance.between(1, 2);
        asked = asked.bytes(&chance.bytes(end_len));
    }
    (asked.0, is_whole)
}

pub fn message(chance: &mut Chance) -> String {
    let len = chance.between(1, 120);
    text(chance, len)
}

/// Nothing, or as much as may be, or a little too much, or far too much.
pub fn odd_message(longest: usize, chance: &mut Chance) -> String {
    let len = chance.pick(&[0, 0, 1, longest, longest + 1, 4_097, 60_000]);
    text(chance, len)
}

/// Text of exactly so many bytes, of characters of one to four bytes; none is a control character.
fn text(chance: &mut Chance, len: usize) -> String {
    let mut text = String::with_capacity(len);
    while text.len() < len {
        let c = chance.pick(&['a', 'Z', ' ', '~', '\u{a0}', 'ß', '漢', '€', '🎤']);
        if text.len() + c.len_utf8() <= len {
            text.push(c);
        } else {
            text.push('.');
        }
    }
    text
}

/// A whole frame that a server skips.
pub fn odd_frame(chance: &mut Chance) -> Vec<u8> {
    let is_odd = |id: &u8| !wire::FROM_CLIENTS.contains(id);
    let known = chance.percent(50);
    let ids = (0..=255).filter(|&id| is_odd(&id) && wire::is_known(id) == known);
    let id = chance.pick(&ids.collect::<Vec<u8>>());
    let len = if chance.percent(2) {
        65_535
    } else {
        chance.below(60)
    };
    Payload(chance.bytes(len)).frame(id)
}

/// A whole frame whose payload ends too early, or is not UTF-8 where it must be.
pub fn malformed_frame(chance: &mut Chance) -> Vec<u8> {
    let id = chance.pick(&wire::FROM_CLIENTS);
    let has_text = matches!(id, wire::LOGIN_REQUEST | wire::CHAT_REQUEST);
    let fields = Payload::new().u64(chance.field());
    if has_text && chance.percent(50) {
        let not_utf8: &[u8] = chance.pick(&[b"\xff", b"ab\xc3", b"\xed\xa0\x80", b"\xc0\x80"]);
        return fields.string(not_utf8).frame(id);
    }
    let whole = match id {
        _ if has_text => fields.string(message(chance).as_bytes()),
        wire::USER_MUTE_STATE => fields.bool(true),
        _ => fields,
    };
    let cut = chance.below(whole.0.len());
    Payload(whole.0[..cut].to_vec()).frame(id)
}

/// A datagram that no client should send: nothing, too short, too long, or not for UDP.
pub fn odd_datagram(chance: &mut Chance) -> Vec<u8> {
    let ours = chance.pick(&[wire::VOICE_AUTH_REQUEST, wire::VOICE_DATA]);
    let len = chance.below(40);
    match chance.below(7) {
        0 => Vec::new(),
        1 => chance.bytes(len),
        2 => Payload(chance.bytes(len)).frame(chance.next() as u8),
        3 => Payload(chance.bytes(len)).frame(chance.pick(&wire::FROM_CLIENTS)),
        4 => {
            let short_len = chance.below(16);
            Payload(chance.bytes(short_len)).frame(ours)
        }
        5 => {
            let mut frame = Payload(chance.bytes(len)).frame(ours);
            let claimed = chance.next() as u16;
            frame[1..3].copy_from_slice(&claimed.to_be_bytes());
            frame
        }
        _ => {
            let long_len = chance.pick(&[2_044, 2_045, 2_046, 3_000, 60_000]);
            Payload(chance.bytes(long_len)).frame(chance.pick(&[ours, wire::PING_REQUEST]))
        }
    }
}
