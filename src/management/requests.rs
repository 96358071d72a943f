//! The requests of users, one at a time.

use super::{ManagementServer, Outbox, To};
use crate::cause::ChatRefused;
use crate::event::{Now, UserId};
use crate::protocol::{Packet, Reason};

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
        let is_extended = self.users[place].is_extended;
        let answer = |result: Result<(), Reason>| {
            response_to(&packet, result, is_extended).expect("it is a request")
        };
        let user = &mut self.users[place];
        let to = To::One(user.connection);
        match packet {
            Packet::LoginRequest { request_id, .. } => {
                self.repeat_login(now, place, request_id, outbox);
            }
            Packet::JoinVoiceChannelRequest { .. } => {
                outbox.send(to, &answer(Ok(())));
                user.set_in_voice(true, outbox);
                self.tell_others(now, place, outbox);
            }
            Packet::LeaveVoiceChannelRequest { .. } => {
                outbox.send(to, &answer(Ok(())));
                user.set_in_voice(false, outbox);
                self.tell_others(now, place, outbox);
            }
            Packet::ChatMessageRequest { message, .. } => {
                let result = self.check_chat(now, place, message);
                outbox.send(to, &answer(result.map_err(ChatRefused::reason)));
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

/// The answer to a request that is answered with yes or no, with the reason for clients that know reasons
/// (rule 13g).
pub(super) fn response_to(
    request: &Packet<'_>,
    result: Result<(), Reason>,
    is_extended: bool,
) -> Option<Packet<'static>> {
    let success = result.is_ok();
    let reason = is_extended.then_some(result.err().unwrap_or(Reason::Unstated));
    Some(match *request {
        Packet::JoinVoiceChannelRequest { request_id } => Packet::JoinVoiceChannelResponse {
            request_id,
            success,
            reason,
        },
        Packet::LeaveVoiceChannelRequest { request_id } => Packet::LeaveVoiceChannelResponse {
            request_id,
            success,
            reason,
        },
        Packet::ChatMessageRequest { request_id, .. } => Packet::ChatMessageResponse {
            request_id,
            success,
            reason,
        },
        _ => return None,
    })
}
