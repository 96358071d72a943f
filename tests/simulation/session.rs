//! What a client makes of what it receives on one connection: which requests are answered, who is
//! there, who is in voice and who is muted, kept the way the existing clients keep it and from the
//! packets alone. It knows nothing of the model, so that a mistake which the server and the model
//! share still shows here: as an event about a stranger, a voice without a face, a request without
//! an answer.

use crate::junk;
use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use voiceapp_server::protocol::{FrameBuffer, Packet, Participant, Participants};

/// A person, as a client shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub in_voice: bool,
    pub is_muted: bool,
}

/// What a client has sent and the server has not been seen to have handled, in order.
#[derive(Debug)]
pub enum Sent {
    /// Answered by the packet with this id. What is said, or the name that is asked for, stands
    /// beside it.
    Request(u8, u64, String),
    Mute(bool),
}

/// What ends with the connection.
#[derive(Default)]
pub struct Session {
    /// Whether it keeps a list of people. In a crowd only some do, because a crowd of lists is
    /// slow.
    pub keeps_list: bool,
    inbox: FrameBuffer,
    pub id: Option<u64>,
    pub token: u64,
    /// The login was refused, and that is the last word.
    was_refused: bool,
    pub is_silent: bool,
    /// It has written what is not a frame, and so cannot tell any more which of its requests the
    /// server has seen.
    pub is_garbled: bool,
    /// Its own state, as far as the server is known to have handled what brings it about.
    pub in_voice: bool,
    pub is_muted: bool,
    sent: VecDeque<Sent>,
    /// Its own messages that were accepted and have not come back.
    unechoed: VecDeque<String>,
    /// The list: replaced by a login, then kept by events.
    pub people: BTreeMap<u64, Person>,
    /// Whom the sound knows: kept by UserJoinedVoice and UserLeftVoice and nothing else.
    pub audible: BTreeSet<u64>,
    last_chat_ms: u64,
}

impl Session {
    pub fn new(keeps_list: bool) -> Self {
        Session {
            keeps_list,
            ..Session::default()
        }
    }

    pub fn is_logged_in(&self) -> bool {
        self.id.is_some()
    }

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

    /// Bytes came from the server, all that one input brought about, and are read in pieces.
    pub fn receive(&mut self, bytes: &[u8], random: &mut Random) {
        let is_event = |id: u8| (0x40..0x60).contains(&id);
        if !self.keeps_list && is_event(bytes[0]) {
            return;
        }
        let cut = match random.below(3) {
            0 => random.below(bytes.len() + 1),
            _ => bytes.len(),
        };
        for piece in [&bytes[..cut], &bytes[cut..]] {
            // Taken out, because what is read is borrowed from it.
            let mut inbox = std::mem::take(&mut self.inbox);
            inbox.extend(piece);
            while let Some(frame) = inbox.next_frame() {
                let packet = frame.parse().expect("a client is sent what it can read");
                if !is_event(frame.id) {
                    self.handle_response(&packet);
                } else if self.keeps_list {
                    self.handle_event(&packet);
                }
            }
            self.inbox = inbox;
        }
        assert!(self.inbox.is_empty(), "half a frame was sent");
    }

    /// This speaker is heard, of whom news may be owed.
    pub fn hear(&self, speaker: u64, is_owed: bool) {
        let own = self.id.expect("who is not logged in hears nothing");
        assert_ne!(speaker, own, "someone hears themselves");
        assert!(self.in_voice || self.is_garbled, "heard outside of voice");
        if self.keeps_list {
            let heard = &self.people[&speaker];
            if is_owed {
                return;
            }
            assert!(heard.in_voice && !heard.is_muted, "{speaker}: {heard:?}");
            let is_known = self.audible.contains(&speaker);
            assert!(is_known, "{speaker} is unknown to the sound");
        }
    }

    /// Everything that this client wrote has been handled: nothing may be left open.
    pub fn assert_all_answered(&self) {
        assert!(
            self.is_garbled || self.sent.is_empty(),
            "not answered: {:?}",
            self.sent
        );
        assert!(
            !self.keeps_list || self.unechoed.is_empty(),
            "not sent to their author: {:?}",
            self.unechoed
        );
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
        assert!(!self.was_refused, "something comes after a refusal");
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
        let text = if self.is_garbled {
            None
        } else {
            match self.sent.pop_front() {
                Some(Sent::Request(response, id, text))
                    if response == packet.id() && id == request_id =>
                {
                    Some(text)
                }
                other => panic!("{packet:?} answers {other:?}"),
            }
        };
        match *packet {
            Packet::LoginResponse {
                id,
                voice_token,
                participants,
                ..
            } => {
                self.handle_login(id.0, voice_token.0, participants, text);
            }
            Packet::PingResponse { .. } => {}
            Packet::ChatMessageResponse { .. } => match text {
                Some(text) => {
                    // A message that is fit may be over the rate, which the author does not know.
                    let may_succeed = (1..=4_096).contains(&text.len()) && self.is_logged_in();
                    assert!(may_succeed || !success, "{} bytes", text.len());
                    if success {
                        self.unechoed.push_back(text);
                    }
                }
                // Noise that happens to be a message is not what the author could wait for.
                None => self.unechoed.clear(),
            },
            Packet::JoinVoiceChannelResponse { .. } | Packet::LeaveVoiceChannelResponse { .. } => {
                assert_eq!(success, self.is_logged_in());
                let into = matches!(packet, Packet::JoinVoiceChannelResponse { .. });
                if success && self.in_voice != into {
                    self.set_own(into, false);
                }
            }
            _ => unreachable!("refused above"),
        }
        self.apply_mutes();
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
        if is_first {
            assert!(
                self.people.is_empty() && self.audible.is_empty(),
                "an event before the login"
            );
            self.id = Some(id);
            self.token = token;
        }
        assert_eq!((self.id, self.token), (Some(id), token), "someone else");
        if !self.keeps_list {
            return;
        }
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
        if let Some(name) = name {
            let own = Person {
                name: junk::name_of(&name).expect("it was accepted"),
                in_voice: false,
                is_muted: self.is_muted,
            };
            assert_eq!(self.people[&id], own);
        }
    }

    fn handle_event(&mut self, packet: &Packet<'_>) {
        let own = self.id.expect("an event before the login");
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
            }
            Packet::UserJoinedVoice { user_id } => {
                let id = not_own(user_id.0);
                assert!(self.audible.insert(id), "{id} joined voice twice");
                let person = self.people.get_mut(&id).expect("a person known");
                person.in_voice = true;
                person.is_muted = false;
            }
            Packet::UserLeftVoice { user_id } => {
                let id = not_own(user_id.0);
                assert!(self.audible.remove(&id), "{id} was not in voice");
                let person = self.people.get_mut(&id).expect("a person known");
                person.in_voice = false;
                person.is_muted = false;
            }
            Packet::UserMuteState { user_id, is_muted } => {
                let id = not_own(user_id.0);
                self.people.get_mut(&id).expect("a person known").is_muted = is_muted;
            }
            Packet::UserSentMessage {
                user_id,
                timestamp_ms,
                message,
            } => {
                assert!(timestamp_ms > self.last_chat_ms, "two messages of one time");
                self.last_chat_ms = timestamp_ms;
                assert!(self.people.contains_key(&user_id.0), "a stranger speaks");
                if user_id.0 == own && !self.is_garbled {
                    let expected = self.unechoed.pop_front();
                    assert_eq!(expected.as_deref(), Some(message));
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
