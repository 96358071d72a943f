//! What a client does when its turn comes.

use crate::client::Request;
use crate::junk;
use crate::plan::Action;
use crate::world::{Ghost, World};
use std::time::Duration;
use voiceapp_server::cause::Ended;
use voiceapp_server::event::ConnectionId;
use voiceapp_server::limits::FALSE_ANSWERS_BURST;

impl World {
    pub fn act(&mut self, client: usize, action: Action) {
        match action {
            Action::Connect => {
                self.move_home(client, 5);
                // Most say who they are at once.
                if self.connect(client) && self.random.percent(70) {
                    self.act(client, Action::LogIn);
                }
            }
            Action::LogIn => {
                let name = junk::good_name(&mut self.random);
                self.request(client, Request::LogIn(name));
            }
            Action::LogInBadly => {
                let name = junk::bad_name(&mut self.random);
                self.request(client, Request::LogIn(name));
            }
            Action::FloodWithLogins => {
                for _ in 0..self.random.between(2, 30) {
                    let action =
                        self.random
                            .pick(&[Action::LogIn, Action::LogIn, Action::LogInBadly]);
                    self.act(client, action);
                }
            }
            Action::ComeAndGo => self.come_and_go(client),
            Action::StaySilent => self.clients[client].session.is_silent = true,
            Action::Join => {
                self.request(client, Request::Join);
                // Most also say where they are to be reached.
                if self.clients[client].session.is_logged_in() && self.random.percent(70) {
                    self.prove_own(client);
                }
            }
            Action::Leave => self.request(client, Request::Leave),
            Action::Mute => self.mute(client, true),
            Action::Unmute => self.mute(client, false),
            Action::Flap => {
                let requests = [Action::Join, Action::Leave, Action::Mute, Action::Unmute];
                for _ in 0..self.random.between(3, 40) {
                    match self.random.pick(&requests) {
                        Action::Join => self.request(client, Request::Join),
                        action => self.act(client, action),
                    }
                }
            }
            Action::Chat => {
                // Now and then more than any rate permits at once.
                let count = self.random.pick(&[1, 1, 1, 1, 1, 1, 1, 50]);
                for _ in 0..count {
                    let message = junk::message(&mut self.random);
                    self.request(client, Request::Chat(message));
                }
            }
            Action::ChatOddly => {
                let message = junk::odd_message(self.plan.limits.chat_bytes, &mut self.random);
                self.request(client, Request::Chat(message));
            }
            Action::Ping => self.request(client, Request::Ping),
            Action::Prove => self.prove_own(client),
            Action::ProveDepartedToken => {
                let departed = self.random.below(self.clients.len());
                let departed = &self.clients[departed].departed_tokens;
                if let Some(&token) = departed.last() {
                    self.prove(client, token, self.clients[client].address);
                }
            }
            Action::ProveStolenToken => {
                let victim = self.random.below(self.clients.len());
                let token = self.clients[victim].session.token;
                self.prove(client, token, self.clients[client].address);
            }
            Action::ProveZeroToken => self.prove(client, 0, self.clients[client].address),
            Action::ProveRandomToken => {
                let token = self.unknown_token();
                self.prove(client, token, self.clients[client].address);
            }
            Action::FloodWithProofs => {
                for _ in 0..2 * FALSE_ANSWERS_BURST {
                    let token = self.unknown_token();
                    self.prove(client, token, self.clients[client].address);
                }
            }
            Action::ForgeProof => {
                let from = self.address_of_someone();
                self.prove(client, self.clients[client].session.token, from);
            }
            Action::Speak => {
                for _ in 0..self.random.between(1, 3) {
                    let data_len = self.random.between(180, 300);
                    let data_len = data_len.min(self.plan.limits.voice_bytes);
                    self.speak(client, self.clients[client].address, data_len);
                }
            }
            Action::FloodWithVoice => {
                // A hundred times what may be sent while most steps last.
                let longest = self.plan.limits.voice_bytes;
                for _ in 0..200 {
                    let data_len = self.random.pick(&[1, 1, 1, longest]);
                    self.speak(client, self.clients[client].address, data_len);
                }
            }
            Action::SpeakOddly => {
                let longest = self.plan.limits.voice_bytes;
                let edges = [
                    0,
                    1,
                    longest - 1,
                    longest,
                    longest + 1,
                    1_400,
                    2_029,
                    2_030,
                    4_000,
                ];
                let data_len = self.random.pick(&edges);
                self.speak(client, self.clients[client].address, data_len);
            }
            Action::ForgeVoice => {
                let from = self.address_of_someone();
                self.speak(client, from, 240);
            }
            Action::MoveAddress => self.move_to_fresh_address(client),
            Action::TakeOverAddress => {
                let address = self.address_of_someone();
                self.move_to(client, address);
                self.clients[client].proof = None;
                for neighbour in self.at_address[&address].clone() {
                    self.clients[neighbour].shares_address = true;
                }
            }
            Action::SendOddFrame => {
                let frame = junk::odd_frame(&mut self.random);
                self.clients[client].unsent.extend(frame);
            }
            Action::SendMalformedFrame => {
                let frame = junk::malformed_frame(&mut self.random);
                self.clients[client].unsent.extend(frame);
            }
            Action::SendNoise => {
                let len = self.random.between(1, 100);
                let noise = self.random.bytes(len);
                self.clients[client].write_noise(&noise);
            }
            Action::SendOddDatagram => {
                let datagram = junk::odd_datagram(&mut self.random);
                self.send_datagram(client, self.clients[client].address, datagram);
            }
            Action::LeaveServer => self.leave_server(client),
            Action::Vanish => self.vanish(client),
        }
    }

    /// Connects and leaves over and over, from one place or from several.
    fn come_and_go(&mut self, client: usize) {
        for _ in 0..self.random.between(2, 8) {
            self.move_home(client, 20);
            if !self.connect(client) {
                return;
            }
            if self.random.percent(40) {
                self.act(client, Action::LogIn);
            }
            self.leave_server(client);
        }
    }

    /// Some come from elsewhere next time.
    fn move_home(&mut self, client: usize, percent: usize) {
        if self.random.percent(percent) {
            self.clients[client].ip = self.random.pick(&self.plan.homes);
        }
    }

    pub fn request(&mut self, client: usize, request: Request) {
        let request_id = self.random.field();
        let tail_len = if self.random.percent(3) {
            self.random.below(20)
        } else {
            0
        };
        let tail = self.random.bytes(tail_len);
        self.clients[client].request(request, request_id, &tail);
    }

    fn mute(&mut self, client: usize, is_muted: bool) {
        let claimed_id = self.random.field();
        let as_byte = if is_muted {
            self.random.pick(&[1, 1, 1, 2, 255])
        } else {
            0
        };
        self.clients[client].mute(claimed_id, is_muted, as_byte);
    }

    /// Closes the connection when everything written has been sent.
    pub fn leave_server(&mut self, client: usize) {
        self.transmit_all(client);
        if let Some(connection) = self.clients[client].connection {
            self.end(connection, Ended::ByPeer);
        }
    }

    /// Goes without a word, perhaps in the middle of one.
    fn vanish(&mut self, client: usize) {
        let cut = self.random.below(self.clients[client].unsent.len() + 1);
        self.transmit(client, cut);
        let Some(connection) = self.clients[client].connection else {
            return;
        };
        let causes = [Ended::Broken, Ended::Stalled, Ended::TooSlow, Ended::ByPeer];
        let cause = self.random.pick(&causes);
        let unnoticed = Duration::from_millis(self.random.below(9_000) as u64);
        self.abandon(connection, cause, unnoticed);
    }

    /// A connection is over for its client, and not yet for the server.
    pub fn abandon(&mut self, connection: ConnectionId, cause: Ended, after: Duration) {
        let line = self.lines[connection.0 as usize].as_mut();
        let client = line.expect("it is connected").client.take();
        let client = &mut self.clients[client.expect("nobody vanishes twice")];
        client.disconnected();
        // The session that is left behind is still bound to this address.
        client.shares_address = true;
        self.ghosts.push(Ghost {
            connection,
            ends_at: self.elapsed + after,
            cause,
        });
    }

    pub fn is_ghost(&self, connection: ConnectionId) -> bool {
        self.ghosts
            .iter()
            .any(|ghost| ghost.connection == connection)
    }

    /// Sends a piece of what is written, of any size, or all of it.
    pub fn transmit_some(&mut self, client: usize) {
        let len = self.clients[client].unsent.len();
        let piece = if self.random.percent(50) {
            len
        } else {
            self.random.below(len + 1)
        };
        self.transmit(client, piece);
    }

    pub fn transmit_all(&mut self, client: usize) {
        while !self.clients[client].unsent.is_empty() {
            self.transmit_some(client);
        }
    }

    fn transmit(&mut self, client: usize, len: usize) {
        if len == 0 {
            return;
        }
        let sender = &mut self.clients[client];
        let connection = sender.connection.expect("who writes is connected");
        let piece: Vec<u8> = sender.unsent.drain(..len).collect();
        self.bytes(connection, &piece);
    }
}
