//! What a user asks of the server, over TCP, and what waits for an answer.

use super::{Event, LoginFailure, Pending, Session};
use std::time::Instant;
use voiceapp_protocol::Packet;

impl Session {
    /// Leaves voice.
    pub fn leave(&mut self, now: Instant) {
        self.join_waits = false;
        self.request(now, |request_id| Packet::LeaveVoiceChannelRequest {
            request_id,
        });
    }

    /// Asks the server to answer. The event tells how long that took.
    pub fn ping(&mut self, now: Instant) {
        self.request(now, |request_id| Packet::PingRequest { request_id });
    }

    /// Sends this message to everyone.
    pub fn chat(&mut self, now: Instant, message: &str) {
        self.request(now, |request_id| Packet::ChatMessageRequest {
            request_id,
            message,
        });
    }

    /// Mutes or unmutes. The server doesn't answer this.
    pub fn mute(&mut self, is_muted: bool) {
        self.send(&Packet::UserMuteState {
            user_id: self.me,
            is_muted,
        });
        if let Some(me) = self.people.entry(self.me) {
            me.is_muted = is_muted;
        }
        self.events.push_back(Event::YouMuted { is_muted });
    }

    /// Sends a request, which gets the next number and waits for its answer.
    pub(super) fn request<'p>(&mut self, now: Instant, packet: impl FnOnce(u64) -> Packet<'p>) {
        self.last_request_id += 1;
        let packet = packet(self.last_request_id);
        if self.send(&packet) {
            let message = match packet {
                Packet::ChatMessageRequest { message, .. } => Some(message.to_owned()),
                _ => None,
            };
            self.pending.push(Pending {
                request_id: self.last_request_id,
                sent_at: now,
                message,
            });
        }
    }

    /// Returns whether the packet can be sent: one that is too long cannot.
    pub(super) fn send(&mut self, packet: &Packet<'_>) -> bool {
        match packet.encode(&mut self.outbound) {
            Ok(()) => true,
            Err(error) => {
                self.refuse(format!("not sent: {error}"));
                if !self.is_logged_in() {
                    self.login_failure = Some(LoginFailure::Refused(None));
                }
                false
            }
        }
    }

    pub(super) fn refuse(&mut self, reason: String) {
        self.events.push_back(Event::Refused { reason });
    }
}
