//! What one client is told, and the picture of the others that it makes of it. Whatever is not a
//! whole frame of the protocol, not for a client, not due or not for a stranger is refused here.

use super::wire;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use voiceapp_server::event::UserId;
use voiceapp_server::protocol::{Frame, Packet, Participant};

/// A response's packet id, its request id, and whether it says yes.
pub type Answer = (u8, u64, bool);
/// Who said it, the time stamp, and what.
pub type Said = (u64, u64, String);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub in_voice: bool,
    pub is_muted: bool,
}

impl From<Participant<'_>> for Person {
    fn from(participant: Participant<'_>) -> Self {
        Person {
            name: participant.username.to_owned(),
            in_voice: participant.in_voice,
            is_muted: participant.is_muted,
        }
    }
}

#[derive(Default)]
pub struct View {
    /// The id and token that the login was answered with.
    pub login: Option<(u64, u64)>,
    /// Oneself, as the login's list has it.
    pub own: Person,
    pub others: BTreeMap<u64, Person>,
    /// Whom a client can hear: it learns that from UserJoinedVoice alone.
    pub audible: BTreeSet<u64>,
    /// What is to come at once, and has not come yet.
    pub answers: VecDeque<Answer>,
    pub messages: VecDeque<Said>,
    last_chat_ms: Option<u64>,
}

impl View {
    pub fn hear(&mut self, mut bytes: &[u8]) {
        assert!(!bytes.is_empty(), "a delivery of nothing");
        while !bytes.is_empty() {
            let (id, payload) = wire::split(bytes).expect("whole frames are delivered");
            bytes = &bytes[3 + payload.len()..];
            let canonical = wire::canonical(id, payload);
            assert_eq!(canonical.as_deref(), Some(payload), "frame {id:#04x}");
            let packet = Frame { id, payload }.parse().expect("its fields fit");
            match id {
                0x21 | 0x23..=0x26 => self.hear_answer(&packet),
                0x41..=0x46 => self.hear_event(&packet),
                _ => panic!("a server does not send {packet:?} on TCP"),
            }
        }
    }

    fn hear_answer(&mut self, packet: &Packet<'_>) {
        let (request_id, success) = match *packet {
            Packet::LoginResponse { request_id, id, .. } => (request_id, id.0 != 0),
            Packet::PingResponse { request_id } => (request_id, true),
            Packet::JoinVoiceChannelResponse {
                request_id,
                success,
                ..
            }
            | Packet::LeaveVoiceChannelResponse {
                request_id,
                success,
                ..
            }
            | Packet::ChatMessageResponse {
                request_id,
                success,
                ..
            } => (request_id, success),
            ref other => unreachable!("{other:?} is no response on TCP"),
        };
        let answer = (packet.id(), request_id, success);
        assert_eq!(Some(answer), self.answers.pop_front());
        let Packet::LoginResponse {
            id,
            voice_token,
            participants,
            ..
        } = *packet
        else {
            return;
        };
        if !success {
            assert!(voice_token.0 == 0 && participants.is_empty());
            return;
        }
        let login = Some((id.0, voice_token.0));
        assert!(self.login.is_none() || self.login == login, "someone else");
        self.login = login;
        self.others.clear();
        self.audible.clear();
        assert!(participants.iter().map(|one| one.user_id.0).is_sorted());
        for participant in participants.iter() {
            let id = participant.user_id.0;
            let known = self.others.insert(id, participant.into());
            assert_eq!(known, None, "{id} is listed twice");
        }
        let own = self.others.remove(&id.0);
        self.own = own.expect("the newcomer is in the list");
    }

    fn hear_event(&mut self, packet: &Packet<'_>) {
        let (own, _) = self.login.expect("nothing is told to a stranger");
        let other = |user_id: UserId| {
            assert_ne!(user_id.0, own, "an event about oneself");
            user_id.0
        };
        match *packet {
            Packet::UserJoinedServer { participant } => {
                let id = other(participant.user_id);
                let known = self.others.insert(id, participant.into());
                assert_eq!(known, None, "{id} came twice");
            }
            Packet::UserLeftServer { user_id } => {
                let id = other(user_id);
                assert!(self.others.remove(&id).is_some(), "{id} left twice");
                assert!(!self.audible.contains(&id), "{id} is still heard");
            }
            // Both unmute without a further word. To be told twice is harmless.
            Packet::UserJoinedVoice { user_id } => {
                self.audible.insert(other(user_id));
                let person = self.person(user_id);
                (person.in_voice, person.is_muted) = (true, false);
            }
            Packet::UserLeftVoice { user_id } => {
                self.audible.remove(&other(user_id));
                let person = self.person(user_id);
                (person.in_voice, person.is_muted) = (false, false);
            }
            Packet::UserMuteState { user_id, is_muted } => {
                other(user_id);
                self.person(user_id).is_muted = is_muted;
            }
            Packet::UserSentMessage {
                user_id,
                timestamp_ms,
                message,
            } => {
                let said = (user_id.0, timestamp_ms, message.to_owned());
                assert_eq!(Some(said), self.messages.pop_front());
                assert!(self.last_chat_ms < Some(timestamp_ms), "one time for two");
                self.last_chat_ms = Some(timestamp_ms);
            }
            ref other => unreachable!("{other:?} is no event"),
        }
    }

    fn person(&mut self, user_id: UserId) -> &mut Person {
        let person = self.others.get_mut(&user_id.0);
        person.expect("events are about people who are known")
    }

    /// Whether everything that was to come at once has come.
    pub fn check_answered(&self) {
        assert!(self.answers.is_empty(), "unanswered: {:?}", self.answers);
        assert!(self.messages.is_empty(), "not told: {:?}", self.messages);
    }
}
