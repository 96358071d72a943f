//! The relay's tables: users, the addresses that their connections come from, the addresses that
//! they have proved, and the dense list of listeners. Only events and proofs change them.

use super::room::{Listeners, Place};
use super::seal::Seal;
use super::voice::VoiceSpent;
use crate::cause::VoiceDropped;
use crate::event::{Source, UdpPath, UserId, VoiceToken};
use crate::hash::HashKey;
use crate::limits::SOURCES_REMEMBERED_MAX;
use crate::protocol::{KeyId, VoiceSecrets};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// A user's place in the table. It may become another user's once this user has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UserKey(pub(crate) u32);

/// The place of an address that users' connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AddressKey(pub(crate) u32);

/// A place in the list of listeners. It is good until the next event or proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerIndex(u32);

impl UserKey {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl AddressKey {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl ListenerIndex {
    pub(super) fn of(place: usize) -> Self {
        ListenerIndex(narrow(place))
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The limits keep every table far below four billion.
fn narrow(place: usize) -> u32 {
    place as u32
}

/// How a user's voice comes in and goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Datagrams as they are, to and from a proven address.
    Plain(UdpPath),
    /// Sealed ones, to an address that has echoed a challenge. They may come from elsewhere.
    Sealed(UdpPath),
}

impl Route {
    /// The address that is the user's alone.
    pub(super) fn remote(self) -> SocketAddr {
        match self {
            Route::Plain(path) | Route::Sealed(path) => path.remote,
        }
    }
}

/// What the relay knows of a user.
pub(super) struct User {
    pub(super) id: UserId,
    pub(super) token: VoiceToken,
    /// Where the user's connection comes from.
    pub(super) address: AddressKey,
    /// The proven route, if any.
    pub(super) route: Option<Route>,
    pub(super) in_voice: bool,
    pub(super) is_muted: bool,
    pub(super) voice: VoiceSpent,
    /// What seals the user's voice, if it is sealed.
    pub(super) seal: Option<Box<Seal>>,
    /// The user's place in the list of plain or of sealed listeners: there is one exactly if the user is
    /// in voice and has a route.
    pub(super) listener: Option<ListenerIndex>,
}

impl User {
    /// The place among the listeners, if the user may speak.
    /// Rules 6b and 10a.
    pub(super) fn place(&self) -> Result<Place, VoiceDropped> {
        let place = match (self.listener, &self.seal) {
            (Some(place), None) => Place::Plain(place),
            (Some(place), Some(_)) => Place::Sealed(place),
            (None, Some(_)) if self.in_voice => Place::Nowhere,
            (None, _) => return Err(VoiceDropped::NotInChannel),
        };
        match self.is_muted {
            true => Err(VoiceDropped::Muted),
            false => Ok(place),
        }
    }

    /// Whether this is the address that the user has proved.
    pub(super) fn has_proved(&self, remote: SocketAddr) -> bool {
        self.route.is_some_and(|route| route.remote() == remote)
    }
}

/// What the relay knows of an address that users' connections come from.
pub(super) struct Address {
    pub(super) source: Source,
    users: usize,
    /// How often the last of its users has left.
    departures: u32,
    /// Voice of all of them together.
    pub(super) voice: VoiceSpent,
}

/// See the [module](self).
pub(super) struct Tables {
    pub(super) users: Slab<User>,
    pub(super) by_id: HashMap<UserId, UserKey, HashKey>,
    pub(super) by_token: HashMap<VoiceToken, UserKey, HashKey>,
    pub(super) by_address: HashMap<SocketAddr, UserKey, HashKey>,
    pub(super) by_key: HashMap<KeyId, UserKey, HashKey>,
    pub(super) addresses: Slab<Address>,
    by_source: HashMap<Source, AddressKey, HashKey>,
    /// Addresses whose last user has left, with how often that was, the longest ago first. They are
    /// remembered for a while, so that no user renews a budget by leaving and coming back.
    departed: VecDeque<(AddressKey, u32)>,
    pub(super) plain: Listeners,
    pub(super) sealed: Listeners,
}

impl Tables {
    /// Allocated here, with room to spare: a hash table that is at most half full reorders itself in
    /// place, and so never allocates while addresses come and go.
    pub(super) fn new(max_users: usize, key: HashKey) -> Self {
        let table_size = 2 * max_users;
        let max_addresses = max_users + SOURCES_REMEMBERED_MAX;
        Tables {
            users: Slab::with_capacity(max_users),
            by_id: HashMap::with_capacity_and_hasher(table_size, key),
            by_token: HashMap::with_capacity_and_hasher(table_size, key),
            by_address: HashMap::with_capacity_and_hasher(table_size, key),
            by_key: HashMap::with_capacity_and_hasher(table_size, key),
            addresses: Slab::with_capacity(max_addresses),
            by_source: HashMap::with_capacity_and_hasher(2 * max_addresses, key),
            departed: VecDeque::with_capacity(SOURCES_REMEMBERED_MAX + 1),
            plain: Listeners::with_capacity(max_users),
            sealed: Listeners::with_capacity(max_users),
        }
    }

    pub(super) fn user(&self, key: UserKey) -> &User {
        &self.users[key.index()]
    }

    fn user_mut(&mut self, key: UserKey) -> &mut User {
        &mut self.users[key.index()]
    }

    /// Where a user's connection comes from.
    pub(super) fn source_of(&self, user: UserKey) -> Source {
        self.addresses[self.user(user).address.index()].source
    }

    pub(super) fn connect(&mut self, id: UserId, token: VoiceToken, source: Source) {
        debug_assert_ne!(token.0, 0, "a live token is not 0");
        debug_assert!(self.users.len() < self.users.capacity());
        debug_assert!(!self.by_id.contains_key(&id), "ids are never reused");
        let addresses = &mut self.addresses;
        let address = *self.by_source.entry(source).or_insert_with(|| {
            AddressKey(narrow(addresses.insert(Address {
                source,
                users: 0,
                departures: 0,
                voice: VoiceSpent::default(),
            })))
        });
        self.addresses[address.index()].users += 1;
        let user = self.users.insert(User {
            id,
            token,
            address,
            route: None,
            in_voice: false,
            is_muted: false,
            voice: VoiceSpent::default(),
            seal: None,
            listener: None,
        });
        let user = UserKey(narrow(user));
        self.by_id.insert(id, user);
        self.by_token.insert(token, user);
    }

    /// Seals a user's voice from now on. What was proved without a seal counts no more.
    pub(super) fn seal(&mut self, id: UserId, secrets: VoiceSecrets) {
        let Some(&user) = self.by_id.get(&id) else {
            return;
        };
        if let Some(seal) = Seal::of(secrets) {
            self.unbind(user);
            self.unseal(user);
            self.user_mut(user).seal = Some(seal);
            self.by_key.insert(secrets.key_id, user);
        }
    }

    fn unseal(&mut self, user: UserKey) {
        if let Some(seal) = self.user_mut(user).seal.take() {
            // Should two live users ever have been given one id, it is the later one's.
            if self.by_key.get(&seal.key_id()) == Some(&user) {
                self.by_key.remove(&seal.key_id());
            }
        }
    }

    /// Rule 7b.
    pub(super) fn disconnect(&mut self, id: UserId) {
        let Some(user) = self.by_id.remove(&id) else {
            return;
        };
        self.unbind(user);
        self.unseal(user);
        let User { token, address, .. } = self.users.remove(user.index());
        let place = &mut self.addresses[address.index()];
        place.users -= 1;
        if place.users == 0 {
            place.departures += 1;
            self.departed.push_back((address, place.departures));
            self.forget_departed();
        }
        // Should two live users ever have drawn one token, it belongs to the later one.
        if self.by_token.get(&token) == Some(&user) {
            self.by_token.remove(&token);
        }
    }

    /// Forgets the address that has been without users for the longest, if there are too many.
    fn forget_departed(&mut self) {
        if self.departed.len() <= SOURCES_REMEMBERED_MAX {
            return;
        }
        if let Some((address, departures)) = self.departed.pop_front() {
            let place = &self.addresses[address.index()];
            // Otherwise a user has come from there since, and the entry means nothing.
            if place.users == 0 && place.departures == departures {
                let source = self.addresses.remove(address.index()).source;
                self.by_source.remove(&source);
            }
        }
    }

    pub(super) fn set_in_voice(&mut self, id: UserId, in_voice: bool) {
        if let Some(&user) = self.by_id.get(&id) {
            self.user_mut(user).in_voice = in_voice;
            self.update_listener(user);
        }
    }

    pub(super) fn set_muted(&mut self, id: UserId, is_muted: bool) {
        if let Some(&user) = self.by_id.get(&id) {
            self.user_mut(user).is_muted = is_muted;
        }
    }

    /// Whether somebody else has proved this address under seal.
    pub(super) fn is_sealed_for_another(&self, remote: SocketAddr, user: UserKey) -> bool {
        let owner = self.by_address.get(&remote);
        owner.is_some_and(|&owner| owner != user && self.user(owner).seal.is_some())
    }

    /// The newest proof wins: the former owner of this address loses it, and the user loses the
    /// address that it replaces.
    /// Rules 9a, 9c and 10e.
    pub(super) fn bind(&mut self, user: UserKey, route: Route) {
        if self.user(user).route == Some(route) {
            return;
        }
        if let Some(&owner) = self.by_address.get(&route.remote()) {
            self.unbind(owner);
        }
        self.unbind(user);
        self.by_address.insert(route.remote(), user);
        self.user_mut(user).route = Some(route);
        self.update_listener(user);
    }

    fn unbind(&mut self, user: UserKey) {
        if let Some(route) = self.user_mut(user).route.take() {
            self.by_address.remove(&route.remote());
            self.update_listener(user);
        }
    }

    /// Takes the addresses of these machines away from their users.
    pub(super) fn forget_addresses(&mut self, is_meant: impl Fn(IpAddr) -> bool) {
        for place in 0..self.users.capacity() {
            let route = self.users.get(place).and_then(|user| user.route);
            if route.is_some_and(|route| is_meant(route.remote().ip())) {
                self.unbind(UserKey(narrow(place)));
            }
        }
    }

    /// Updates the list of listeners for this user.
    /// Rule 10d.
    fn update_listener(&mut self, user: UserKey) {
        let User {
            route,
            in_voice,
            listener,
            ..
        } = *self.user(user);
        match (listener, route.filter(|_| in_voice)) {
            (None, Some(route)) => {
                let place = match route {
                    Route::Plain(path) => self.plain.push(user, path),
                    Route::Sealed(path) => self.sealed.push(user, path),
                };
                self.user_mut(user).listener = Some(place);
            }
            (Some(place), None) => {
                self.user_mut(user).listener = None;
                let list = match self.user(user).seal {
                    None => &mut self.plain,
                    Some(_) => &mut self.sealed,
                };
                if let Some(moved) = list.remove(place) {
                    self.user_mut(moved).listener = Some(place);
                }
            }
            // A listener with another address was none for a moment: see `bind`.
            (None, None) | (Some(_), Some(_)) => {}
        }
    }
}
