//! Packets from the server over TCP.

use super::people::PEOPLE_MAX;
use super::{Event, LoginFailure, Pending, Said, Session};
use std::time::Instant;
use voiceapp_protocol::{
    Caps, Frame, Granted, Greeting, Packet, Participant, Reason, UserId, VoiceToken,
};

impl Session {
    /// Takes bytes of the TCP stream, cut anywhere.
    pub fn handle_bytes(&mut self, at: Instant, bytes: &[u8]) {
        self.liveness.handle_bytes(at);
        // Moved out, so that what is in it can be handled while it is borrowed.
        let mut inbound = std::mem::take(&mut self.inbound);
        inbound.extend(bytes);
        while let Some(frame) = inbound.next_frame() {
            self.handle_frame(at, frame);
        }
        self.inbound = inbound;
    }

    fn handle_frame(&mut self, at: Instant, frame: Frame<'_>) {
        let packet = match frame.parse() {
            Ok(packet) => packet,
            Err(error) => {
                let reason = error.to_string();
                self.events.push_back(Event::Skipped { reason });
                return;
            }
        };
        match packet {
            Packet::LoginResponse {
                id,
                voice_token,
                participants,
                request_id,
                granted,
            } => {
                self.settle(request_id);
                if id == UserId(0) {
                    let refusal = granted.and_then(|it| it.refusal);
                    let said = refusal.map(|it| said(it.reason, it.text));
                    self.login_failure = Some(LoginFailure::Refused(said));
                } else {
                    let granted = granted.unwrap_or_default();
                    // The first proof is sealed already.
                    if let Some(key_id) = granted.key_id
                        && granted.caps.contains(Caps::SEALED)
                    {
                        self.handle_key(key_id);
                    }
                    self.handle_login(at, id, voice_token, participants.iter());
                    self.handle_granted(granted);
                }
            }
            Packet::JoinVoiceChannelResponse {
                request_id,
                success,
                ..
            } => {
                self.settle(request_id);
                self.handle_voice_changed(success, true);
            }
            Packet::LeaveVoiceChannelResponse {
                request_id,
                success,
                ..
            } => {
                self.settle(request_id);
                self.handle_voice_changed(success, false);
            }
            // If it was accepted, the message itself settles it.
            Packet::ChatMessageResponse { success: true, .. } => {}
            Packet::ChatMessageResponse {
                request_id, reason, ..
            } => {
                let refused = self.settle(request_id).and_then(|it| it.message);
                let message = refused.unwrap_or_default();
                self.events.push_back(Event::ChatRefused {
                    message,
                    reason: reason.map(Reason::number),
                });
            }
            Packet::PingResponse { request_id } => {
                if let Some(asked) = self.settle(request_id) {
                    let round_trip_ms = at.duration_since(asked.sent_at).as_secs_f64() * 1e3;
                    self.events.push_back(Event::Pong { round_trip_ms });
                }
            }
            Packet::UserSentMessage {
                user_id,
                timestamp_ms,
                message,
            } => {
                if user_id == self.me {
                    let own = self.pending.iter().position(|it| it.message.is_some());
                    own.map(|place| self.pending.remove(place));
                }
                self.events.push_back(Event::Chat {
                    who: self.who(user_id),
                    timestamp_ms,
                    message: message.to_owned(),
                });
            }
            Packet::Ended { reason, text } => {
                self.farewell = Some(said(reason, text));
                self.events.push_back(Event::Ended {
                    reason: reason.number(),
                    text: text.to_owned(),
                });
            }
            // What is known of someone is looked up, and no news.
            Packet::UserFlags { user_id, flags } => match self.people.entry(user_id) {
                Some(person) => person.flags = flags,
                None => self.note_too_many(),
            },
            _ => self.handle_presence(packet),
        }
    }

    /// Records an answer, and returns the request that it belongs to.
    fn settle(&mut self, request_id: u64) -> Option<Pending> {
        let mut pending = self.pending.iter();
        let place = pending.position(|it| it.request_id == request_id)?;
        Some(self.pending.remove(place))
    }

    fn handle_login<'p>(
        &mut self,
        at: Instant,
        id: UserId,
        token: VoiceToken,
        participants: impl Iterator<Item = Participant<'p>>,
    ) {
        self.me = id;
        self.people.clear();
        for participant in participants {
            self.people.insert(&participant);
        }
        self.proof.set_token(token);
        self.events.push_back(Event::LoggedIn {
            who: self.who(id),
            users: self.people.len(),
        });
        self.prove(at);
    }

    fn handle_granted(&mut self, granted: Granted<'_>) {
        self.granted = granted.caps;
        self.voice_port = granted.voice_port;
        if let Some(Greeting { name, welcome }) = granted.server {
            self.events.push_back(Event::Welcome {
                server: name.to_owned(),
                text: welcome.to_owned(),
            });
        }
    }

    fn handle_voice_changed(&mut self, success: bool, in_voice: bool) {
        if !success {
            let wanted = in_voice;
            self.events.push_back(Event::VoiceChangeRefused { wanted });
            return;
        }
        let mut already = false;
        if let Some(me) = self.people.entry(self.me) {
            already = me.in_voice == in_voice;
            if !already {
                (me.in_voice, me.is_muted) = (in_voice, false);
            }
        }
        self.events.push_back(if in_voice {
            Event::YouJoinedVoice { already }
        } else {
            Event::YouLeftVoice { already }
        });
    }

    /// Events about people. An event that changes nothing is not shown: a newcomer receives again
    /// what the list has said.
    fn handle_presence(&mut self, packet: Packet<'_>) {
        let event = match packet {
            Packet::UserJoinedServer {
                participant: newcomer,
            } => {
                if !self.people.insert(&newcomer) {
                    return self.note_too_many();
                }
                Event::JoinedServer {
                    who: self.who(newcomer.user_id),
                }
            }
            Packet::UserLeftServer { user_id } => {
                let who = self.who(user_id);
                self.people.remove(user_id);
                Event::LeftServer { who }
            }
            Packet::UserJoinedVoice { user_id } => {
                let Some(person) = self.people.entry(user_id) else {
                    return self.note_too_many();
                };
                if std::mem::replace(&mut person.in_voice, true) {
                    return;
                }
                person.is_muted = false;
                Event::JoinedVoice {
                    who: self.who(user_id),
                }
            }
            Packet::UserLeftVoice { user_id } => {
                let Some(person) = self.people.entry(user_id) else {
                    return self.note_too_many();
                };
                (person.in_voice, person.is_muted) = (false, false);
                Event::LeftVoice {
                    who: self.who(user_id),
                }
            }
            Packet::UserMuteState { user_id, is_muted } => {
                let Some(person) = self.people.entry(user_id) else {
                    return self.note_too_many();
                };
                if std::mem::replace(&mut person.is_muted, is_muted) == is_muted {
                    return;
                }
                Event::Muted {
                    who: self.who(user_id),
                    is_muted,
                }
            }
            _ => Event::Skipped {
                reason: format!("{:#04x} is for servers to read", packet.id()),
            },
        };
        self.events.push_back(event);
    }

    /// Shown once: the actions of people who find no room are not worth a line each.
    fn note_too_many(&mut self) {
        if !std::mem::replace(&mut self.has_too_many, true) {
            let people = PEOPLE_MAX;
            self.events.push_back(Event::TooMany { people });
        }
    }
}

fn said(reason: Reason, text: &str) -> Said {
    let text = text.to_owned();
    Said { reason, text }
}
