//! What the server answers on a user's way in, over TCP and UDP, and what the user does next.

use super::{JOIN, LEAVE, LOGIN, PROOF, Stage, User};
use crate::linux::options::{Options, Receivers, Side};
use mio::Registry;
use mio::unix::SourceFd;
use std::os::fd::AsRawFd;
use std::time::Instant;
use voiceapp_protocol::sealing::{ClientOpener, Sealer};
use voiceapp_protocol::{Caps, Frame, Granted, Packet, id};

/// What a refusal of many mostly means.
pub const LOGIN_REFUSED: &str = "the login was refused: the server needs --max-users for everyone, and --max-login-rate 0, \
                                 --max-broadcast-bandwidth 0 and --max-broadcast-bandwidth-per-address 0 for many \
                                 logins at once (--help shows all that a crowd needs)";

impl User {
    pub(super) fn handle_frames(&mut self) -> Result<(), String> {
        let mut inbound = std::mem::take(&mut self.inbound);
        while let Some(frame) = inbound.next_frame() {
            // Events come by the million when a crowd logs in, and this crowd needs none of them.
            if frame.id < id::USER_JOINED_SERVER {
                self.handle_answer(frame)?;
            }
        }
        self.inbound = inbound;
        Ok(())
    }

    fn handle_answer(&mut self, frame: Frame<'_>) -> Result<(), String> {
        match (self.stage, frame.parse()) {
            (
                Stage::LoggingIn,
                Ok(Packet::LoginResponse {
                    request_id: LOGIN,
                    id,
                    voice_token,
                    participants,
                    granted,
                }),
            ) => {
                if id.0 == 0 {
                    let refusal = granted.and_then(|granted| granted.refusal);
                    let why = refusal.map_or(String::new(), |it| format!(" ({})", it.text));
                    return Err(self.trouble(&format!("{LOGIN_REFUSED}{why}")));
                }
                // A list that was too long for one answer continues in events, so that only its
                // beginning can be checked.
                if participants.is_empty() {
                    return Err(self.trouble("the login was answered with a list of nobody"));
                }
                (self.id, self.token) = (id.0, voice_token);
                if self.kind == Side::Sealed {
                    self.take_seal(granted)?;
                }
                self.enter(Stage::Proving);
                self.ask_proof(Instant::now());
                Ok(())
            }
            (
                Stage::Joining,
                Ok(Packet::JoinVoiceChannelResponse {
                    request_id: JOIN,
                    success: true,
                    ..
                }),
            )
            | (
                Stage::Leaving,
                Ok(Packet::LeaveVoiceChannelResponse {
                    request_id: LEAVE,
                    success: true,
                    ..
                }),
            ) => {
                self.enter(Stage::Ready);
                Ok(())
            }
            (_, Ok(_)) => Err(self.trouble(&format!("unexpected answer 0x{:02x}", frame.id))),
            (_, Err(error)) => Err(self.trouble(&error.to_string())),
        }
    }

    /// Everything over UDP is sealed from here on.
    fn take_seal(&mut self, granted: Option<Granted<'_>>) -> Result<(), String> {
        let granted = granted.filter(|it| it.caps.contains(Caps::SEALED));
        let key_id = granted.and_then(|it| it.key_id);
        let secrets = key_id.and_then(|key_id| self.wire.voice_secrets(key_id));
        let secrets = secrets.ok_or_else(|| self.trouble("the server does not seal voice"))?;
        let (suite, key_id) = (secrets.suite, secrets.key_id);
        self.voice
            .seal_with(Sealer::new(suite, key_id, secrets.to_server));
        let opener = ClientOpener::new(suite, key_id, secrets.to_client);
        self.opener = Some(Box::new(opener));
        Ok(())
    }

    /// A datagram came while the address was being proved.
    pub fn handle_proof(&mut self, registry: &Registry, options: &Options) -> Result<(), String> {
        let mut buffer = [0; 256];
        while let Ok(len) = self.voice.recv(&mut buffer) {
            let datagram = &mut buffer[..len];
            let frame = match &mut self.opener {
                Some(opener) => opener.open(datagram).map_or(&[][..], |it| &*it.inside),
                None => datagram,
            };
            let answer = Frame::first_of(frame).ok();
            match answer.and_then(|frame| frame.parse().ok()) {
                Some(Packet::PathChallenge { value }) => {
                    self.send_datagram(&Packet::PathResponse { value });
                }
                Some(Packet::VoiceAuthResponse {
                    request_id: PROOF,
                    success: true,
                }) if self.stage == Stage::Proving => {
                    if options.receivers == Receivers::Ignore {
                        let _ = registry.deregister(&mut SourceFd(&self.voice.as_raw_fd()));
                    }
                    match self.joins {
                        true => self.set_in_voice(true)?,
                        false => self.enter(Stage::Ready),
                    }
                }
                Some(Packet::VoiceAuthResponse { success: false, .. }) => {
                    return Err(self.trouble("the voice token was refused"));
                }
                _ => {} // a second answer to a question asked twice
            }
        }
        Ok(())
    }

    pub(super) fn ask_proof(&mut self, now: Instant) {
        self.asked = now;
        self.send_datagram(&Packet::VoiceAuthRequest {
            request_id: PROOF,
            voice_token: self.token,
        });
    }

    fn send_datagram(&self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        if packet.encode(&mut bytes).is_ok() {
            // One that isn't sent is like one that is lost.
            let _ = self.voice.send(&bytes);
        }
    }
}
