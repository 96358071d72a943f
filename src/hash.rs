//! The hash of every table whose keys come from outside.

use siphasher::sip::{SipHasher13, SipHasher24};
use std::hash::{BuildHasher, Hasher};

/// The key of the server's hash tables: 128 bits that no client can know. So no client can choose
/// addresses or tokens that collide, or learn from timing how close a guess came.
#[derive(Clone, Copy)]
pub struct HashKey(pub u64, pub u64);

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

impl HashKey {
    /// A number that nobody can compute for these bytes without the key. Unlike a table's hash, it is shown to
    /// others. So it takes the rounds that its authors recommend for that.
    pub(crate) fn tag(self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.0, self.1);
        hasher.write(bytes);
        hasher.finish()
    }
}
