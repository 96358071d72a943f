//! The requests of users, one at a time.

use super::{ManagementServer, Outbox, To};
use crate::event::{Now, UserId};
use crate::protocol::Packet;

impl ManagementServer {
    /// Handles what a user sends.
    pub(super) fn handle_user(
        &mut self,
        now: Now,
        id: UserId,
        packet: Packet<'_>,
        outbox: &mut Outbox,
    ) {
        let place = self.place(id);
        let user = &mut self.users[place];
        let to = To::One(user.connection);
        match packet {
            Packet::LoginRequest { request_id, .. } => {
                self.repeat_login(now, place, request_id, outbox);
            }
            Packet::JoinVoiceChannelRequest { .. } => {
                outbox.send(to, &response_to(&packet, true).expect("it is a request"));
                user.set_in_voice(true, outbox);
                self.tell_others(now, place, outbox);
            }
            Packet::LeaveVoiceChannelRequest { .. } => {
                outbox.send(to, &response_to(&packet, true).expect("it is a request"));
                user.set_in_voice(false, outbox);
                self.tell_others(now, place, outbox);
            }
            Packet::ChatMessageRequest { message, .. } => {
                let result = self.check_chat(now, place, message);
                let success = result.is_ok();
                outbox.send(to, &response_to(&packet, success).expect("it is a request"));
                match result {
                    Ok(()) => self.say(now, id, message, outbox),
                    Err(refused) => self.counters.count(refused),
                }
            }
            Packet::PingRequest { request_id } => {
                outbox.send(to, &Packet::PingResponse { request_id });
            }
            Packet::UserMuteState { is_muted, .. } => {
                user.set_muted(is_muted, outbox);
                self.tell_others(now, place, outbox);
            }
            _ => {}
        }
    }
}

/// The answer to a request that is answered with yes or no.
pub(super) fn response_to(request: &Packet<'_>, success: bool) -> Option<Packet<'static>> {
    match *request {
        Packet::JoinVoiceChannelRequest { request_id } => Some(Packet::JoinVoiceChannelResponse {
            request_id,
            success,
        }),
        Packet::LeaveVoiceChannelRequest { request_id } => {
            Some(Packet::LeaveVoiceChannelResponse {
                request_id,
                success,
            })
        }
        Packet::ChatMessageRequest { request_id, .. } => Some(Packet::ChatMessageResponse {
            request_id,
            success,
        }),
        _ => None,
    }
}
