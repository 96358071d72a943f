//! What clients do on UDP: they prove their addresses, speak, move, and send what they should not.

use super::World;
use crate::client::junk;
use crate::kernel::air::SERVER_ADDRESSES;
use crate::model::{OWN_IP, PORT};
use crate::odds::Action;
use crate::wire::{self, Payload};
use std::net::SocketAddr;
use voiceapp_server::event::UdpPath;
use voiceapp_server::limits::FALSE_ANSWERS_BURST;

impl World {
    pub fn perform_on_udp(&mut self, serial: u64, action: Action) {
        let serials = self.serials();
        let someone = &self.clients[&self.chance.pick(&serials)];
        let (victim, elsewhere) = (someone.picture.token, someone.voice);
        let client = self.clients.get_mut(&serial).expect("it is here");
        let (own, path) = (client.picture.token, client.path());
        let forged = UdpPath {
            remote: elsewhere,
            ..path
        };
        let longest = self.odds.limits.voice_bytes;
        match action {
            Action::Prove => {
                if self.chance.percent(15) {
                    // The server has several addresses, and this client has just dialled another.
                    client.dialled = self.chance.pick(&SERVER_ADDRESSES);
                }
                let path = client.path();
                self.prove(path, own);
            }
            Action::ProveDeparted => {
                let departed = self.departed_tokens.back().copied();
                self.prove(path, departed.unwrap_or(7));
            }
            Action::ProveStolen => self.prove(path, victim),
            Action::ProveZero => self.prove(path, 0),
            Action::ProveRandom => {
                let token = self.chance.field();
                self.prove(path, token);
            }
            Action::ProveOwn => {
                let remote = SocketAddr::new(OWN_IP, PORT);
                self.prove(UdpPath { remote, ..path }, own);
            }
            Action::FloodWithProofs => {
                for _ in 0..2 * FALSE_ANSWERS_BURST {
                    let token = self.chance.field();
                    self.prove(path, token);
                }
            }
            Action::ForgeProof => self.prove(forged, own),
            Action::Speak => {
                for _ in 0..self.chance.between(1, 3) {
                    let len = self.chance.between(100, 300).min(longest);
                    self.speak(path, len);
                }
            }
            Action::SpeakMuch => {
                let count = self.chance.pick(&[100, 200, self.odds.voice_flood]);
                let len = self.chance.pick(&[1, longest]);
                for _ in 0..count {
                    self.speak(path, len);
                }
            }
            Action::SpeakOddly => {
                let edges = [
                    0,
                    longest - 1,
                    longest,
                    longest + 1,
                    1_400,
                    1_401,
                    2_029,
                    2_030,
                ];
                let len = self.chance.pick(&edges);
                self.speak(path, len);
            }
            Action::ForgeVoice => self.speak(forged, longest.min(240)),
            Action::SendOddDatagram => {
                let datagram = junk::odd_datagram(&mut self.chance);
                self.tap.get().air.send(self.clock.get(), path, &datagram);
            }
            Action::MoveAddress => {
                let home = client.address;
                client.dialled = self.chance.pick(&SERVER_ADDRESSES);
                let fresh = self.fresh_voice_address(home);
                self.clients.get_mut(&serial).expect("it is here").voice = fresh;
            }
            Action::TakeOverAddress => client.voice = elsewhere,
            other => unreachable!("{other:?} has nothing to do with datagrams"),
        }
    }

    pub fn prove(&mut self, from: UdpPath, token: u64) {
        let payload = Payload::new().u64(self.chance.field()).u64(token);
        let datagram = payload.frame(wire::VOICE_AUTH_REQUEST);
        self.tap.get().air.send(self.clock.get(), from, &datagram);
    }

    /// Sends so many bytes of voice, no two of the same.
    pub fn speak(&mut self, from: UdpPath, len: usize) {
        self.next_sequence += 1;
        let voice = Payload::new()
            .u64(self.chance.field())
            .u32(self.next_sequence)
            .u32(self.next_sequence.wrapping_mul(960))
            .bytes(&vec![0xA5; len])
            .frame(wire::VOICE_DATA);
        self.tap.get().air.send(self.clock.get(), from, &voice);
    }
}
