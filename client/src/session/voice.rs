//! Packets over UDP: voice, and the proof of the address.

use super::{Event, Loss, Outcome, ProofState, Session};
use crate::{FRAME, FRAME_SAMPLES};
use std::time::Instant;
use voiceapp_protocol::{Frame, Packet, UserId};

/// The existing clients fail on a datagram over this size, so no server may send one.
const DATAGRAM_BYTES_MAX: usize = 4_096;

/// A voice datagram of another user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice<'a> {
    /// The speaker.
    pub from: UserId,
    /// Rises by one with each datagram.
    pub sequence: u32,
    /// In samples of a 48 kHz clock, from any start.
    pub timestamp: u32,
    /// An Opus packet, if the sender keeps to that.
    pub data: &'a [u8],
}

impl Session {
    /// Joins voice, once our address is proven: the events say when, or what prevents it.
    pub fn join(&mut self, now: Instant) {
        match self.proof.state() {
            ProofState::Proven => {
                self.request(now, |request_id| Packet::JoinVoiceChannelRequest {
                    request_id,
                });
            }
            ProofState::Asking => self.join_waits = true,
            ProofState::Failed => {
                self.join_waits = true;
                self.prove(now);
            }
        }
    }

    /// Sends a frame of voice that was due at this time. The sequence number rises by one with each
    /// that is sent, and the timestamp follows the clock, so that listeners can tell a pause from a
    /// loss.
    pub fn speak(&mut self, due_at: Instant, data: &[u8]) {
        let start = *self.voice_start.get_or_insert(due_at);
        let since_us = due_at.saturating_duration_since(start).as_micros();
        let frames = (since_us + FRAME.as_micros() / 2) / FRAME.as_micros();
        let frame = self.next_frame.max(frames as u64);
        self.send_datagram(&Packet::VoiceData {
            user_id: UserId(0),
            sequence: self.sequence,
            timestamp: (frame as u32).wrapping_mul(FRAME_SAMPLES as u32),
            data,
        });
        self.sequence = self.sequence.wrapping_add(1);
        self.next_frame = frame + 1;
    }

    /// Begins a fresh proof of our address.
    pub fn prove(&mut self, now: Instant) {
        let request = self.proof.begin(now);
        self.send_datagram(&request);
    }

    pub(super) fn handle_proof_outcome(&mut self, now: Instant, outcome: Outcome) {
        let address = self.voice_address.clone();
        match outcome {
            Outcome::Proven => {
                self.events.push_back(Event::VoiceReady { address });
                if std::mem::take(&mut self.join_waits) {
                    self.join(now);
                }
            }
            Outcome::Refused => {
                self.join_waits = false;
                self.events.push_back(Event::VoiceRefused);
            }
            Outcome::Ended => self.loss = Some(Loss::Ended),
            Outcome::Unanswered => {
                let was_ready = self.proof.was_proven();
                let event = Event::VoiceUnanswered { address, was_ready };
                self.events.push_back(event);
                self.probe(now);
            }
        }
    }

    /// Handles a datagram, and returns the voice in it, if it has any. An empty one is how a server
    /// ends the voice of a client that it has refused, and means nothing to us.
    /// A sealed one is opened where it lies.
    pub fn handle_datagram<'d>(
        &mut self,
        at: Instant,
        datagram: &'d mut [u8],
    ) -> Option<Voice<'d>> {
        if datagram.is_empty() {
            return None;
        }
        let frame = self.opened(datagram)?;
        let datagram = &datagram[frame];
        let packet = match Frame::first_of(datagram) {
            Ok(frame) if datagram.len() <= DATAGRAM_BYTES_MAX => frame.parse().ok(),
            _ => None,
        };
        match packet {
            Some(Packet::VoiceData {
                user_id,
                sequence,
                timestamp,
                data,
            }) => Some(Voice {
                from: user_id,
                sequence,
                timestamp,
                data,
            }),
            Some(Packet::VoiceAuthResponse {
                request_id,
                success,
            }) => {
                self.voice_is_closed = false;
                if success {
                    self.liveness.handle_voice_answer(at);
                }
                let outcome = self.proof.handle_answer(at, request_id, success);
                if let Some(outcome) = outcome {
                    self.handle_proof_outcome(at, outcome);
                }
                None
            }
            // Only a seal shows that it is the server that asks. What it asks for is where we are now.
            Some(Packet::PathChallenge { value }) if self.is_voice_encrypted() => {
                self.send_datagram(&Packet::PathResponse { value });
                None
            }
            _ => {
                self.unreadable += 1;
                if self.unreadable == 1 {
                    let bytes = datagram.len();
                    self.events.push_back(Event::UnreadableDatagram { bytes });
                }
                None
            }
        }
    }

    /// The network reports that nothing receives our datagrams. That may pass: proofs go on.
    pub fn handle_voice_closed(&mut self) {
        if !std::mem::replace(&mut self.voice_is_closed, true) {
            let address = self.voice_address.clone();
            self.events.push_back(Event::VoiceClosed { address });
        }
    }

    pub(super) fn send_datagram(&mut self, packet: &Packet<'_>) {
        let mut datagram = Vec::new();
        if packet.encode(&mut datagram).is_ok() {
            let sealed = self.sealed(datagram);
            self.datagrams.extend(sealed);
        }
    }
}
