//! The line that is typed, and the history. Its positions are between what a reader takes for one
//! character each.

use super::keys::Key;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Lines that are remembered.
const HISTORY_MAX: usize = 100;

#[derive(Default)]
pub struct Editor {
    text: String,
    /// Where the cursor is, in bytes.
    at: usize,
    history: Vec<String>,
    /// Which line of the history is shown, counted from the newest, and what was typed before.
    shown: usize,
    draft: String,
}

/// The part of the line that there is room for.
#[derive(Debug, PartialEq, Eq)]
pub struct View {
    pub text: String,
    /// The columns of the text, and of the part before the cursor.
    pub columns: usize,
    pub cursor: usize,
}

impl Editor {
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Does what a key does within a line.
    pub fn handle_key(&mut self, key: Key) {
        match key {
            Key::Text(c) => {
                self.text.insert(self.at, c);
                self.at += c.len_utf8();
            }
            Key::Left => self.at = self.place_before(),
            Key::Right => self.at = self.place_after(),
            Key::WordLeft => self.at = self.word_before(),
            Key::WordRight => self.at = self.word_after(),
            Key::Start => self.at = 0,
            Key::End => self.at = self.text.len(),
            Key::Older => self.recall(self.shown + 1),
            Key::Newer => self.recall(self.shown.wrapping_sub(1)),
            Key::Backspace => self.delete_from(self.place_before()),
            Key::DeleteWord => self.delete_from(self.word_before()),
            Key::DeleteToStart => self.delete_from(0),
            Key::Delete => drop(self.text.drain(self.at..self.place_after())),
            Key::DeleteToEnd => self.text.truncate(self.at),
            _ => {}
        }
    }

    /// Takes the line, and remembers it.
    pub fn take(&mut self) -> String {
        let line = std::mem::take(&mut self.text);
        (self.at, self.shown) = (0, 0);
        if !line.trim().is_empty() && self.history.last() != Some(&line) {
            self.history.push(line.clone());
            if self.history.len() > HISTORY_MAX {
                self.history.remove(0);
            }
        }
        line
    }

    /// As much of the line around the cursor as fits into so many columns, with one for the cursor.
    pub fn view(&self, columns: usize) -> View {
        let mut start = 0;
        let mut cursor = width(&self.text[..self.at]);
        for (place, character) in self.text[..self.at].grapheme_indices(true) {
            if cursor < columns {
                break;
            }
            start = place + character.len();
            cursor -= width(character);
        }
        let mut view = View {
            text: String::new(),
            columns: 0,
            cursor,
        };
        for character in self.text[start..].graphemes(true) {
            if view.columns + width(character) > columns {
                break;
            }
            view.columns += width(character);
            view.text.extend(character.chars().map(harmless));
        }
        view
    }

    fn place_before(&self) -> usize {
        let before = self.text[..self.at].grapheme_indices(true).next_back();
        before.map_or(0, |(place, _)| place)
    }

    fn place_after(&self) -> usize {
        let after = self.text[self.at..].graphemes(true).next();
        self.at + after.map_or(0, str::len)
    }

    fn word_before(&self) -> usize {
        let before = self.text[..self.at].trim_end();
        before.rfind(char::is_whitespace).map_or(0, |place| {
            place + before[place..].chars().next().map_or(0, char::len_utf8)
        })
    }

    fn word_after(&self) -> usize {
        let after = &self.text[self.at..];
        let blanks = after.len() - after.trim_start().len();
        let word = after.trim_start().find(char::is_whitespace);
        self.at + word.map_or(after.len(), |len| blanks + len)
    }

    fn delete_from(&mut self, start: usize) {
        self.text.drain(start..self.at);
        self.at = start;
    }

    /// Shows this line of the history, if there is one; 0 is the line that was typed.
    fn recall(&mut self, place: usize) {
        if place > self.history.len() {
            return;
        }
        if self.shown == 0 {
            self.draft = self.text.clone();
        }
        self.shown = place;
        self.text = match place {
            0 => std::mem::take(&mut self.draft),
            place => self.history[self.history.len() - place].clone(),
        };
        self.at = self.text.len();
    }
}

fn width(text: &str) -> usize {
    text.width()
}

/// A character that turns text around would turn the whole line around.
fn harmless(c: char) -> char {
    match c {
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_in(editor: &mut Editor, text: &str) {
        for c in text.chars() {
            editor.handle_key(Key::Text(c));
        }
    }

    fn press(editor: &mut Editor, keys: &[Key]) {
        for key in keys {
            editor.handle_key(*key);
        }
    }

    #[test]
    fn a_line_is_edited_by_what_a_reader_takes_for_characters() {
        let mut editor = Editor::default();
        type_in(&mut editor, "a👩\u{200d}🚀e\u{301}z");
        press(&mut editor, &[Key::Left, Key::Backspace]);
        assert_eq!(editor.text(), "a👩\u{200d}🚀z");
        press(&mut editor, &[Key::Backspace, Key::Delete, Key::Delete]);
        assert_eq!(editor.text(), "a");
        type_in(&mut editor, "b one two");
        press(
            &mut editor,
            &[Key::WordLeft, Key::WordLeft, Key::DeleteWord],
        );
        assert_eq!(editor.text(), "one two");
        press(&mut editor, &[Key::WordRight, Key::DeleteToEnd]);
        assert_eq!(editor.text(), "one");
        press(&mut editor, &[Key::Start, Key::Left, Key::Backspace]);
        type_in(&mut editor, ">");
        press(&mut editor, &[Key::End, Key::Right, Key::Delete]);
        assert_eq!(editor.take(), ">one");
        assert_eq!(editor.text(), "");
    }

    #[test]
    fn lines_come_back_and_what_was_typed_is_kept() {
        let mut editor = Editor::default();
        for line in ["one", "two", "two", " "] {
            type_in(&mut editor, line);
            editor.take();
        }
        type_in(&mut editor, "draft");
        let table = [
            (Key::Older, "two"),
            (Key::Older, "one"),
            (Key::Older, "one"),
            (Key::Newer, "two"),
            (Key::Newer, "draft"),
            (Key::Newer, "draft"),
        ];
        for (key, text) in table {
            editor.handle_key(key);
            assert_eq!(editor.text(), text);
        }
    }

    #[test]
    fn a_long_line_is_shown_around_the_cursor() {
        let mut editor = Editor::default();
        type_in(&mut editor, "abcdefgh");
        let view = editor.view(4);
        assert_eq!((view.text.as_str(), view.cursor), ("fgh", 3));
        press(&mut editor, &[Key::Start]);
        let view = editor.view(4);
        assert_eq!((view.text.as_str(), view.cursor), ("abcd", 0));
        // Two columns each.
        let mut editor = Editor::default();
        type_in(&mut editor, "日本語");
        let view = editor.view(5);
        assert_eq!((view.text.as_str(), view.columns), ("本語", 4));
        assert_eq!(editor.view(7).text, "日本語");
        type_in(&mut editor, "\u{202e}");
        assert!(editor.view(80).text.ends_with('\u{fffd}'));
    }
}
