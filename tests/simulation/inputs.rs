//! The inputs of the server, one by one: each is given to the server and to the model, and what
//! they make of it must be the same, byte for byte. Then the clients get what was sent to them.

use crate::model::User;
use crate::model_voice::{Fate, sort};
use crate::network::Datagram;
use crate::outputs::Outputs;
use crate::wire;
use crate::world::World;
use std::net::SocketAddr;
use voiceapp_server::cause::{Cause, Ended};
use voiceapp_server::event::{ConnectionId, UdpPath, VoiceToken};
use voiceapp_server::protocol::{Frame, FrameBuffer, Packet};
use voiceapp_server::relay::Verdict;

/// The server's end of a connection.
pub struct Line {
    inbound: FrameBuffer,
    /// The client at the other end, unless it has vanished.
    pub client: Option<usize>,
}

impl World {
    /// False if the server refuses it, or does not take in anyone at present.
    pub fn connect(&mut self, client: usize) -> bool {
        if self.elapsed < self.accepts_again_at {
            self.waiting.push(client);
            return false;
        }
        self.inputs += 1;
        let connection = self.free_connection();
        let token = self.random.next().max(1);
        let (now, ip) = (self.now(), self.clients[client].ip);
        let token = VoiceToken(token);
        let (switchboard, outputs) = (&mut self.switchboard, &mut self.outputs);
        let result = switchboard.handle_connect(now, connection, ip, token, outputs);
        let result = result.map_err(Cause::from);
        self.note(|| format!("  client {client} comes from {ip} as {connection}: {result:?}"));
        let expected = self.model.connect(self.elapsed, connection, ip, token.0);
        assert_eq!(result, expected, "from {ip}");
        self.digest
            .number(u64::from(connection.0) << 1 | u64::from(result.is_ok()));
        if result.is_ok() {
            self.lines[connection.0 as usize] = Some(Line {
                inbound: FrameBuffer::new(),
                client: Some(client),
            });
            self.clients[client].connected(connection);
        }
        self.hand_out_and_end();
        result.is_ok()
    }

    /// Numbers are used again as soon as they are free, in no particular order.
    fn free_connection(&mut self) -> ConnectionId {
        let start = self.random.below(self.lines.len() + 1);
        let after = self.lines.iter().skip(start).position(Option::is_none);
        let place = after.map(|place| start + place).unwrap_or_else(|| {
            self.lines.push(None);
            self.lines.len() - 1
        });
        ConnectionId(place as u32)
    }

    /// Bytes arrive on a connection, wherever the network has cut them.
    pub fn bytes(&mut self, connection: ConnectionId, bytes: &[u8]) {
        self.digest.number(u64::from(connection.0));
        self.digest.bytes(bytes);
        let now = self.now();
        let expected_frames = self.model.arrive(connection, bytes);
        let line = self.lines[connection.0 as usize].as_mut();
        let mut inbound = std::mem::take(&mut line.expect("it is connected").inbound);
        inbound.extend(bytes);
        for (packet_id, payload) in expected_frames {
            self.inputs += 1;
            self.note(|| {
                let (len, head) = (payload.len(), head(&payload));
                format!("  {connection} sends {packet_id:#04x} with {len} bytes: {head:02x?}")
            });
            let frame = inbound.next_frame().expect("the model sees a frame here");
            assert_eq!((frame.id, frame.payload), (packet_id, &payload[..]));
            let (switchboard, outputs) = (&mut self.switchboard, &mut self.outputs);
            switchboard.handle_frame(now, connection, frame, outputs);
            self.model
                .frame(self.elapsed, now.unix_ms, connection, packet_id, &payload);
            let ends = self.hand_out();
            let is_pending = self.model.connection(connection).is_pending();
            let management = self.switchboard.management();
            assert_eq!(management.is_pending(connection), is_pending);
            if !ends.is_empty() {
                return ends.into_iter().for_each(|(id, cause)| self.end(id, cause));
            }
        }
        assert!(
            inbound.next_frame().is_none(),
            "the model sees no frame here"
        );
        if let Some(line) = &mut self.lines[connection.0 as usize] {
            line.inbound = inbound;
        }
    }

    /// A connection ends, or the server is told that it has.
    pub fn end(&mut self, connection: ConnectionId, cause: Ended) {
        self.inputs += 1;
        self.note(|| format!("  {connection} ends: {}", cause.name()));
        self.digest
            .number(u64::from(connection.0) << 8 | cause as u64);
        let line = self.lines[connection.0 as usize].take();
        if let Some(client) = line.expect("it is connected").client {
            self.clients[client].disconnected();
        }
        // A vanished stranger's time to log in may be over before the server finds out.
        self.ghosts.retain(|ghost| ghost.connection != connection);
        let now = self.now();
        self.switchboard
            .handle_disconnect(now, connection, cause, &mut self.outputs);
        self.model.disconnect(self.elapsed, connection, cause);
        assert_eq!(self.hand_out(), [], "an end that makes others end");
    }

    /// Ends everyone whose time to log in is over, and tells whatever is owed and due.
    pub fn tick(&mut self) {
        loop {
            let now = self.now();
            let overdue = self.model.overdue(self.elapsed).first().copied();
            assert_eq!(self.switchboard.overdue(now), overdue);
            let was_due = self.switchboard.handle_tick(now, &mut self.outputs);
            let was_told = self.model.tick(self.elapsed);
            assert_eq!(was_due, was_told || overdue.is_some());
            if let Some(connection) = overdue {
                self.model.end(connection, Ended::LoginDeadline);
            }
            self.hand_out_and_end();
            if !was_due {
                return;
            }
            self.inputs += 1;
            self.note(|| "  something was due".to_string());
        }
    }

    /// A datagram arrives at the server.
    pub fn datagram(&mut self, from: UdpPath, bytes: &[u8]) {
        self.inputs += 1;
        self.digest.number(u64::from(from.remote.port()));
        self.digest.bytes(bytes);
        self.note(|| {
            format!(
                "  {from:?} sends {} bytes: {:02x?}",
                bytes.len(),
                head(bytes)
            )
        });
        let mut slot = bytes.to_vec();
        let now = self.now();
        let fate = match self.switchboard.handle_datagram(now, from, &mut slot) {
            Verdict::Relay {
                frame,
                recipients,
                challenge: None,
            } => {
                let mut to: Vec<UdpPath> = recipients.iter().copied().collect();
                assert_eq!(to.len(), recipients.len());
                sort(&mut to);
                Fate::Relay(frame.to_vec(), to)
            }
            Verdict::Answer(answer) => Fate::Answer(answer.to_vec()),
            Verdict::AnswerAndEnd(answer) => Fate::AnswerAndEnd(answer.to_vec()),
            Verdict::Drop(cause) => Fate::Drop(cause.into()),
            sealed => panic!("nobody here has a seal: {sealed:?}"),
        };
        self.note(|| match &fate {
            Fate::Relay(_, to) => format!("    heard by {}", to.len()),
            other => format!("    {other:02x?}"),
        });
        let expected = self.model.datagram(self.elapsed, from, bytes, &fate);
        assert_eq!(fate, expected, "from {from:?}: {bytes:?}");
        match fate {
            Fate::Relay(frame, to) => self.relay(from, &frame, &to),
            Fate::Answer(answer) | Fate::AnswerAndEnd(answer) => {
                self.answer(from, bytes.len(), answer);
            }
            Fate::Drop(cause) => self.digest.number(cause as u64),
        }
    }

    fn relay(&mut self, from: UdpPath, frame: &[u8], to: &[UdpPath]) {
        self.digest.bytes(frame);
        self.heard += u64::from(!to.is_empty());
        for client in self.at_address.get(&from.remote).into_iter().flatten() {
            let speaker = &self.clients[*client];
            assert!(
                speaker.shares_address || speaker.session.id == Some(id_in(frame)),
                "client {client} speaks as someone else"
            );
        }
        let is_owed = self.model.is_owed(id_in(frame));
        for (place, peer) in to.iter().enumerate() {
            self.digest.number(u64::from(peer.remote.port()));
            assert_ne!(peer.remote, from.remote, "voice goes back to its source");
            let is_double = place > 0 && to[place - 1].remote == peer.remote;
            assert!(!is_double, "{} hears it twice", peer.remote);
            for client in self.at_address.get(&peer.remote).into_iter().flatten() {
                self.clients[*client].hear(frame, is_owed);
            }
        }
    }

    fn answer(&mut self, from: UdpPath, question_len: usize, answer: Vec<u8>) {
        self.digest.bytes(&answer);
        assert!(answer.len() < question_len, "an answer that amplifies");
        let frame = Frame::first_of(&answer).expect("a client is sent whole frames");
        assert_eq!(frame.wire_len(), answer.len());
        assert!(matches!(
            frame.parse(),
            Ok(Packet::VoiceAuthResponse { .. })
        ));
        let datagram = Datagram::ToClient(from.remote, answer);
        self.network.send(self.elapsed, datagram, &mut self.random);
    }

    /// The answer to a VoiceAuthRequest reaches whoever is at that address by now.
    pub fn answer_arrives(&mut self, to: SocketAddr, answer: &[u8]) {
        let (_, payload) = wire::split_frame(answer).expect("a client is sent whole frames");
        let request_id = wire::Fields(payload).u64();
        for client in self.at_address.get(&to).into_iter().flatten() {
            let proof = &mut self.clients[*client].proof;
            if proof.as_ref().map(|proof| proof.request_id) == request_id {
                *proof = None;
            }
        }
    }

    fn hand_out_and_end(&mut self) {
        for (connection, cause) in self.hand_out() {
            self.end(connection, cause);
        }
    }

    /// Compares what one input brought about, and gives it to the clients. Returns which connections are
    /// to end.
    pub fn hand_out(&mut self) -> Vec<(ConnectionId, Ended)> {
        let mut outputs = std::mem::take(&mut self.outputs);
        if let Some(connection) = outputs.difference(&self.model.sent) {
            let sent = packets(&outputs, connection);
            let expected = packets(&self.model.sent, connection);
            panic!("connection {connection} was sent\n  {sent}\nand must be sent\n  {expected}");
        }
        let mut before: &[u8] = &[];
        for &connection in &outputs.receivers {
            let bytes = outputs.of(connection);
            self.digest.number(u64::from(connection.0));
            // What goes to everyone is digested once.
            if bytes != before {
                self.digest.bytes(bytes);
                before = bytes;
            }
            let line = self.lines[connection.0 as usize].as_ref();
            let line = line.expect("nothing is sent to who has gone");
            if let Some(client) = line.client {
                self.clients[client]
                    .session
                    .receive(bytes, &mut self.random);
            }
        }
        assert_eq!(outputs.ends, self.model.sent.ends);
        let ends = std::mem::take(&mut outputs.ends);
        outputs.clear();
        self.model.sent.clear();
        self.outputs = outputs;
        ends
    }

    /// What the server counts must be what the model counts.
    pub fn compare_tables(&self) {
        let (management, relay) = (self.switchboard.management(), self.switchboard.relay());
        let users = self.model.count_users(|_| true);
        let addresses = self.model.count_users(|user| user.peer.is_some());
        let hears = |user: &User| user.peer.is_some() && user.in_voice;
        let listeners = self.model.count_users(hears);
        assert_eq!(management.user_count(), users);
        assert_eq!(management.users_at_most(), self.model.users_at_most);
        assert_eq!(relay.user_count(), users);
        assert_eq!(management.pending_count(), self.model.pending_count());
        assert_eq!(relay.address_count(), addresses);
        assert_eq!(relay.listener_count(), listeners);
        assert_eq!(self.switchboard.counters(), self.model.counters);
        let deadline = self.model.next_deadline();
        let deadline = deadline.map(|deadline| self.instant(deadline));
        assert_eq!(self.switchboard.next_deadline(), deadline);
    }
}

/// As much of an input as a line of the trace has room for.
fn head(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(32)]
}

fn id_in(voice_frame: &[u8]) -> u64 {
    u64::from_be_bytes(voice_frame[3..11].try_into().expect("eight bytes"))
}

/// What was sent to a connection, for people to read.
fn packets(outputs: &Outputs, connection: ConnectionId) -> String {
    let mut bytes = outputs.of(connection);
    let mut lines = Vec::new();
    while let Ok(frame) = Frame::first_of(bytes) {
        let mut line = format!("{:?}", frame.parse());
        line.extend((line.len() > 400).then_some("…"));
        lines.push(line.chars().take(400).collect::<String>());
        bytes = &bytes[frame.wire_len()..];
    }
    lines.join("\n  ")
}
