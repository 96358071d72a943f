//! What a client makes of the bytes that it receives: which requests are answered, who is there, who
//! is in voice and who is muted, and what was said. It knows nothing of the server but the protocol.

use super::random::Digest;
use crate::protocol::{Packet, Participant};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A person, as a client shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub in_voice: bool,
    pub is_muted: bool,
}

/// What a client has written and not yet seen to be handled.
#[derive(Debug)]
pub enum Sent {
    LogIn { name: String, must_succeed: bool },
    Join,
    Leave,
    Chat { number: usize, may_fail: bool },
    Ping,
    Mute(bool),
}

/// One message, as somebody received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    pub at: u64,
    pub author: u64,
    pub number: usize,
    pub len: usize,
}

/// See the [module](self).
#[derive(Default)]
pub struct Picture {
    bytes: Vec<u8>,
    pub id: Option<u64>,
    pub token: u64,
    /// The login was refused.
    pub was_refused: bool,
    pub own: Option<Person>,
    is_muted_before_login: bool,
    pub sent: VecDeque<(u64, Sent)>,
    /// Own messages that were accepted and have not come back.
    pub unechoed: VecDeque<usize>,
    /// The lengths of all own messages, and which of them were refused.
    pub messages: Vec<usize>,
    pub refused: BTreeSet<usize>,
    pub people: BTreeMap<u64, Person>,
    audible: BTreeSet<u64>,
    /// What was said since the last rest, and whether this client was logged in then.
    pub said: Vec<Said>,
    pub was_here: bool,
    last_said: u64,
    pub events: u64,
}

/// What every message consists of, but for its author's number for it.
pub const TEXT: &str = "abcdefghijklmnopqrstuvwxyz012345";

/// The message with this number and length, which holds at least the number.
pub fn message(number: usize, len: usize) -> String {
    let mut text = format!("{number}:");
    while text.len() < len {
        text.push_str(&TEXT[..TEXT.len().min(len - text.len())]);
    }
    text
}

impl Picture {
    /// This is on its way to the server.
    pub fn wrote(&mut self, request_id: u64, sent: Sent) {
        self.sent.push_back((request_id, sent));
        self.apply_mutes();
    }

    /// Bytes came from the server. Says whether they brought the login.
    pub fn receive(&mut self, bytes: &[u8], digest: &mut Digest) -> bool {
        digest.bytes(bytes);
        let was_user = self.id.is_some();
        let mut all = std::mem::take(&mut self.bytes);
        all.extend_from_slice(bytes);
        let mut rest = &all[..];
        while let [id, high, low, after @ ..] = rest {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(payload) = after.get(..len) else {
                break;
            };
            let packet = Packet::parse(*id, payload).expect("a client is sent what it can read");
            self.handle(&packet);
            rest = &after[len..];
        }
        self.bytes = rest.to_vec();
        self.id.is_some() != was_user
    }

    /// Whom the sound knows.
    pub fn audible(&self) -> impl Iterator<Item = &u64> {
        self.audible.iter()
    }

    pub fn has_part_of_a_frame(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// A mute has no answer: it counts as handled when everything written before it is.
    fn apply_mutes(&mut self) {
        while let Some(&(_, Sent::Mute(is_muted))) = self.sent.front() {
            self.sent.pop_front();
            match &mut self.own {
                Some(own) => own.is_muted = is_muted,
                None => self.is_muted_before_login = is_muted,
            }
        }
    }

    fn answered(&mut self, packet: &Packet<'_>, request_id: u64) -> Sent {
        match self.sent.pop_front() {
            Some((id, sent)) if id == request_id => sent,
            other => panic!("{packet:?} answers {other:?}"),
        }
    }

    fn handle(&mut self, packet: &Packet<'_>) {
        assert!(!self.was_refused, "something comes after a refusal");
        match *packet {
            Packet::LoginResponse {
                request_id,
                id,
                voice_token,
                participants,
                ..
            } => {
                let sent = self.answered(packet, request_id);
                let Sent::LogIn { name, must_succeed } = sent else {
                    panic!("{packet:?} answers {sent:?}");
                };
                let list = participants.iter().map(|it| (it.user_id.0, person(&it)));
                if id.0 == 0 {
                    assert!(participants.is_empty() && voice_token.0 == 0);
                    assert!(!must_succeed && self.id.is_none(), "a login was refused");
                    self.was_refused = true;
                } else if self.id.is_some() {
                    assert_eq!((self.id, self.token), (Some(id.0), voice_token.0));
                    self.audible.clear();
                    self.take_list(list);
                } else {
                    self.log_in(id.0, voice_token.0, name, list);
                }
            }
            Packet::PingResponse { request_id } => {
                let sent = self.answered(packet, request_id);
                assert!(matches!(sent, Sent::Ping), "{packet:?} answers {sent:?}");
            }
            Packet::JoinVoiceChannelResponse {
                request_id,
                success,
                ..
            } => {
                let sent = self.answered(packet, request_id);
                assert!(matches!(sent, Sent::Join), "{packet:?} answers {sent:?}");
                self.moved(success, true);
            }
            Packet::LeaveVoiceChannelResponse {
                request_id,
                success,
                ..
            } => {
                let sent = self.answered(packet, request_id);
                assert!(matches!(sent, Sent::Leave), "{packet:?} answers {sent:?}");
                self.moved(success, false);
            }
            Packet::ChatMessageResponse {
                request_id,
                success,
                ..
            } => {
                let sent = self.answered(packet, request_id);
                let Sent::Chat { number, may_fail } = sent else {
                    panic!("{packet:?} answers {sent:?}");
                };
                assert!(success || may_fail || self.id.is_none(), "chat was refused");
                assert!(!success || self.id.is_some(), "a stranger spoke");
                match success {
                    true => self.unechoed.push_back(number),
                    false => assert!(self.refused.insert(number)),
                }
            }
            ref event => self.handle_event(event),
        }
        self.apply_mutes();
    }

    fn log_in(
        &mut self,
        id: u64,
        token: u64,
        name: String,
        list: impl Iterator<Item = (u64, Person)>,
    ) {
        assert_ne!(token, 0);
        self.id = Some(id);
        self.token = token;
        self.own = Some(Person {
            name,
            in_voice: false,
            is_muted: self.is_muted_before_login,
        });
        self.take_list(list);
        let newest = self.people.last_key_value();
        assert!(newest.is_none_or(|(&newest, _)| newest < id));
    }

    /// A list of everyone, instead of all that was known.
    fn take_list(&mut self, list: impl Iterator<Item = (u64, Person)>) {
        self.people.clear();
        let mut last = 0;
        for (id, person) in list {
            assert!(id > last, "the list rises");
            last = id;
            self.people.insert(id, person);
        }
        let own = self.id.and_then(|id| self.people.remove(&id));
        assert_eq!(own, self.own, "oneself is in the list");
    }

    fn moved(&mut self, success: bool, in_voice: bool) {
        assert_eq!(success, self.own.is_some());
        if let Some(own) = self.own.as_mut().filter(|own| own.in_voice != in_voice) {
            own.in_voice = in_voice;
            own.is_muted = false;
        }
    }

    fn person(&mut self, id: u64) -> &mut Person {
        self.people
            .get_mut(&id)
            .expect("an event about who is here")
    }

    fn handle_event(&mut self, packet: &Packet<'_>) {
        let own = self.id.expect("no event comes before the login");
        self.events += 1;
        match *packet {
            Packet::UserJoinedServer { participant } => {
                let id = participant.user_id.0;
                assert_ne!(id, own, "an event about oneself");
                let known = self.people.insert(id, person(&participant));
                assert_eq!(known, None, "{id} came twice");
            }
            Packet::UserLeftServer { user_id } => {
                assert!(self.people.remove(&user_id.0).is_some(), "nobody left");
                assert!(!self.audible.contains(&user_id.0), "still in voice");
            }
            Packet::UserJoinedVoice { user_id } => {
                assert!(self.audible.insert(user_id.0), "joined voice twice");
                let person = self.person(user_id.0);
                (person.in_voice, person.is_muted) = (true, false);
            }
            Packet::UserLeftVoice { user_id } => {
                assert!(self.audible.remove(&user_id.0), "was not in voice");
                let person = self.person(user_id.0);
                (person.in_voice, person.is_muted) = (false, false);
            }
            Packet::UserMuteState { user_id, is_muted } => {
                self.person(user_id.0).is_muted = is_muted;
            }
            Packet::UserSentMessage {
                user_id,
                timestamp_ms,
                message: text,
            } => {
                assert!(timestamp_ms > self.last_said, "times rise");
                self.last_said = timestamp_ms;
                let number = text.split(':').next().and_then(|it| it.parse().ok());
                let number = number.expect("a message begins with its number");
                assert_eq!(text, message(number, text.len()), "it came as it was sent");
                if user_id.0 == own {
                    assert_eq!(self.unechoed.pop_front(), Some(number));
                } else {
                    self.person(user_id.0);
                }
                self.said.push(Said {
                    at: timestamp_ms,
                    author: user_id.0,
                    number,
                    len: text.len(),
                });
            }
            ref other => panic!("{other:?} is nothing that a client is sent"),
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
