//! The list of passwords: a label and a password in each line, and perhaps the last day of it. Nothing that is
//! said of a line has the password in it.

use crate::limits::PASSWORDS_MAX;
use crate::secret::Secret;
use std::fmt;

/// Passwords, each of which lets a client in. The default is none, and everyone may log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PasswordList(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// What the log calls it.
    label: String,
    secret: Secret,
    /// The last day on which it lets anyone in, in days since the Unix epoch, in UTC.
    last_day: Option<i64>,
}

/// A line that is not a password, or one too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordListError {
    line: usize,
    problem: String,
}

const MS_PER_DAY: u64 = 24 * 3_600 * 1_000;

impl PasswordList {
    /// Reads a list: `LABEL PASSWORD`, or `LABEL PASSWORD until=YYYY-MM-DD`, with blanks between. The password is
    /// good on that day still, in UTC. A line that begins with `#` is a comment, and empty lines are skipped.
    ///
    /// # Errors
    ///
    /// [`PasswordListError`] for the first line that is something else, or that comes after [`PASSWORDS_MAX`]
    /// others.
    pub fn parse(text: &str) -> Result<Self, PasswordListError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let entry = match entries.len() < PASSWORDS_MAX {
                true => Entry::parse(line),
                false => Err(format!("there are more than {PASSWORDS_MAX} passwords")),
            };
            entries.push(entry.map_err(|problem| PasswordListError {
                line: index + 1,
                problem,
            })?);
        }
        Ok(PasswordList(entries))
    }

    /// A list of this one, without a label.
    pub fn of_one(secret: Secret) -> Self {
        PasswordList(vec![Entry {
            label: String::new(),
            secret,
            last_day: None,
        }])
    }

    /// This list, with all of another behind it.
    pub fn with(mut self, other: PasswordList) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The label of the password that this is at this time, in milliseconds since the Unix epoch.
    pub(crate) fn find(&self, guess: &str, unix_ms: u64) -> Option<&str> {
        let today = (unix_ms / MS_PER_DAY) as i64;
        let valid: Vec<_> = self
            .0
            .iter()
            .filter(|entry| entry.last_day.is_none_or(|last| today <= last))
            .collect();
        let place = Secret::find(valid.iter().map(|entry| &entry.secret), guess)?;
        Some(&valid[place].label)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody needs one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Entry {
    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let (Some(label), Some(password)) = (words.next(), words.next()) else {
            return Err("it is not LABEL PASSWORD: a label stands before each password".into());
        };
        let last_day = match (words.next(), words.next()) {
            (None, _) => None,
            (Some(word), None) => {
                let day = word.strip_prefix("until=").and_then(day_of);
                Some(day.ok_or("behind the password stands something else than until=YYYY-MM-DD")?)
            }
            _ => return Err("there are more than three words: passwords have no blanks".into()),
        };
        let secret = Secret::new(password).ok_or("the password is too long")?;
        Ok(Entry {
            label: label.into(),
            secret,
            last_day,
        })
    }
}

/// The day of a date, counted from the Unix epoch.
fn day_of(date: &str) -> Option<i64> {
    let number = |text: &str, len: usize| {
        let is_number = text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|_| is_number)
    };
    let mut parts = date.splitn(3, '-');
    let year = number(parts.next()?, 4)?;
    let month = number(parts.next()?, 2)?;
    let day = number(parts.next()?, 2)?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let in_month = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=in_month).contains(&day) {
        return None;
    }
    // Years begin in March here, so that the day that leap years have more is the last of a year.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let before = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(before + (153 * month + 2) / 5 + day - 1 - 719_468)
}

impl fmt::Display for PasswordListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for PasswordListError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_the_epoch() {
        for (date, day) in [
            ("1970-01-01", Some(0)),
            ("1969-12-31", Some(-1)),
            ("2000-02-29", Some(11_016)),
            ("2026-12-24", Some(20_811)),
            ("2100-03-01", Some(47_541)),
            ("2100-02-29", None),
            ("2026-02-29", None),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-04-31", None),
            ("2026-4-1", None),
            ("26-04-01", None),
            ("2026-04-01-", None),
            ("+026-04-01", None),
            ("", None),
        ] {
            assert_eq!(day_of(date), day, "{date}");
        }
    }

    #[test]
    fn a_password_is_good_until_its_last_day_is_over() {
        let list = PasswordList::parse(
            "\u{feff}# for the party\n\nfriends  sesame\r\n guests crackers#1 until=2026-12-24 \n",
        )
        .expect("every line is well formed");
        let day = |day: u64| day * MS_PER_DAY;
        assert_eq!(list.len(), 2);
        assert_eq!(list.find("sesame", 0), Some("friends"));
        assert_eq!(list.find("crackers#1", day(20_812) - 1), Some("guests"));
        assert_eq!(list.find("crackers#1", day(20_812)), None);
        assert_eq!(list.find("sesame", day(20_812)), Some("friends"));
        for wrong in ["", "friends", "sesam", "sesame ", "crackers"] {
            assert_eq!(list.find(wrong, 0), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_names_the_line_and_not_the_password() {
        let long = format!("a {}", "hunter2".repeat(100));
        for (line, problem) in [
            ("hunter2", "it is not LABEL PASSWORD"),
            ("a hunter2 soon", "behind the password"),
            ("a hunter2 until=2026-02-30", "behind the password"),
            ("a hunter2 until=2026-02-03 more", "more than three words"),
            (&long, "the password is too long"),
        ] {
            let error = PasswordList::parse(&format!("# one\n{line}")).expect_err(line);
            let error = error.to_string();
            assert!(
                error.starts_with(&format!("line 2: {problem}")) || error.contains(problem),
                "{error}"
            );
            assert!(
                error.starts_with("line 2: ") && !error.contains("hunter2"),
                "{error}"
            );
        }
        let many = "a b\n".repeat(PASSWORDS_MAX);
        assert_eq!(
            PasswordList::parse(&many).map(|it| it.len()),
            Ok(PASSWORDS_MAX)
        );
        assert!(PasswordList::parse(&(many + "a b")).is_err());
    }
}
