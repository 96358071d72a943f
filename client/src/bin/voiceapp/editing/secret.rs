//! A question for a secret. What is typed in answer is not shown, goes into no history, and is given away
//! once.
//!
//! Until the question is over, keys are swallowed: a password that is typed too early or twice must not
//! appear in the line of messages.

use super::keys::Key;
use crate::line::Line;
use unicode_width::UnicodeWidthChar;

/// More than any server takes.
const SECRET_BYTES_MAX: usize = 1_024;

pub struct Question {
    prompt: String,
    typed: String,
    is_answered: bool,
}

impl Question {
    pub fn new(prompt: String) -> Self {
        Question {
            prompt,
            typed: String::new(),
            is_answered: false,
        }
    }

    /// What is shown of it in so many columns, and how many it takes. An answer ends it.
    pub fn view(&self, columns: usize) -> (&str, usize) {
        if self.is_answered {
            return ("", 0);
        }
        let mut width = 0;
        for (place, c) in self.prompt.char_indices() {
            let wider = width + c.width().unwrap_or(0);
            if wider > columns {
                return (&self.prompt[..place], width);
            }
            width = wider;
        }
        (&self.prompt, width)
    }

    /// Does what a key does, and gives the answer once. The end of input is an empty one.
    pub fn handle_key(&mut self, key: Key) -> Option<Line> {
        match key {
            Key::Interrupt => return Some(Line::Interrupted),
            _ if self.is_answered => {}
            Key::Text(c) if self.typed.len() + c.len_utf8() <= SECRET_BYTES_MAX => {
                self.typed.push(c);
            }
            Key::Backspace => drop(self.typed.pop()),
            Key::DeleteWord | Key::DeleteToStart => self.typed.clear(),
            Key::EndOfInput if !self.typed.is_empty() => {}
            Key::Enter | Key::EndOfInput => {
                self.is_answered = true;
                return Some(Line::Secret(std::mem::take(&mut self.typed)));
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(keys: &[Key]) -> Vec<Option<String>> {
        let mut question = Question::new("Password: ".into());
        let lines = keys.iter().filter_map(|key| question.handle_key(*key));
        let text = |line| match line {
            Line::Secret(text) => Some(text),
            _ => None,
        };
        lines.map(text).collect()
    }

    #[test]
    fn an_answer_is_given_once_and_only_an_interrupt_comes_behind_it() {
        let (a, b) = (Key::Text('a'), Key::Text('b'));
        let given = |text: &str| Some(text.to_owned());
        let table: [(&[Key], Vec<Option<String>>); 7] = [
            (&[a, b, Key::Enter, a, Key::Enter], vec![given("ab")]),
            (&[a, b, Key::Backspace, Key::Enter], vec![given("a")]),
            (&[a, Key::DeleteToStart, b, Key::Enter], vec![given("b")]),
            (
                &[a, Key::Older, Key::Left, b, Key::Enter],
                vec![given("ab")],
            ),
            (&[a, Key::EndOfInput, Key::Enter], vec![given("a")]),
            (&[Key::EndOfInput, Key::EndOfInput], vec![given("")]),
            (&[a, Key::Enter, Key::Interrupt], vec![given("a"), None]),
        ];
        for (keys, expected) in table {
            assert_eq!(answer(keys), expected, "{keys:?}");
        }
    }

    #[test]
    fn a_secret_without_end_is_cut() {
        let mut keys = vec![Key::Text('x'); 2 * SECRET_BYTES_MAX];
        keys.push(Key::Enter);
        assert_eq!(answer(&keys), [Some("x".repeat(SECRET_BYTES_MAX))]);
    }

    #[test]
    fn the_question_never_takes_a_second_row() {
        let question = Question::new("日本語: ".into());
        let table = [(0, ("", 0)), (3, ("日", 2)), (8, ("日本語: ", 8))];
        for (columns, view) in table {
            assert_eq!(question.view(columns), view);
        }
    }
}
