//! The key of one epoch: derived from a direction's secret, and used with a nonce for each counter.

use crate::secrets::{Secret, Suite};
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{self, KeyType, Prk};

/// What is derived is bound to this, and to the epoch's number.
const INFO: &[u8] = b"voiceapp voice";
const NONCE_BYTES: usize = aead::NONCE_LEN;
const KEY_BYTES_MAX: usize = 32;

/// Key and nonce mask of an epoch. It seals and opens, and watches over no counter.
pub(super) struct EpochKey {
    key: LessSafeKey,
    iv: [u8; NONCE_BYTES],
}

/// What is derived: the key first, then the mask.
pub(super) struct Material {
    bytes: [u8; KEY_BYTES_MAX + NONCE_BYTES],
    key_len: usize,
}

impl Material {
    /// HKDF-Expand (RFC 5869).
    pub(super) fn expand(suite: Suite, secret: &Secret, epoch: u32) -> Self {
        let hash = match suite {
            Suite::Aes128GcmSha256 | Suite::ChaCha20Poly1305Sha256 => hkdf::HKDF_SHA256,
            Suite::Aes256GcmSha384 => hkdf::HKDF_SHA384,
        };
        let (mut bytes, key_len) = ([0; KEY_BYTES_MAX + NONCE_BYTES], suite.key_bytes());
        let wanted = &mut bytes[..key_len + NONCE_BYTES];
        let secret = Prk::new_less_safe(hash, &secret.0);
        let info = [INFO, &epoch.to_be_bytes()];
        let expanded = secret.expand(&info, Length(wanted.len()));
        expanded
            .and_then(|expanded| expanded.fill(wanted))
            .expect("44 bytes are far below what HKDF can give");
        Material { bytes, key_len }
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.bytes[..self.key_len]
    }

    pub(super) fn iv(&self) -> [u8; NONCE_BYTES] {
        let mut iv = [0; NONCE_BYTES];
        iv.copy_from_slice(&self.bytes[self.key_len..self.key_len + NONCE_BYTES]);
        iv
    }
}

/// How many bytes are wanted of the derivation.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl EpochKey {
    /// The key of this epoch.
    pub(super) fn derive(suite: Suite, secret: &Secret, epoch: u32) -> Self {
        let algorithm = match suite {
            Suite::Aes128GcmSha256 => &aead::AES_128_GCM,
            Suite::Aes256GcmSha384 => &aead::AES_256_GCM,
            Suite::ChaCha20Poly1305Sha256 => &aead::CHACHA20_POLY1305,
        };
        let material = Material::expand(suite, secret, epoch);
        let key = UnboundKey::new(algorithm, material.key());
        EpochKey {
            key: LessSafeKey::new(key.expect("the suite says how long its keys are")),
            iv: material.iv(),
        }
    }

    /// Encrypts in place, and gives the tag.
    pub(super) fn seal(&self, counter: u64, header: &[u8], inside: &mut [u8]) -> aead::Tag {
        let nonce = self.nonce(counter);
        self.key
            .seal_in_place_separate_tag(nonce, Aad::from(header), inside)
            .expect("a frame is far below what one nonce can seal")
    }

    /// Decrypts in place what ends in its tag, if it is authentic. If not, the bytes mean nothing any
    /// more.
    pub(super) fn open<'d>(
        &self,
        counter: u64,
        header: &[u8],
        inside_and_tag: &'d mut [u8],
    ) -> Option<&'d mut [u8]> {
        let nonce = self.nonce(counter);
        self.key
            .open_in_place(nonce, Aad::from(header), inside_and_tag)
            .ok()
    }

    /// The counter, as wide as a nonce, over the mask.
    fn nonce(&self, counter: u64) -> Nonce {
        let mut nonce = self.iv;
        let wide = counter.to_be_bytes();
        for (byte, counted) in nonce[NONCE_BYTES - wide.len()..].iter_mut().zip(wide) {
            *byte ^= counted;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}
