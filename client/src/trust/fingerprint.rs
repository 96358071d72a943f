//! The name of a server's key, which people can compare: SHA-256 of the key as certificates have it
//! (SubjectPublicKeyInfo in DER), in 64 lowercase hexadecimal digits.

use serde::{Serialize, Serializer};
use std::fmt::{self, Debug, Display, Formatter};
use std::str::FromStr;

/// The fingerprint of a server's key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Display for Fingerprint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Debug for Fingerprint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// Takes capital digits too, and `sha256=` before them, as an invitation has it.
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("sha256=").unwrap_or(text).as_bytes();
        let digit = |place: usize| char::from(*digits.get(place)?).to_digit(16);
        let mut bytes = [0; 32];
        for (place, byte) in bytes.iter_mut().enumerate() {
            let pair = digit(2 * place).zip(digit(2 * place + 1));
            let (high, low) = pair.ok_or_else(|| malformed(text))?;
            *byte = (high << 4 | low) as u8;
        }
        match digits.len() {
            64 => Ok(Fingerprint(bytes)),
            _ => Err(malformed(text)),
        }
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn malformed(text: &str) -> String {
    format!("{text:?} is no fingerprint (SHA-256, 64 hexadecimal digits)")
}
