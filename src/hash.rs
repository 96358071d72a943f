//! The hash of every table whose keys come from outside.

use siphasher::sip::SipHasher13;
use std::hash::BuildHasher;

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
