//! What clients do with sealed datagrams: they seal theirs, echo what they are asked, and send what is forged, cut, replayed,
//! or sealed with something else.

use super::World;
use crate::chance::Chance;
use crate::client::junk;
use crate::keys::EPOCH;
use crate::odds::Action;
use crate::wire::{self, Payload};
use voiceapp_server::event::UdpPath;
use voiceapp_server::limits::WRONG_TAGS_PER_SECOND;

impl World {
    /// Sends a frame from there, under the client's seal if it has one.
    pub fn send_as(&mut self, serial: u64, from: UdpPath, frame: &[u8]) {
        let client = self.clients.get_mut(&serial).expect("it is here");
        let datagram = match client.is_sealed() {
            true => self.seal(serial, frame),
            false => frame.to_vec(),
        };
        self.send_datagram(from, &datagram);
    }

    fn send_datagram(&mut self, from: UdpPath, datagram: &[u8]) {
        self.tap.get().air.send(self.clock.get(), from, datagram);
    }

    /// Seals a frame as this client, which has keys.
    fn seal(&mut self, serial: u64, inside: &[u8]) -> Vec<u8> {
        let zeros = self.chance.pick(&[0, 0, 0, 1, 40]);
        let client = self.clients.get_mut(&serial).expect("it is here");
        let keys = client.keys.as_mut().expect("it has keys");
        let datagram = keys.seal(inside, zeros);
        let key_id = keys.key_id();
        self.note_sealed(key_id, &datagram, inside);
        datagram
    }

    fn note_sealed(&mut self, key_id: u32, datagram: &[u8], inside: &[u8]) {
        let mut tap = self.tap.get();
        tap.model.envelopes.note(key_id, datagram, inside);
    }

    /// Sealed answers come to those who are there. Who is asked for an echo gives it, from where it is by now.
    pub fn deliver_mail(&mut self) {
        let mut tap = self.tap.get();
        let (mail, loss) = (std::mem::take(&mut tap.air.mail), tap.air.faults.loss);
        drop(tap);
        for (to, datagram) in mail {
            if self.chance.percent(loss) {
                continue;
            }
            for serial in self.serials() {
                let client = self.clients.get_mut(&serial).expect("it is here");
                let keys = client.keys.as_mut().filter(|_| client.voice == to);
                let Some(inside) = keys.and_then(|keys| keys.open(&datagram)) else {
                    continue;
                };
                if inside.first() == Some(&wire::PATH_CHALLENGE) && client.is_sealed() {
                    let echo = wire::frame(wire::PATH_RESPONSE, &inside[3..11]);
                    let path = client.path();
                    self.send_as(serial, path, &echo);
                }
            }
        }
    }

    /// What a client does under its seal, or to the seals of others.
    pub fn perform_under_seal(
        &mut self,
        serial: u64,
        action: Action,
        path: UdpPath,
        elsewhere: UdpPath,
    ) {
        let client = self.clients.get_mut(&serial).expect("it is here");
        let (is_sealed, token) = (client.is_sealed(), client.picture.token);
        match action {
            Action::Replay => {
                let from = self.chance.pick(&[path, elsewhere]);
                if let Some(datagram) = self.overheard() {
                    self.send_datagram(from, &datagram);
                }
            }
            Action::ForgeSealed => {
                let from = self.chance.pick(&[path, elsewhere]);
                if let Some(datagram) = self.overheard() {
                    let forged = forge(datagram, serial, &mut self.chance);
                    self.send_datagram(from, &forged);
                }
            }
            Action::FloodWithForged => {
                for _ in 0..WRONG_TAGS_PER_SECOND + 10 {
                    if let Some(mut datagram) = self.overheard() {
                        // Nobody has come to that counter, so that it has to be opened.
                        datagram[13] = datagram[13].wrapping_add(1);
                        self.send_datagram(elsewhere, &datagram);
                    }
                }
            }
            Action::ForgetSeal => {
                let voice = self.voice(1);
                let proof = Payload::new().u64(1).u64(token);
                self.send_datagram(path, &voice);
                self.send_datagram(path, &proof.frame(wire::VOICE_AUTH_REQUEST));
            }
            _ if !is_sealed => {}
            Action::HurryOn => client.keys.iter_mut().for_each(|keys| keys.hurry()),
            Action::SealFarAhead => {
                let voice = self.voice(1);
                let counter = EPOCH * self.chance.between(3, 5) as u64;
                let counter = counter + self.chance.below(1_000) as u64;
                let keys = self.clients[&serial].keys.as_ref().expect("it has keys");
                let datagram = keys.seal_far_ahead(&voice, counter);
                let key_id = keys.key_id();
                self.note_sealed(key_id, &datagram, &voice);
                self.send_datagram(path, &datagram);
            }
            Action::EchoWrongly => {
                let value = Payload::new().u64(self.chance.field());
                self.send_as(serial, path, &value.frame(wire::PATH_RESPONSE));
            }
            Action::SealOddly => {
                let mut odd = junk::odd_datagram(&mut self.chance);
                odd.truncate(2_000);
                let short = wire::frame(wire::PATH_RESPONSE, &[0; 7]);
                let inside = match self.chance.percent(20) {
                    true => short,
                    false => odd,
                };
                self.send_as(serial, path, &inside);
            }
            other => unreachable!("{other:?} has nothing to do with datagrams"),
        }
    }

    /// A sealed datagram of somebody, if anybody has sealed one.
    fn overheard(&mut self) -> Option<Vec<u8>> {
        let first = self.chance.below(self.clients.len());
        let all = self.clients.values();
        let all = all.skip(first).chain(self.clients.values());
        let mut sealing = all.filter_map(|client| client.keys.as_ref().map(|keys| &keys.sent));
        let sent = sealing.find(|sent| !sent.is_empty())?;
        Some(sent[self.chance.below(sent.len())].clone())
    }
}

/// Changes a sealed datagram in one place.
fn forge(mut datagram: Vec<u8>, serial: u64, chance: &mut Chance) -> Vec<u8> {
    let counter = u64::from_be_bytes(datagram[7..15].try_into().expect("eight bytes"));
    let renumber = match chance.below(7) {
        0 => {
            let place = chance.below(datagram.len());
            datagram[place] ^= 1 << chance.below(8);
            counter
        }
        1 => {
            let len = chance.between(20, datagram.len());
            datagram.truncate(len);
            datagram[1..3].copy_from_slice(&(len as u16 - 3).to_be_bytes());
            counter
        }
        // Another's key, or nobody's.
        2 => {
            let key_id = (serial as u32).wrapping_mul(0x9E37_79B1);
            datagram[3..7].copy_from_slice(&key_id.to_be_bytes());
            counter
        }
        3 => {
            let key_id = chance.next() as u32;
            datagram[3..7].copy_from_slice(&key_id.to_be_bytes());
            counter
        }
        4 => counter + chance.between(1, 200) as u64,
        5 => counter + EPOCH,
        _ => chance.pick(&[u64::MAX, counter + 2 * EPOCH, 0]),
    };
    if renumber != counter {
        datagram[7..15].copy_from_slice(&renumber.to_be_bytes());
    }
    datagram
}
