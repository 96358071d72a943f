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
                self.prove(serial, path, own);
            }
            Action::ProveDeparted => {
                let departed = self.departed_tokens.back().copied();
                self.prove(serial, path, departed.unwrap_or(7));
            }
            Action::ProveStolen => self.prove(serial, path, victim),
            Action::ProveZero => self.prove(serial, path, 0),
            Action::ProveRandom => {
                let token = self.chance.field();
                self.prove(serial, path, token);
            }
            Action::ProveOwn => {
                let remote = SocketAddr::new(OWN_IP, PORT);
                self.prove(serial, UdpPath { remote, ..path }, own);
            }
            Action::FloodWithProofs => {
                for _ in 0..2 * FALSE_ANSWERS_BURST {
                    let token = self.chance.field();
                    self.prove(serial, path, token);
                }
            }
            Action::ForgeProof => self.prove(serial, forged, own),
            Action::Speak => {
                for _ in 0..self.chance.between(1, 3) {
                    let len = self.chance.between(100, 300).min(longest);
                    self.speak(serial, path, len);
                }
            }
            Action::SpeakMuch => {
                let count = self.chance.pick(&[100, 200, self.odds.voice_flood]);
                let len = self.chance.pick(&[1, longest]);
                for _ in 0..count {
                    self.speak(serial, path, len);
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
                self.speak(serial, path, len);
            }
            Action::ForgeVoice => self.speak(serial, forged, longest.min(240)),
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
            sealed => self.perform_under_seal(serial, sealed, path, forged),
        }
    }

    /// A client sends a proof.
    pub fn prove(&mut self, serial: u64, from: UdpPath, token: u64) {
        let payload = Payload::new().u64(self.chance.field()).u64(token);
        self.send_as(serial, from, &payload.frame(wire::VOICE_AUTH_REQUEST));
    }

    /// A client sends so many bytes of voice, no two of the same.
    pub fn speak(&mut self, serial: u64, from: UdpPath, len: usize) {
        let voice = self.voice(len);
        self.send_as(serial, from, &voice);
    }

    pub fn voice(&mut self, len: usize) -> Vec<u8> {
        self.next_sequence += 1;
        Payload::new()
            .u64(self.chance.field())
            .u32(self.next_sequence)
            .u32(self.next_sequence.wrapping_mul(960))
            .bytes(&vec![0xA5; len])
            .frame(wire::VOICE_DATA)
    }
}
