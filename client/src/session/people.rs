//! The people on the server, as the server has named them. However many it names, each is found at
//! once, and no more are remembered than any honest server has.

use crate::event::{Listed, Who};
use std::collections::{BTreeMap, HashMap};
use voiceapp_protocol::{Participant, UserFlags, UserId};

/// So many people are remembered. Events about others are not shown.
pub const PEOPLE_MAX: usize = 65_536;

#[derive(Default)]
pub struct People {
    by_id: BTreeMap<UserId, Person>,
    /// How many people have each name.
    names: HashMap<String, usize>,
}

#[derive(Default)]
pub struct Person {
    name: String,
    pub in_voice: bool,
    pub is_muted: bool,
    pub flags: UserFlags,
}

impl Person {
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl People {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn clear(&mut self) {
        self.by_id.clear();
        self.names.clear();
    }

    pub fn get(&self, id: UserId) -> Option<&Person> {
        self.by_id.get(&id)
    }

    /// A user who is here, even if the server has not named it. None if there are too many already.
    pub fn entry(&mut self, id: UserId) -> Option<&mut Person> {
        if self.by_id.len() >= PEOPLE_MAX && !self.by_id.contains_key(&id) {
            return None;
        }
        Some(self.by_id.entry(id).or_default())
    }

    /// Adds a user, or updates one. Returns whether there is room.
    pub fn insert(&mut self, participant: &Participant<'_>) -> bool {
        let Some(person) = self.entry(participant.user_id) else {
            return false;
        };
        let is_new_name = person.name != participant.username;
        person.in_voice = participant.in_voice;
        person.is_muted = participant.is_muted;
        person.flags = UserFlags::NONE;
        if is_new_name {
            let name = participant.username.to_owned();
            let before = std::mem::replace(&mut person.name, name.clone());
            self.forget_name(&before);
            *self.names.entry(name).or_default() += 1;
        }
        true
    }

    pub fn remove(&mut self, id: UserId) {
        if let Some(person) = self.by_id.remove(&id) {
            self.forget_name(&person.name);
        }
    }

    pub fn who(&self, id: UserId) -> Who {
        match self.by_id.get(&id) {
            Some(person) => self.as_seen(id, person),
            None => Who::stranger(id),
        }
    }

    /// Everyone, by rising id.
    pub fn list(&self, me: UserId) -> Vec<Listed> {
        let listed = |(id, person): (&UserId, &Person)| Listed {
            who: self.as_seen(*id, person),
            is_you: *id == me,
            in_voice: person.in_voice,
            is_muted: person.is_muted,
            is_encrypted: person.flags.contains(UserFlags::IS_ENCRYPTED),
            name_is_proved: person.flags.contains(UserFlags::NAME_IS_PROVED),
        };
        self.by_id.iter().map(listed).collect()
    }

    fn as_seen(&self, id: UserId, person: &Person) -> Who {
        Who {
            user_id: id.0,
            name: person.name.clone(),
            has_namesake: self.names.get(&person.name).is_some_and(|it| *it > 1),
        }
    }

    fn forget_name(&mut self, name: &str) {
        if let Some(count) = self.names.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.names.remove(name);
            }
        }
    }
}
