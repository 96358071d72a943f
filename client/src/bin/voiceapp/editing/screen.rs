//! What the terminal shows: lines that stay, and below them the one that is typed. It composes the
//! output, and writes nothing. A question for a secret takes the place of the line.
//!
//! The line that is typed never takes more than one row, so that the way back over it is known.

use super::editor::Editor;
use super::keys::{Key, KeyReader};
use super::secret::Question;
use crate::line::Line;
use std::fmt::Write;

const PROMPT: &str = "> ";
/// A longer line is cut into several: no message is as long.
const LINE_BYTES_MAX: usize = 65_536;
const ERASE_LINE: &str = "\r\x1b[K";
const ERASE_BELOW: &str = "\r\x1b[J";

pub struct Screen {
    keys: KeyReader,
    editor: Editor,
    /// What is asked for in the place of a line, until that is over.
    question: Option<Question>,
    columns: usize,
    /// Where the cursor was left.
    cursor: usize,
    /// Whether a typed line stays on the screen. A message does not, as it is shown when it comes
    /// back.
    stays: fn(&str) -> bool,
}

/// The result of what was typed.
#[derive(Default)]
pub struct Typed {
    pub output: String,
    pub lines: Vec<Line>,
    pub wants_suspension: bool,
}

impl Screen {
    pub fn new(columns: usize, stays: fn(&str) -> bool) -> Self {
        Screen {
            keys: KeyReader::default(),
            editor: Editor::default(),
            question: None,
            columns,
            cursor: 0,
            stays,
        }
    }

    /// Shows the typed line, wherever the cursor is.
    pub fn show(&mut self) -> String {
        let mut output = ERASE_LINE.to_owned();
        self.draw(&mut output);
        output
    }

    pub fn hide(&mut self) -> String {
        self.cursor = 0;
        ERASE_LINE.to_owned()
    }

    /// Puts text above the line that is typed.
    pub fn print(&mut self, text: &str) -> String {
        let mut output = ERASE_LINE.to_owned();
        output.push_str(text);
        self.draw(&mut output);
        output
    }

    /// Asks for a secret, below a notice. The line that was begun waits.
    pub fn ask(&mut self, notice: &str, prompt: String) -> String {
        self.question = Some(Question::new(prompt));
        self.print(notice)
    }

    /// Goes back to the line.
    pub fn stop_asking(&mut self) -> String {
        match self.question.take() {
            Some(_) => self.show(),
            None => String::new(),
        }
    }

    /// The terminal has so many columns now. One row may have become several, and the cursor has
    /// moved with its position.
    pub fn resize(&mut self, columns: usize) -> String {
        let rows_up = self.cursor / columns.max(1);
        self.columns = columns;
        let mut output = String::new();
        if rows_up > 0 {
            let _ = write!(output, "\x1b[{rows_up}A");
        }
        output.push_str(ERASE_BELOW);
        self.draw(&mut output);
        output
    }

    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for key in self.keys.read(bytes) {
            match key {
                Key::Suspend => typed.wants_suspension = true,
                Key::ClearScreen => typed.output.push_str("\x1b[H\x1b[2J"),
                key if self.question.is_some() => self.answer(key, &mut typed),
                Key::Enter => self.enter(&mut typed),
                Key::Interrupt if self.editor.text().is_empty() => {
                    typed.lines.push(Line::Interrupted);
                }
                // The history gives the line back.
                Key::Interrupt => drop(self.editor.take()),
                Key::EndOfInput if self.editor.text().is_empty() => typed.lines.push(Line::Ended),
                Key::EndOfInput => self.editor.handle_key(Key::Delete),
                Key::Talk => typed.lines.push(Line::TalkKey),
                Key::Text(_) if self.editor.text().len() >= LINE_BYTES_MAX => {
                    self.enter(&mut typed);
                    self.editor.handle_key(key);
                }
                key => self.editor.handle_key(key),
            }
        }
        typed.output.push_str(ERASE_LINE);
        self.draw(&mut typed.output);
        typed
    }

    fn enter(&mut self, typed: &mut Typed) {
        if (self.stays)(self.editor.text()) {
            self.editor.handle_key(Key::End);
            typed.output.push_str(ERASE_LINE);
            self.draw(&mut typed.output);
            typed.output.push('\n');
        }
        let line = self.editor.take();
        typed.lines.push(Line::Typed(line.trim_end().to_owned()));
    }

    /// The question stays on the screen above what follows from its answer.
    fn answer(&mut self, key: Key, typed: &mut Typed) {
        let mut asked = ERASE_LINE.to_owned();
        self.draw(&mut asked);
        let line = self.question.as_mut().and_then(|it| it.handle_key(key));
        if let Some(Line::Secret(_)) = &line {
            typed.output.push_str(&asked);
            typed.output.push('\n');
        }
        typed.lines.extend(line);
    }

    /// One column stays free, as a terminal may go to the next row when the last is filled.
    fn draw(&mut self, output: &mut String) {
        if let Some(question) = &self.question {
            let (text, columns) = question.view(self.columns.saturating_sub(1));
            output.push_str(text);
            self.cursor = columns;
            return;
        }
        let room = self.columns.saturating_sub(PROMPT.len() + 1);
        let view = self.editor.view(room);
        output.push_str(PROMPT);
        output.push_str(&view.text);
        self.cursor = PROMPT.len() + view.cursor;
        if view.cursor < view.columns {
            let _ = write!(output, "\r\x1b[{}C", self.cursor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Screen {
        Screen::new(20, |line| line.starts_with('/'))
    }

    fn lines(typed: &Typed) -> Vec<&str> {
        let text = |line: &'_ _| match line {
            Line::Typed(line) => Box::leak(line.clone().into_boxed_str()) as &str,
            Line::Secret(_) => "(secret)",
            Line::TalkKey => "(talk)",
            Line::Ended => "(ended)",
            Line::Interrupted => "(interrupted)",
            Line::Failed(_) => "(failed)",
        };
        typed.lines.iter().map(text).collect()
    }

    #[test]
    fn lines_pasted_at_once_all_come_and_the_rest_stays() {
        let typed = screen().handle_bytes(b"one\rtwo\r\nthree\n\rfour");
        assert_eq!(lines(&typed), ["one", "two", "three", ""]);
        assert!(typed.output.ends_with("\r\x1b[K> four"));
    }

    #[test]
    fn commands_stay_on_the_screen_and_what_is_said_does_not() {
        let typed = screen().handle_bytes(b"/join\rhello\r");
        assert_eq!(typed.output, "\r\x1b[K> /join\n\r\x1b[K> ");
    }

    #[test]
    fn ctrl_c_clears_a_line_and_only_without_one_leaves() {
        let mut screen = screen();
        let typed = screen.handle_bytes(b"half a li\x03");
        assert_eq!(lines(&typed), [""; 0]);
        assert_eq!(typed.output, "\r\x1b[K> ");
        // The history gives it back.
        let typed = screen.handle_bytes(b"\x1b[Ane\r");
        assert_eq!(lines(&typed), ["half a line"]);
        assert_eq!(lines(&screen.handle_bytes(b"\x03")), ["(interrupted)"]);
        assert_eq!(lines(&screen.handle_bytes(b"\x04")), ["(ended)"]);
        // Where there is something, it deletes.
        let typed = screen.handle_bytes(b"ab\x01\x04\r");
        assert_eq!(lines(&typed), ["b"]);
    }

    #[test]
    fn the_key_to_talk_leaves_the_line_as_it_is() {
        let typed = screen().handle_bytes(b"a\x14b\r");
        assert_eq!(lines(&typed), ["(talk)", "ab"]);
    }

    #[test]
    fn a_secret_is_not_shown_and_the_line_waits_for_it() {
        let mut screen = screen();
        screen.handle_bytes(b"hel");
        assert_eq!(
            screen.ask("wrong\n", "Password: ".into()),
            "\r\x1b[Kwrong\nPassword: "
        );
        let typed = screen.handle_bytes(b"sesame");
        assert_eq!(typed.output, "\r\x1b[KPassword: ");
        assert_eq!(screen.print("more\n"), "\r\x1b[Kmore\nPassword: ");
        // What is typed behind it may be the secret again.
        let typed = screen.handle_bytes(b"\rsesame\r");
        assert_eq!(lines(&typed), ["(secret)"]);
        assert_eq!(typed.output, "\r\x1b[KPassword: \n\r\x1b[K");
        assert_eq!(screen.stop_asking(), "\r\x1b[K> hel");
        assert_eq!(screen.stop_asking(), "");
        // It is not in the history.
        let typed = screen.handle_bytes(b"\x1b[Alo\r");
        assert_eq!(lines(&typed), ["hello"]);
    }

    #[test]
    fn what_comes_in_goes_above_the_line() {
        let mut screen = screen();
        screen.handle_bytes(b"hexx\x1b[D");
        assert_eq!(
            screen.print("<bob> hi\r\n"),
            "\r\x1b[K<bob> hi\r\n> hexx\r\x1b[5C"
        );
    }

    #[test]
    fn a_line_that_takes_several_rows_after_shrinking_is_gone() {
        let mut screen = screen();
        screen.handle_bytes(b"0123456789abcdef");
        // The prompt and 16 characters are in rows of 7.
        assert_eq!(screen.resize(7), "\x1b[2A\r\x1b[J> def");
        assert_eq!(screen.resize(40), "\r\x1b[J> 0123456789abcdef");
        // However narrow the terminal is.
        for columns in 0..4 {
            screen.resize(columns);
        }
    }

    #[test]
    fn a_line_without_end_is_taken_for_several() {
        let typed = screen().handle_bytes(&[b'x'; LINE_BYTES_MAX + 1]);
        assert_eq!(lines(&typed), ["x".repeat(LINE_BYTES_MAX)]);
    }
}
