//! Cuts what a terminal sends into keys. It keeps incomplete sequences, and no input is an error:
//! invalid UTF-8 becomes U+FFFD, as it does from a pipe.

/// The longest sequence of one key.
const KEY_BYTES_MAX: usize = 32;
const ESCAPE: u8 = 0x1b;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Text(char),
    Enter,
    Left,
    Right,
    WordLeft,
    WordRight,
    Start,
    End,
    /// The line before this one, and the one after it.
    Older,
    Newer,
    Backspace,
    Delete,
    DeleteWord,
    DeleteToStart,
    DeleteToEnd,
    ClearScreen,
    Interrupt,
    EndOfInput,
    Suspend,
    Talk,
    /// A key without a meaning here.
    Other,
}

#[derive(Default)]
pub struct KeyReader {
    /// The beginning of a key.
    pending: Vec<u8>,
    /// Whether the last was a carriage return, so that a line feed behind it is a part of it.
    was_return: bool,
}

impl KeyReader {
    pub fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        for byte in bytes {
            self.take(*byte, &mut keys);
        }
        keys
    }

    fn take(&mut self, byte: u8, keys: &mut Vec<Key>) {
        let was_return = std::mem::replace(&mut self.was_return, false);
        self.pending.push(byte);
        match (self.pending[0], byte) {
            (ESCAPE, _) => self.take_escape(byte, keys),
            (0..0x80, b'\n') if was_return => self.pending.clear(),
            (0..0x80, _) => {
                self.was_return = byte == b'\r';
                self.pending.clear();
                keys.push(plain(byte));
            }
            _ => self.take_text(byte, keys),
        }
    }

    fn take_escape(&mut self, byte: u8, keys: &mut Vec<Key>) {
        let key = match self.pending[1..] {
            [] => return,
            [b'[', .., 0x20..=0x3f] if self.pending.len() < KEY_BYTES_MAX => return,
            [b'['] | [b'O'] | [b'[', b'['] => return,
            // A function key of the Linux console.
            [b'[', b'[', _] => Key::Other,
            [b'[', ref parameters @ .., last] => control_sequence(parameters, last),
            [b'O', last] => control_sequence(b"", last),
            [b'b'] => Key::WordLeft,
            [b'f'] => Key::WordRight,
            [0x08 | 0x7f] => Key::DeleteWord,
            // With the Alt key, or behind an escape key that was pressed alone.
            _ => Key::Other,
        };
        let is_broken_off = byte == ESCAPE || byte >= 0x80;
        self.pending.clear();
        keys.push(if is_broken_off { Key::Other } else { key });
        if is_broken_off {
            self.take(byte, keys);
        }
    }

    fn take_text(&mut self, byte: u8, keys: &mut Vec<Key>) {
        match std::str::from_utf8(&self.pending) {
            Ok(text) => {
                keys.extend(text.chars().map(text_key));
                self.pending.clear();
            }
            Err(error) => {
                let Some(len) = error.error_len() else {
                    return;
                };
                keys.push(Key::Text(char::REPLACEMENT_CHARACTER));
                // What broke it off begins another key.
                let is_rest = self.pending.len() > len;
                self.pending.clear();
                if is_rest {
                    self.take(byte, keys);
                }
            }
        }
    }
}

fn plain(byte: u8) -> Key {
    match byte {
        0x01 => Key::Start,
        0x02 => Key::Left,
        0x03 => Key::Interrupt,
        0x04 => Key::EndOfInput,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        // A tab is pasted as a part of text, and would be as wide as it likes.
        b'\t' => Key::Text(' '),
        b'\n' | b'\r' => Key::Enter,
        0x0b => Key::DeleteToEnd,
        0x0c => Key::ClearScreen,
        0x0e => Key::Newer,
        0x10 => Key::Older,
        0x14 => Key::Talk,
        0x15 => Key::DeleteToStart,
        0x17 => Key::DeleteWord,
        0x1a => Key::Suspend,
        byte => text_key(char::from(byte)),
    }
}

fn text_key(c: char) -> Key {
    match c.is_control() {
        true => Key::Other,
        false => Key::Text(c),
    }
}

/// What comes after the escape and its bracket.
fn control_sequence(parameters: &[u8], last: u8) -> Key {
    // With Alt or Ctrl pressed.
    let is_wide = parameters.ends_with(b";3") || parameters.ends_with(b";5");
    match (last, parameters) {
        (b'A', _) => Key::Older,
        (b'B', _) => Key::Newer,
        (b'C', _) if is_wide => Key::WordRight,
        (b'C', _) => Key::Right,
        (b'D', _) if is_wide => Key::WordLeft,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Start,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::Delete,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<Key> {
        text.chars().map(Key::Text).collect()
    }

    #[test]
    fn keys_are_what_terminals_send_for_them() {
        let table: [(&[u8], &[Key]); 22] = [
            (b"\r", &[Key::Enter]),
            (b"\n", &[Key::Enter]),
            (b"\r\n", &[Key::Enter]),
            (b"\r\r\n\n", &[Key::Enter, Key::Enter, Key::Enter]),
            (b"\x03", &[Key::Interrupt]),
            (b"\x04", &[Key::EndOfInput]),
            (b"\x7f", &[Key::Backspace]),
            (b"\t", &[Key::Text(' ')]),
            (b"\x1b[A", &[Key::Older]),
            (b"\x1bOB", &[Key::Newer]),
            (b"\x1b[C", &[Key::Right]),
            (b"\x1b[1;5D", &[Key::WordLeft]),
            (b"\x1bf", &[Key::WordRight]),
            (b"\x1b[3~", &[Key::Delete]),
            (b"\x1b[1~\x1b[F", &[Key::Start, Key::End]),
            (b"\x1b[15~", &[Key::Other]),
            (b"\x1b[[Aa", &[Key::Other, Key::Text('a')]),
            // A bracketed paste that was not requested.
            (b"\x1b[200~a", &[Key::Other, Key::Text('a')]),
            (b"\x1b\x1b[A", &[Key::Other, Key::Older]),
            ("\x1bß".as_bytes(), &[Key::Other, Key::Text('ß')]),
            ("\u{9b}A".as_bytes(), &[Key::Other, Key::Text('A')]),
            (b"\x00", &[Key::Other]),
        ];
        for (bytes, keys) in table {
            assert_eq!(KeyReader::default().read(bytes), keys, "{bytes:?}");
        }
    }

    #[test]
    fn what_comes_in_pieces_is_the_same() {
        let bytes = "grüße 👩\u{200d}🚀\x1b[1;5C\x1bOH\x1bb\r\nend".as_bytes();
        let whole = KeyReader::default().read(bytes);
        let mut reader = KeyReader::default();
        let pieces: Vec<Key> = bytes.iter().flat_map(|it| reader.read(&[*it])).collect();
        assert_eq!(pieces, whole);
        assert_eq!(whole[..6], text("grüße "));
    }

    #[test]
    fn what_is_no_utf_8_is_shown_as_that_and_hurts_nothing_else() {
        let table: [(&[u8], &str); 6] = [
            (b"caf\xe9 au lait", "caf\u{fffd} au lait"),
            (b"\xff\xfe", "\u{fffd}\u{fffd}"),
            (b"\xe2\x82x", "\u{fffd}x"),
            (b"\xe2\x82\xc3\xbc", "\u{fffd}ü"),
            (b"\xf0\x9f\x98\x80", "😀"),
            (b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        ];
        for (bytes, shown) in table {
            assert_eq!(KeyReader::default().read(bytes), text(shown), "{bytes:?}");
            assert_eq!(String::from_utf8_lossy(bytes), shown, "as by a pipe");
        }
    }
}
