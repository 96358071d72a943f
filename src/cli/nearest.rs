//! Suggests a setting for a name that is misspelt.

use super::settings::SETTINGS;

/// Longer names are not misspellings, and take time to compare.
const NAME_BYTES_MAX: usize = 64;

/// The setting whose name is nearest to this one, if one is near.
pub(super) fn nearest_setting(name: &str) -> Option<&'static str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = name.to_lowercase().replace('_', "-");
    let near = SETTINGS
        .iter()
        .map(|setting| (distance(&name, setting.option), setting.option))
        .min()?;
    let (edits, option) = near;
    (edits <= 1 + option.len() / 5).then_some(option)
}

/// How many letters must be inserted, removed or replaced to make one name from the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_seen_through() {
        for (written, meant) in [
            ("max-user", Some("max-users")),
            ("max_users", Some("max-users")),
            ("MAX-USRES", Some("max-users")),
            ("managment-port", Some("management-port")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest_setting(written), meant, "{written}");
        }
        assert_eq!(nearest_setting(&"m".repeat(1_000_000)), None);
        assert_eq!((distance("", "abc"), distance("abc", "abc")), (3, 0));
        assert_eq!((distance("abc", "adc"), distance("abcd", "bcd")), (1, 1));
    }
}
