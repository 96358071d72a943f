//! The oracle's part of logging in: who may, and what a newcomer is told, rules 1 and 2.

use super::asking::flags_of;
use super::bucket::Bucket;
use super::sealed::Seal;
use super::{Model, User};
use crate::client::junk;
use crate::wire::{self, Payload};
use std::time::Duration;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::ConnectionId;
use voiceapp_server::limits::{BROADCAST_OVERHEAD_BYTES, CHAT_BURST, STATE_BURST, VOICE_BURST};
use voiceapp_server::name;

impl Model {
    pub fn login(
        &mut self,
        at: Duration,
        from: ConnectionId,
        request_id: u64,
        asked_name: &str,
        asked: Option<u32>,
    ) {
        // Which other names there are is a module's of the server, with its own tests.
        let accepted = match junk::is_plain(asked_name) {
            true => junk::name_of(asked_name),
            false => name::accept(asked_name).ok(),
        };
        let name = accepted.clone().unwrap_or_default();
        let own = self.connection(from).user.clone();
        let is_encrypted = self.connection(from).facts.is_encrypted;
        // What everyone is made to read of a newcomer, with the flags.
        let cost = 15 + name.len();
        let cost = match is_encrypted {
            true => cost + 12 + BROADCAST_OVERHEAD_BYTES,
            false => cost,
        };
        let refusal = if own.is_some() {
            let may = self.may_log_in(at, from);
            (!may).then_some(Cause::LoginTooFast)
        } else if accepted.is_none() {
            Some(Cause::LoginBadName)
        } else if self.count_users(|_| true) >= self.limits.users {
            Some(Cause::LoginServerFull)
        } else if !self.may_log_in(at, from) {
            Some(Cause::LoginTooFast)
        } else if !self.may_broadcast(at, from, cost, 1) {
            Some(Cause::BroadcastTooMuch)
        } else {
            None
        };
        if let Some(cause) = refusal {
            self.is_refused = true;
            self.counters.count(cause);
            let mut nobody = Payload::new().u64(request_id).u64(0).u64(0).u16(0);
            let has_asked = match own {
                Some(_) => self.connection(from).granted.is_some(),
                None => asked.is_some(),
            };
            if has_asked {
                nobody = nobody.bytes(&self.refusal_of(cause, asked_name).0);
            }
            self.sent.send(from, &nobody.frame(wire::LOGIN_RESPONSE));
            return;
        }
        let mut others: Vec<User> = self.users().into_iter().cloned().collect();
        if let Some(own) = own {
            self.counters.count(Cause::LoginRepeated);
            let token = self.connection(from).token;
            others.retain(|other| other.id != own.id);
            return self.tell_list(from, request_id, token, &own, &others);
        }
        self.broadcast(at, from, cost, 1);
        self.last_user_id += 1;
        let is_muted = self.connection(from).muted_before_login;
        let mut newcomer = self.new_user(self.last_user_id, &name, is_muted);
        newcomer.is_encrypted = is_encrypted;
        let connection = self.connection(from);
        connection.granted = asked.map(|caps| connection.possible(caps));
        newcomer.seal = connection.sealed_with().map(Seal::new);
        connection.user = Some(newcomer.clone());
        let token = connection.token;
        self.users_at_most = self.users_at_most.max(others.len() + 1);
        self.tell_list(from, request_id, token, &newcomer, &others);
        let announcement = newcomer.put(Payload::new()).frame(wire::USER_JOINED_SERVER);
        self.tell_others(from, &announcement);
        if is_encrypted {
            self.tell_extended_others(from, &flags_of(newcomer.id));
        }
    }

    fn new_user(&self, id: u64, name: &str, is_muted: bool) -> User {
        let limits = &self.limits;
        // The longest frame gets through at any rate.
        let longest = 3 + 16 + limits.voice_bytes as u32;
        let (datagrams, bytes) = (limits.voice_rate, limits.voice_bandwidth);
        User {
            id,
            name: name.to_string(),
            in_voice: false,
            is_muted,
            told_in_voice: false,
            told_muted: is_muted,
            must_tell_mute: false,
            owed_at: None,
            events: Bucket::per_second(limits.state_rate, STATE_BURST),
            peer: None,
            chat: Bucket::per_second(limits.chat_rate, CHAT_BURST),
            voice_datagrams: Bucket::per_second(datagrams, VOICE_BURST * datagrams),
            voice_bytes: Bucket::per_second(bytes, longest.max(VOICE_BURST * bytes)),
            is_encrypted: false,
            seal: None,
        }
    }

    /// The list, and whatever of it does not fit; then who is in voice; then who is muted; and then, for who knows
    /// what that is, who is on an encrypted connection.
    fn tell_list(
        &mut self,
        to: ConnectionId,
        request_id: u64,
        token: u64,
        own: &User,
        others: &[User],
    ) {
        let granted = self.granted(to);
        let mut len = 8 + 8 + 8 + 2 + own.wire_len() + granted.0.len();
        let mut count = 0;
        while count < others.len() && len + others[count].wire_len() <= 65_535 {
            len += others[count].wire_len();
            count += 1;
        }
        let mut response = Payload::new()
            .u64(request_id)
            .u64(own.id)
            .u64(token)
            .u16(count as u16 + 1);
        // What one knows of oneself is the truth, told to others or not.
        let mut own = own.clone();
        (own.told_in_voice, own.told_muted) = (own.in_voice, own.is_muted);
        let mut listed: Vec<&User> = others[..count].iter().chain([&own]).collect();
        listed.sort_by_key(|user| user.id);
        for user in listed {
            response = user.put(response);
        }
        let response = response.bytes(&granted.0);
        self.sent.send(to, &response.frame(wire::LOGIN_RESPONSE));
        for other in &others[count..] {
            let announcement = other.put(Payload::new()).frame(wire::USER_JOINED_SERVER);
            self.sent.send(to, &announcement);
        }
        for other in others.iter().filter(|other| other.told_in_voice) {
            let announcement = Payload::new().u64(other.id).frame(wire::USER_JOINED_VOICE);
            self.sent.send(to, &announcement);
        }
        for other in others.iter().filter(|other| other.told_muted) {
            let state = Payload::new().u64(other.id).bool(true);
            self.sent.send(to, &state.frame(wire::USER_MUTE_STATE));
        }
        if self.connection(to).is_extended() {
            let all = others.iter().chain([&own]);
            let encrypted = all.filter(|user| user.is_encrypted);
            let mut encrypted: Vec<u64> = encrypted.map(|user| user.id).collect();
            encrypted.sort();
            for id in encrypted {
                self.sent.send(to, &flags_of(id));
            }
        }
    }
}
