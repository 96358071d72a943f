//! What a client makes of the bytes that it receives: which requests are answered, who is there, who is in voice and
//! who is muted, kept the way existing clients keep it and from the packets alone. It knows nothing of the model, so
//! that a mistake which the server and the model share still shows here: as an event about a stranger, a request
//! without an answer, something after the last word.

use super::junk;
use crate::wire;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use voiceapp_server::protocol::{FrameBuffer, Granted, Packet, Participant, Participants, Reason};

/// A person, as a client shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub in_voice: bool,
    pub is_muted: bool,
}

/// What a client has written and not yet seen to be handled, in order.
#[derive(Debug)]
pub enum Sent {
    /// Answered by the packet with this id. What is said, or the name that is asked for, stands beside it.
    Request(u8, u64, String),
    Mute(bool),
}

/// See the [module](self).
#[derive(Default)]
pub struct Picture {
    inbox: FrameBuffer,
    pub id: Option<u64>,
    pub token: u64,
    /// The capabilities that it asks for, if it asks; and those that it was granted.
    pub asked: Option<u32>,
    pub granted: Option<u32>,
    /// The name of the key for its voice, where that is sealed.
    pub key_id: Option<u32>,
    /// Who is on an encrypted connection, as far as it was told.
    pub encrypted: BTreeSet<u64>,
    /// The login was refused, and that is the last word, but for why the connection ends.
    pub was_refused: bool,
    /// It was told why the connection ends, and that is the last word.
    pub was_told_the_end: bool,
    /// It has written what is not a frame, and so cannot tell any more which of its requests the server has seen.
    pub is_garbled: bool,
    /// Its own state, as far as the server is known to have handled what brings it about.
    pub in_voice: bool,
    pub is_muted: bool,
    pub sent: VecDeque<Sent>,
    /// Its own messages that were accepted and have not come back.
    pub unechoed: VecDeque<String>,
    /// The list: replaced by a login, then kept by events.
    pub people: BTreeMap<u64, Person>,
    /// Whom the sound knows: kept by UserJoinedVoice and UserLeftVoice and nothing else.
    pub audible: BTreeSet<u64>,
    last_chat_ms: u64,
    /// What it was told, in words, if somebody wants to know.
    pub keeps_words: bool,
    pub words: Vec<String>,
    pub bytes_received: usize,
}

impl Picture {
    /// This is on its way to the server.
    pub fn wrote(&mut self, sent: Sent) {
        if !self.is_garbled {
            self.sent.push_back(sent);
            self.apply_mutes();
        }
    }

    /// What is on its way is not a frame.
    pub fn garble(&mut self) {
        self.is_garbled = true;
        self.sent.clear();
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        self.bytes_received += bytes.len();
        // Taken out, because what is read is borrowed from it.
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.extend(bytes);
        while let Some(frame) = inbox.next_frame() {
            let packet = frame.parse().expect("a client is sent what it can read");
            if self.keeps_words {
                self.words.push(describe(&packet));
            }
            assert!(!self.was_told_the_end, "something comes after the end");
            let is_the_end = frame.id == wire::ENDED;
            assert!(
                !self.was_refused || is_the_end,
                "something comes after a refusal"
            );
            match frame.id {
                0x40..0x60 => self.handle_event(&packet),
                _ => self.handle_response(&packet),
            }
        }
        self.inbox = inbox;
    }

    pub fn has_part_of_a_frame(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// A mute has no answer: it counts as handled when everything written before it is.
    fn apply_mutes(&mut self) {
        while let Some(&Sent::Mute(is_muted)) = self.sent.front() {
            self.sent.pop_front();
            self.set_own(self.in_voice, is_muted);
        }
    }

    fn set_own(&mut self, in_voice: bool, is_muted: bool) {
        self.in_voice = in_voice;
        self.is_muted = is_muted;
        if let Some(own) = self.id.and_then(|id| self.people.get_mut(&id)) {
            own.in_voice = in_voice;
            own.is_muted = is_muted;
        }
    }

    fn handle_response(&mut self, packet: &Packet<'_>) {
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
            ref other => panic!("{other:?} is not for TCP"),
        };
        let text = match self.sent.pop_front() {
            _ if self.is_garbled => None,
            Some(Sent::Request(response, id, text))
                if response == packet.id() && id == request_id =>
            {
                Some(text)
            }
            other => panic!("{packet:?} answers {other:?}"),
        };
        if let Packet::JoinVoiceChannelResponse { reason, .. }
        | Packet::LeaveVoiceChannelResponse { reason, .. }
        | Packet::ChatMessageResponse { reason, .. } = *packet
        {
            assert_eq!(reason.is_some(), self.is_extended(), "a reason");
            let is_unstated = reason == Some(Reason::Unstated);
            assert!(reason.is_none() || is_unstated == success);
        }
        match *packet {
            Packet::LoginResponse {
                id,
                voice_token,
                participants,
                granted,
                ..
            } => {
                self.handle_granted(id.0, granted);
                self.handle_login(id.0, voice_token.0, participants, text);
            }
            Packet::ChatMessageResponse { .. } => match text {
                Some(text) => {
                    // A message that is fit may be over a rate, which the author does not know.
                    let may_succeed = (1..=4_096).contains(&text.len()) && self.id.is_some();
                    assert!(may_succeed || !success, "{} bytes", text.len());
                    self.unechoed.extend(success.then_some(text));
                }
                // Noise that happens to be a message is not what the author could wait for.
                None => self.unechoed.clear(),
            },
            Packet::JoinVoiceChannelResponse { .. } | Packet::LeaveVoiceChannelResponse { .. } => {
                assert_eq!(success, self.id.is_some());
                let into = matches!(packet, Packet::JoinVoiceChannelResponse { .. });
                if success && self.in_voice != into {
                    self.set_own(into, false);
                }
            }
            _ => {}
        }
        self.apply_mutes();
    }

    pub fn is_extended(&self) -> bool {
        self.granted.is_some_and(|caps| caps & wire::EXTENDED != 0)
    }

    /// Nothing is granted that was not asked for, and to who has not asked nothing is said of it.
    fn handle_granted(&mut self, id: u64, granted: Option<Granted<'_>>) {
        let Some(granted) = granted else {
            assert!(self.asked.is_none() || self.is_garbled, "no word of it");
            return;
        };
        let asked = self.asked.expect("nobody has asked");
        let caps = granted.caps.0;
        assert_eq!(caps & !asked, 0, "granted unasked");
        assert_eq!(granted.refusal.is_some(), id == 0);
        let key_id = granted.key_id.map(|key_id| key_id.0);
        if id == 0 {
            assert_eq!((caps, key_id), (0, None), "granted to nobody");
            return;
        }
        assert_eq!(caps & wire::CAP_SEALED != 0, key_id.is_some());
        if self.id.is_some() {
            assert_eq!((self.granted, self.key_id), (Some(caps), key_id));
        }
        (self.granted, self.key_id) = (Some(caps), key_id);
    }

    fn handle_login(&mut self, id: u64, token: u64, list: Participants<'_>, name: Option<String>) {
        if id == 0 {
            assert!(
                token == 0 && list.is_empty(),
                "a refused login says nothing"
            );
            self.was_refused = true;
            return;
        }
        assert_ne!(token, 0, "0 is no token");
        let is_first = self.id.is_none();
        assert!(
            !is_first || self.people.is_empty(),
            "an event before the login"
        );
        if !is_first {
            assert_eq!((self.id, self.token), (Some(id), token), "someone else");
        }
        (self.id, self.token) = (Some(id), token);
        let own = self.people.remove(&id);
        self.people.clear();
        self.audible.clear();
        let mut last_id = 0;
        for participant in list.iter() {
            assert!(participant.user_id.0 > last_id, "the list rises");
            last_id = participant.user_id.0;
            self.people.insert(last_id, person(&participant));
        }
        if !is_first {
            assert!(self.is_garbled || self.people.get(&id) == own.as_ref());
            return;
        }
        assert_eq!(last_id, id, "the newcomer is in the list, and the newest");
        let plain = name.filter(|name| junk::is_plain(name));
        if let Some(name) = plain.as_deref().and_then(junk::name_of) {
            let own = Person {
                name,
                in_voice: false,
                is_muted: self.is_muted,
            };
            assert_eq!(self.people[&id], own);
        }
    }

    fn person(&mut self, id: u64) -> &mut Person {
        self.people
            .get_mut(&id)
            .expect("an event about who is here")
    }

    fn handle_event(&mut self, packet: &Packet<'_>) {
        let is_newer = matches!(packet, Packet::UserFlags { .. } | Packet::Ended { .. });
        assert!(!is_newer || self.is_extended(), "a newer packet");
        let own = self.id.expect("no event comes before the login");
        let not_own = |id: u64| {
            assert_ne!(id, own, "an event about oneself");
            id
        };
        match *packet {
            Packet::UserJoinedServer { participant } => {
                let id = not_own(participant.user_id.0);
                let known = self.people.insert(id, person(&participant));
                assert_eq!(known, None, "{id} joined the server twice");
            }
            Packet::UserLeftServer { user_id } => {
                let id = not_own(user_id.0);
                assert!(self.people.remove(&id).is_some(), "{id} was never here");
                assert!(!self.audible.contains(&id), "{id} is still in voice");
                self.encrypted.remove(&id);
            }
            Packet::UserJoinedVoice { user_id } => {
                let id = not_own(user_id.0);
                assert!(self.audible.insert(id), "{id} joined voice twice");
                let person = self.person(id);
                (person.in_voice, person.is_muted) = (true, false);
            }
            Packet::UserLeftVoice { user_id } => {
                let id = not_own(user_id.0);
                assert!(self.audible.remove(&id), "{id} was not in voice");
                let person = self.person(id);
                (person.in_voice, person.is_muted) = (false, false);
            }
            Packet::UserFlags { user_id, flags } => {
                assert_eq!(flags.0, wire::IS_ENCRYPTED);
                self.person(user_id.0);
                self.encrypted.insert(user_id.0);
            }
            Packet::Ended { .. } => self.was_told_the_end = true,
            Packet::UserMuteState { user_id, is_muted } => {
                self.person(not_own(user_id.0)).is_muted = is_muted;
            }
            Packet::UserSentMessage {
                user_id,
                timestamp_ms,
                message,
            } => {
                assert!(timestamp_ms > self.last_chat_ms, "two messages of one time");
                self.last_chat_ms = timestamp_ms;
                self.person(user_id.0);
                if user_id.0 == own && !self.is_garbled {
                    assert_eq!(self.unechoed.pop_front().as_deref(), Some(message));
                }
            }
            ref other => panic!("{other:?} is no event"),
        }
    }
}

fn person(participant: &Participant<'_>) -> Person {
    Person {
        name: participant.username.to_string(),
        in_voice: participant.in_voice,
        is_muted: participant.is_muted,
    }
}

/// What a client learns from a packet on TCP, in words.
fn describe(packet: &Packet<'_>) -> String {
    let shown = |it: Participant<'_>| {
        let voice = if it.in_voice { " (voice)" } else { "" };
        let muted = if it.is_muted { " (muted)" } else { "" };
        format!("{} {}{voice}{muted}", it.user_id, it.username)
    };
    match *packet {
        Packet::LoginResponse { id, .. } if id.0 == 0 => "login refused".into(),
        Packet::LoginResponse {
            id, participants, ..
        } => {
            let people: Vec<_> = participants.iter().map(shown).collect();
            format!("welcome {id}: {}", people.join(", "))
        }
        Packet::JoinVoiceChannelResponse { success, .. } => format!("join {success}"),
        Packet::LeaveVoiceChannelResponse { success, .. } => format!("leave {success}"),
        Packet::ChatMessageResponse { success, .. } => format!("chat {success}"),
        Packet::PingResponse { .. } => "pong".into(),
        Packet::UserJoinedServer { participant } => {
            format!("joined server: {}", shown(participant))
        }
        Packet::UserJoinedVoice { user_id } => format!("joined voice: {user_id}"),
        Packet::UserLeftVoice { user_id } => format!("left voice: {user_id}"),
        Packet::UserLeftServer { user_id } => format!("left server: {user_id}"),
        Packet::UserSentMessage {
            user_id,
            timestamp_ms,
            message,
        } => format!("{user_id} said at {timestamp_ms}: {message}"),
        Packet::UserFlags { user_id, .. } => format!("encrypted: {user_id}"),
        Packet::Ended { reason, text } => format!("ended ({}): {text}", reason.number()),
        Packet::UserMuteState { user_id, is_muted } => {
            let state = if is_muted { "muted" } else { "unmuted" };
            format!("{state}: {user_id}")
        }
        ref other => panic!("a server does not send {other:?} on TCP"),
    }
}
