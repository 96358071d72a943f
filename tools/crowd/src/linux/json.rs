//! Just enough of JSON to write a report: objects, arrays, texts and numbers, in the order in which
//! they are given.
//!
//! It writes and never reads. The caller closes what it opens.

use std::fmt::Write;

pub struct Json {
    out: String,
    /// Whether a value came before, so that a comma belongs in between.
    has_before: bool,
}

impl Json {
    pub fn new() -> Self {
        Json {
            out: String::new(),
            has_before: false,
        }
    }

    /// Begins an object or an array.
    pub fn open(&mut self, bracket: char) {
        self.separate();
        self.out.push(bracket);
        self.has_before = false;
    }

    pub fn close(&mut self, bracket: char) {
        self.out.push(bracket);
        self.has_before = true;
    }

    /// Names what comes next.
    pub fn key(&mut self, key: &str) {
        self.item(key);
        self.out.push(':');
        self.has_before = false;
    }

    pub fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.item(value);
    }

    /// A number to three decimals and at least four digits, or null where there is none.
    pub fn number(&mut self, key: &str, value: Option<f64>) {
        self.key(key);
        self.separate();
        match value.filter(|it| it.is_finite()) {
            None => self.out.push_str("null"),
            Some(value) => {
                // Where its first digit is, counted from the point; that of 0 is nowhere.
                let first = -value.abs().log10().floor();
                let decimals = match first.is_finite() {
                    true => (first as i32 + 3).max(3),
                    false => 3,
                };
                let rounded: f64 = format!("{value:.0$}", decimals as usize)
                    .parse()
                    .unwrap_or(value);
                let _ = write!(self.out, "{rounded}");
            }
        }
    }

    /// A text, for an array.
    pub fn item(&mut self, text: &str) {
        self.separate();
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' | '\\' => self.out.extend(['\\', character]),
                it if it < ' ' => {
                    let _ = write!(self.out, "\\u{:04x}", it as u32);
                }
                it => self.out.push(it),
            }
        }
        self.out.push('"');
    }

    pub fn finish(self) -> String {
        self.out
    }

    fn separate(&mut self) {
        if self.has_before {
            self.out.push(',');
        }
        self.has_before = true;
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn a_nested_object() {
        let mut json = Json::new();
        json.open('{');
        json.text("a\"b", "line\nend\\");
        json.key("list");
        json.open('[');
        json.open('{');
        json.number("x", Some(1.23456));
        json.number("y", None);
        json.close('}');
        json.item("z");
        json.close(']');
        json.number("big", Some(12_345_678.0));
        json.number("small", Some(0.000_123_456));
        json.number("none", Some(0.0));
        json.number("odd", Some(f64::NAN));
        json.close('}');
        let expected = r#"{"a\"b":"line\u000aend\\","list":[{"x":1.235,"y":null},"z"],"big":12345678,"small":0.0001235,"none":0,"odd":null}"#;
        assert_eq!(json.finish(), expected);
    }
}
