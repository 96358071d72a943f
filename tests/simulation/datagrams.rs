//! What clients do on UDP: they prove their addresses, speak, and move.

use crate::client::Proof;
use crate::network::{Datagram, SERVER_ADDRESSES};
use crate::wire::{self, Payload};
use crate::world::World;
use std::net::SocketAddr;
use std::time::Duration;
use voiceapp_server::event::UdpPath;

impl World {
    /// Proves its address with its own token, and asks again until it is answered.
    pub fn prove_own(&mut self, client: usize) {
        if self.random.percent(15) {
            // The server has several addresses, and this client has just dialled another.
            self.clients[client].server_address = self.random.pick(&SERVER_ADDRESSES);
        }
        let request_id = self.random.next();
        let prover = &mut self.clients[client];
        let datagram = proof(request_id, prover.session.token);
        prover.proof = Some(Proof {
            request_id,
            datagram: datagram.clone(),
            again_at: self.elapsed + Duration::from_secs(5),
        });
        self.send_datagram(client, self.clients[client].address, datagram);
    }

    /// Proves with whatever token, from wherever.
    pub fn prove(&mut self, client: usize, token: u64, from: SocketAddr) {
        let is_someones = self.model.connections.iter().any(|c| c.token == token);
        for &neighbour in self.at_address.get(&from).into_iter().flatten() {
            self.clients[neighbour].shares_address |= is_someones;
        }
        let request_id = self.random.field();
        self.send_datagram(client, from, proof(request_id, token));
    }

    pub fn speak(&mut self, client: usize, from: SocketAddr, data_len: usize) {
        let claimed_id = self.random.field();
        let data = self.random.bytes(data_len);
        let speaker = &mut self.clients[client];
        speaker.sequence += 1;
        let voice = Payload::new()
            .u64(claimed_id)
            .u32(speaker.sequence)
            .u32(speaker.sequence.wrapping_mul(960))
            .bytes(&data);
        self.send_datagram(client, from, voice.frame(wire::VOICE_DATA));
    }

    pub fn send_datagram(&mut self, client: usize, from: SocketAddr, datagram: Vec<u8>) {
        let peer = UdpPath {
            remote: from,
            local: self.clients[client].server_address,
        };
        let datagram = Datagram::ToServer(peer, datagram);
        self.network.send(self.elapsed, datagram, &mut self.random);
    }

    pub fn move_to_fresh_address(&mut self, client: usize) {
        let address = self.network.fresh_address(&mut self.random);
        self.move_to(client, address);
        let mover = &mut self.clients[client];
        mover.shares_address = false;
        mover.server_address = self.random.pick(&SERVER_ADDRESSES);
    }

    pub fn move_to(&mut self, client: usize, address: SocketAddr) {
        let old = std::mem::replace(&mut self.clients[client].address, address);
        if let Some(here) = self.at_address.get_mut(&old) {
            here.retain(|&other| other != client);
        }
        self.at_address.entry(address).or_default().push(client);
    }

    /// Nobody's, or that of someone who has not logged in and so is not alive yet.
    pub fn unknown_token(&mut self) -> u64 {
        let mut strangers = self.model.connections.iter().filter(|c| c.user.is_none());
        match strangers.next_back() {
            Some(stranger) if self.random.percent(30) => stranger.token,
            _ => self.random.field(),
        }
    }

    pub fn address_of_someone(&mut self) -> SocketAddr {
        let someone = self.random.below(self.clients.len());
        self.clients[someone].address
    }
}

fn proof(request_id: u64, token: u64) -> Vec<u8> {
    let payload = Payload::new().u64(request_id).u64(token);
    payload.frame(wire::VOICE_AUTH_REQUEST)
}
