//! Keys for sealed voice, which both ends of a TLS connection would have of it: here they follow from the client's number.
//!
//! The client seals with them, and keeps what it has sealed last. An [`Ear`] opens what the server sends to that client
//! and to nobody else, and holds the server to the rule that no counter comes twice.

use crate::chance::Chance;
use std::collections::VecDeque;
use voiceapp_server::event::VoiceSecrets;
use voiceapp_server::protocol::sealing::{ClientOpener, EPOCH_BITS, Sealer};
use voiceapp_server::protocol::{KeyId, SEAL_OVERHEAD_BYTES, SealedDatagram, Suite};

/// How many counters an epoch has.
pub const EPOCH: u64 = 1 << EPOCH_BITS;

/// How many sealed datagrams a client remembers, for whoever replays them.
const REMEMBERED: usize = 64;

/// What a client seals with.
pub struct Keys {
    pub secrets: VoiceSecrets,
    sealer: Sealer,
    ear: ClientOpener,
    pub sent: VecDeque<Vec<u8>>,
}

impl Keys {
    /// Those of the client with this number, if there is encryption.
    pub fn of(serial: u64) -> Option<Self> {
        let mut chance = Chance::Seed(serial ^ 0x5EA1);
        let exported = chance.bytes(64).try_into().expect("64 bytes");
        let suites = [
            Suite::Aes128GcmSha256,
            Suite::Aes256GcmSha384,
            Suite::ChaCha20Poly1305Sha256,
        ];
        // Odd, so that no two are given one.
        let key_id = KeyId((serial as u32).wrapping_mul(0x9E37_79B1));
        let secrets = VoiceSecrets::of(key_id, chance.pick(&suites), &exported);
        Some(Keys {
            secrets,
            sealer: Sealer::new(secrets.suite, key_id, secrets.to_server),
            ear: ClientOpener::new(secrets.suite, key_id, secrets.to_client),
            sent: VecDeque::new(),
        })
    }

    pub fn key_id(&self) -> u32 {
        self.secrets.key_id.0
    }

    /// What hears for this client.
    pub fn ear(&self) -> Ear {
        let VoiceSecrets { suite, key_id, .. } = self.secrets;
        Ear {
            opener: ClientOpener::new(suite, key_id, self.secrets.to_client),
            last: None,
        }
    }

    /// Seals this, with so many zeros behind it.
    pub fn seal(&mut self, inside: &[u8], zeros: usize) -> Vec<u8> {
        let mut datagram = vec![0; inside.len() + zeros + SEAL_OVERHEAD_BYTES];
        let sealed = self.sealer.seal(inside, &mut datagram);
        sealed.expect("there are counters left");
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back(datagram.clone());
        datagram
    }

    /// Passes over all counters of the first epoch but a few, if it is still in it.
    pub fn hurry(&mut self) {
        let near_the_end = EPOCH - 20;
        let VoiceSecrets { suite, key_id, .. } = self.secrets;
        let next = self.sent.back().map_or(0, |last| counter_of(last) + 1);
        if next < near_the_end {
            let fresh = Sealer::new(suite, key_id, self.secrets.to_server);
            self.sealer = fresh.starting_at(near_the_end);
        }
    }

    /// Seals this in an epoch that nobody has come to, with this counter.
    pub fn seal_far_ahead(&self, inside: &[u8], counter: u64) -> Vec<u8> {
        let VoiceSecrets { suite, key_id, .. } = self.secrets;
        let fresh = Sealer::new(suite, key_id, self.secrets.to_server);
        let mut datagram = vec![0; inside.len() + SEAL_OVERHEAD_BYTES];
        let sealed = fresh.starting_at(counter).seal(inside, &mut datagram);
        sealed.expect("there are counters left");
        datagram
    }

    /// What the server says to this client in this datagram. None if it is for somebody else.
    pub fn open(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let mut datagram = datagram.to_vec();
        let opened = self.ear.open(&mut datagram).ok()?;
        Some(opened.inside.to_vec())
    }
}

/// Hears all that is sent to one client.
pub struct Ear {
    opener: ClientOpener,
    last: Option<u64>,
}

impl Ear {
    /// What is in this datagram, which must be for this client, and the next that was sealed for it.
    pub fn hear(&mut self, datagram: &mut [u8]) -> Vec<u8> {
        let counter = counter_of(datagram);
        let is_next = self.last.is_none_or(|last| counter > last);
        assert!(is_next, "{counter} after {:?}", self.last);
        self.last = Some(counter);
        let opened = self.opener.open(datagram);
        opened
            .expect("it is sealed for who gets it")
            .inside
            .to_vec()
    }
}

pub fn key_of(datagram: &[u8]) -> u32 {
    let sealed = SealedDatagram::check(datagram).expect("it is sealed");
    sealed.key_id().0
}

fn counter_of(datagram: &[u8]) -> u64 {
    let sealed = SealedDatagram::check(datagram).expect("it is sealed");
    sealed.counter()
}
