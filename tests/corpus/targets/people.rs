//! Management as a handful of people: rules 1 to 8, and what has to come of every frame.

use super::bucket::{Bucket, Limit};
use super::view::{Answer, Person, Said};
use super::wire;
use std::collections::BTreeMap;
use std::time::Instant;
use voiceapp_server::Limits;
use voiceapp_server::cause::{Cause, Counters, Ended};
use voiceapp_server::event::{Event, Now, Source, UserId, VoiceToken};
use voiceapp_server::limits::CHAT_BURST;
use voiceapp_server::name;
use voiceapp_server::protocol::{Frame, Packet, PacketError};

/// Someone who is connected, and who they are once they have logged in.
pub struct Member {
    pub token: u64,
    pub deadline: Instant,
    pub id: Option<u64>,
    /// As the others are to see them in the end. Before the login it has no name yet.
    pub person: Person,
    chat: Bucket,
}

/// What has to come of a frame, beside what the others come to know.
#[derive(Default)]
pub struct Reaction {
    pub ends: Option<Ended>,
    pub answer: Option<Answer>,
    /// This is said to everyone who is logged in.
    pub said: Option<Said>,
    /// This the relay has to know.
    pub events: Vec<Event>,
}

pub struct People {
    pub members: BTreeMap<u32, Member>,
    pub counters: Counters,
    limits: Limits,
    chat_limit: Limit,
    last_id: u64,
    last_chat_ms: u64,
}

impl People {
    pub fn new(limits: Limits) -> Self {
        People {
            members: BTreeMap::new(),
            counters: Counters::new(),
            limits,
            chat_limit: Limit::per_second(limits.chat_rate, CHAT_BURST),
            last_id: 0,
            last_chat_ms: 0,
        }
    }

    pub fn connected(&mut self, now: Now, connection: u32, token: u64) {
        let member = Member {
            token,
            deadline: now.instant + self.limits.login_timeout,
            id: None,
            person: Person::default(),
            chat: Bucket::default(),
        };
        self.members.insert(connection, member);
    }

    pub fn disconnected(&mut self, connection: u32, cause: Ended) -> Option<Event> {
        self.counters.count(cause);
        let member = self.members.remove(&connection)?;
        member
            .id
            .map(|id| Event::UserDisconnected { id: UserId(id) })
    }

    /// Everyone who is logged in.
    pub fn users(&self) -> impl Iterator<Item = (u64, &Person)> {
        let users = self.members.values();
        users.filter_map(|member| Some((member.id?, &member.person)))
    }

    /// The deadlines of those who are not.
    pub fn deadlines(&self) -> impl Iterator<Item = Instant> + '_ {
        let pending = self.members.values().filter(|member| member.id.is_none());
        pending.map(|member| member.deadline)
    }

    pub fn handle(&mut self, now: Now, connection: u32, frame: Frame<'_>) -> Reaction {
        let mut reaction = Reaction::default();
        if wire::is_known(frame.id) && !matches!(frame.id, 1 | 2 | 4..=6 | 0x46) {
            self.counters.count(Cause::FrameUnexpectedId);
            return reaction;
        }
        match frame.parse() {
            Ok(packet) => self.react(now, connection, &packet, &mut reaction),
            Err(PacketError::UnknownId(_)) => self.counters.count(Cause::FrameUnknownId),
            Err(PacketError::Malformed) => reaction.ends = Some(Ended::Malformed),
        }
        reaction
    }

    fn react(&mut self, now: Now, from: u32, packet: &Packet<'_>, reaction: &mut Reaction) {
        match *packet {
            Packet::LoginRequest {
                request_id,
                username,
                ..
            } => {
                let success = self.log_in(from, username, reaction);
                reaction.answer = Some((wire::LOGIN_RESPONSE, request_id, success));
            }
            Packet::JoinVoiceChannelRequest { request_id } => {
                let success = self.set_in_voice(from, true, reaction);
                reaction.answer = Some((wire::JOIN_RESPONSE, request_id, success));
            }
            Packet::LeaveVoiceChannelRequest { request_id } => {
                let success = self.set_in_voice(from, false, reaction);
                reaction.answer = Some((wire::LEAVE_RESPONSE, request_id, success));
            }
            Packet::ChatMessageRequest {
                request_id,
                message,
            } => {
                let result = self.say(now, from, message);
                let success = result.is_ok();
                reaction.answer = Some((wire::CHAT_RESPONSE, request_id, success));
                match result {
                    Ok(said) => reaction.said = Some(said),
                    Err(cause) => self.counters.count(cause),
                }
            }
            Packet::PingRequest { request_id } => {
                reaction.answer = Some((wire::PING_RESPONSE, request_id, true));
            }
            Packet::UserMuteState { is_muted, .. } => {
                let member = self.member(from);
                member.person.is_muted = is_muted;
                let id = member.id.map(UserId);
                let event = id.map(|id| Event::MuteChanged { id, is_muted });
                reaction.events.extend(event);
            }
            ref other => panic!("{other:?} is not for clients to send"),
        }
    }

    fn member(&mut self, connection: u32) -> &mut Member {
        let member = self.members.get_mut(&connection);
        member.expect("frames come from members")
    }

    fn log_in(&mut self, from: u32, name: &str, reaction: &mut Reaction) -> bool {
        let (users, max_users) = (self.users().count(), self.limits.users);
        if self.member(from).id.is_some() {
            self.counters.count(Cause::LoginRepeated);
            return true;
        }
        // Which names there are is its own module's, with its own tests.
        let accepted = name::accept(name);
        let refused = if accepted.is_err() {
            Some(Cause::LoginBadName)
        } else {
            (users == max_users).then_some(Cause::LoginServerFull)
        };
        if let Some(cause) = refused {
            self.counters.count(cause);
            reaction.ends = Some(Ended::LoginRefused);
            return false;
        }
        self.last_id += 1;
        let id = UserId(self.last_id);
        let member = self.member(from);
        member.id = Some(id.0);
        member.person.name = accepted.expect("else it was refused");
        let token = VoiceToken(member.token);
        let is_muted = member.person.is_muted;
        reaction.events = vec![
            Event::UserConnected {
                id,
                token,
                source: Source::of([192, 0, 2, 1].into()),
            },
            Event::MuteChanged { id, is_muted },
        ];
        true
    }

    fn set_in_voice(&mut self, from: u32, in_voice: bool, reaction: &mut Reaction) -> bool {
        let member = self.member(from);
        let Some(id) = member.id.map(UserId) else {
            self.counters.count(Cause::RequestBeforeLogin);
            return false;
        };
        if member.person.in_voice != in_voice {
            member.person.in_voice = in_voice;
            member.person.is_muted = false;
            let is_muted = false;
            reaction.events.push(Event::MuteChanged { id, is_muted });
            reaction.events.push(match in_voice {
                true => Event::VoiceJoined { id },
                false => Event::VoiceLeft { id },
            });
        }
        true
    }

    fn say(&mut self, now: Now, from: u32, message: &str) -> Result<Said, Cause> {
        let (limit, bytes_max) = (self.chat_limit, self.limits.chat_bytes);
        let member = self.member(from);
        let id = member.id.ok_or(Cause::RequestBeforeLogin)?;
        if message.is_empty() {
            return Err(Cause::ChatEmpty);
        }
        if message.len() > bytes_max {
            return Err(Cause::ChatTooLong);
        }
        if !member.chat.try_spend(limit, now.instant, 1) {
            return Err(Cause::ChatTooFast);
        }
        self.last_chat_ms = now.unix_ms.max(self.last_chat_ms + 1);
        Ok((id, self.last_chat_ms, message.to_owned()))
    }
}
