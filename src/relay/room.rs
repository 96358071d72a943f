//! The listeners: a dense list of those with plain voice, and one of those with sealed voice. Only
//! membership changes touch them.

use super::seal::Seal;
use super::tables::{ListenerIndex, User, UserKey};
use crate::event::UdpPath;
use slab::Slab;

/// Listeners of one kind, without gaps.
pub(super) struct Listeners {
    pub(super) paths: Vec<UdpPath>,
    /// Whose place each is.
    pub(super) users: Vec<UserKey>,
}

impl Listeners {
    pub(super) fn with_capacity(max_users: usize) -> Self {
        Listeners {
            paths: Vec::with_capacity(max_users),
            users: Vec::with_capacity(max_users),
        }
    }

    /// Takes in another, and returns the place.
    pub(super) fn push(&mut self, user: UserKey, path: UdpPath) -> ListenerIndex {
        self.paths.push(path);
        self.users.push(user);
        ListenerIndex::of(self.paths.len() - 1)
    }

    /// Takes one away, and returns who has the place now, if anybody.
    pub(super) fn remove(&mut self, place: ListenerIndex) -> Option<UserKey> {
        self.paths.swap_remove(place.index());
        self.users.swap_remove(place.index());
        self.users.get(place.index()).copied()
    }
}

/// Where a speaker is among those who receive voice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Among those with plain voice.
    Plain(ListenerIndex),
    /// Among those whose voice is sealed.
    Sealed(ListenerIndex),
    /// In neither list: the voice is sealed, and its user has not proved an address yet.
    Nowhere,
}

impl Place {
    /// The place in the list of those with plain voice, or one behind all.
    pub(crate) fn in_plain(self) -> usize {
        match self {
            Place::Plain(place) => place.index(),
            Place::Sealed(_) | Place::Nowhere => usize::MAX,
        }
    }

    /// The same in the list of those whose voice is sealed.
    pub(crate) fn in_sealed(self) -> usize {
        match self {
            Place::Sealed(place) => place.index(),
            Place::Plain(_) | Place::Nowhere => usize::MAX,
        }
    }
}

/// Everyone in the voice channel with a proven address, except for the speaker.
/// Rule 10a.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipients<'a> {
    pub(super) plain: &'a [UdpPath],
    pub(super) sealed: &'a [UdpPath],
    pub(super) sender: Place,
}

impl<'a> Recipients<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.plain.len() + self.sealed.len() - usize::from(self.sender != Place::Nowhere)
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the one who speaks is in the lists.
    pub(crate) fn sender(&self) -> Place {
        self.sender
    }

    /// Each of them once, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &'a UdpPath> + use<'a> {
        all_but(self.plain, self.sender.in_plain())
            .chain(all_but(self.sealed, self.sender.in_sealed()))
    }
}

/// All of these but the one at this place, if there is one.
fn all_but(paths: &[UdpPath], place: usize) -> impl Iterator<Item = &UdpPath> {
    let (before, from_place) = paths.split_at(place.min(paths.len()));
    before.iter().chain(from_place.get(1..).unwrap_or_default())
}

/// Everyone who receives voice, and the seals of those who have one.
pub(crate) struct Room<'a> {
    /// Those with plain voice.
    pub(crate) plain: &'a [UdpPath],
    pub(crate) sealed: SealedListeners<'a>,
}

/// Those whose voice is sealed.
pub(crate) struct SealedListeners<'a> {
    pub(super) listeners: &'a Listeners,
    pub(super) users: &'a mut Slab<User>,
}

impl SealedListeners<'_> {
    pub(crate) fn paths(&self) -> &[UdpPath] {
        &self.listeners.paths
    }

    /// Seals a frame for one of them into a datagram, with zeros behind it as far as there is room. Without
    /// success, nothing must be sent.
    /// Rule 15b.
    pub(crate) fn seal(&mut self, place: usize, frame: &[u8], datagram: &mut [u8]) -> bool {
        let user = self.listeners.users[place];
        let seal = self.users[user.index()].seal.as_deref_mut();
        seal.is_some_and(|seal: &mut Seal| seal.seal(frame, datagram))
    }
}
