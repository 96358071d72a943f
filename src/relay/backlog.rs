//! Voice that waits to be relayed, in order of its turns.
//!
//! Addresses take turns, and the users of an address take turns among themselves, each with its
//! oldest datagram. Mostly nothing is left waiting, and datagrams leave in the order in which they
//! came. When more comes than can go out, [`Backlog::shed`] cuts what waits down to equal shares,
//! again by address and then by user, and takes the oldest first: late voice is of no use.
//!
//! It owns no datagrams, only the numbers of their slots, and allocates only at start.

use super::{AddressKey, Speaker, UserKey};
use crate::limits::SOURCES_REMEMBERED_MAX;
use std::collections::VecDeque;

/// No slot.
const NO_SLOT: u32 = u32::MAX;
/// No user, and no address.
const NO_USER: UserKey = UserKey(u32::MAX);
const NO_ADDRESS: AddressKey = AddressKey(u32::MAX);

/// A datagram that waits.
#[derive(Clone, Copy)]
struct Waiting {
    speaker: Speaker,
    /// The slot of the same user's next.
    next: u32,
}

/// What waits of one user.
#[derive(Clone, Copy)]
struct UserLine {
    first_slot: u32,
    last_slot: u32,
    /// Datagrams in it.
    len: usize,
    /// When its last turn was.
    turn: u64,
    /// The address in whose line it is, and the next user there.
    address: AddressKey,
    next: UserKey,
}

/// What waits of one address: the lines of its users.
#[derive(Clone, Copy)]
struct AddressLine {
    first: UserKey,
    last: UserKey,
    len: usize,
    turn: u64,
}

impl UserLine {
    const EMPTY: UserLine = UserLine {
        first_slot: NO_SLOT,
        last_slot: NO_SLOT,
        len: 0,
        turn: 0,
        address: NO_ADDRESS,
        next: NO_USER,
    };
}

impl AddressLine {
    const EMPTY: AddressLine = AddressLine {
        first: NO_USER,
        last: NO_USER,
        len: 0,
        turn: 0,
    };
}

/// How much one line may keep.
#[derive(Clone, Copy)]
struct Share<K> {
    of: K,
    len: usize,
    turn: u64,
    keeps: usize,
}

/// See the [module](self).
pub(crate) struct Backlog {
    /// By slot.
    waiting: Box<[Waiting]>,
    users: Box<[UserLine]>,
    addresses: Box<[AddressLine]>,
    /// Addresses with something in line, whose turn is next first.
    order: VecDeque<AddressKey>,
    len: usize,
    turns: u64,
    /// Kept for their memory.
    address_shares: Vec<Share<AddressKey>>,
    user_shares: Vec<Share<UserKey>>,
}

impl Backlog {
    /// An empty one, for at most so many users and slots.
    pub(crate) fn new(users: usize, slots: usize) -> Self {
        let nothing = Waiting {
            speaker: Speaker::NOBODY,
            next: NO_SLOT,
        };
        let lines = users.min(slots);
        Backlog {
            waiting: vec![nothing; slots].into(),
            users: vec![UserLine::EMPTY; users].into(),
            addresses: vec![AddressLine::EMPTY; users + SOURCES_REMEMBERED_MAX].into(),
            order: VecDeque::with_capacity(lines),
            len: 0,
            turns: 0,
            address_shares: Vec::with_capacity(lines),
            user_shares: Vec::with_capacity(lines),
        }
    }

    /// How many datagrams wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a datagram into its speaker's line. Its slot must not be in one.
    pub(crate) fn push(&mut self, slot: usize, speaker: Speaker) {
        self.waiting[slot] = Waiting {
            speaker,
            next: NO_SLOT,
        };
        let user = &mut self.users[speaker.user.index()];
        let is_new = user.len == 0;
        if is_new {
            user.first_slot = slot as u32;
            // It stays in that address's line until its own is empty, even if its place is another
            // user's by then.
            user.address = speaker.address;
        } else {
            self.waiting[user.last_slot as usize].next = slot as u32;
        }
        user.last_slot = slot as u32;
        user.len += 1;
        let address = user.address;
        if is_new {
            self.line_up(address, speaker.user);
        }
        let line = &mut self.addresses[address.index()];
        line.len += 1;
        if line.len == 1 {
            self.order.push_back(address);
        }
        self.len += 1;
    }

    /// Takes the datagram whose turn it is.
    /// Rule 10f.
    pub(crate) fn pop(&mut self) -> Option<(usize, Speaker)> {
        let address = self.order.pop_front()?;
        let user = self.addresses[address.index()].first;
        self.addresses[address.index()].first = self.users[user.index()].next;
        let taken = self.take_oldest(user);
        self.turns += 1;
        self.users[user.index()].turn = self.turns;
        self.addresses[address.index()].turn = self.turns;
        if self.users[user.index()].len > 0 {
            self.line_up(address, user);
        }
        if self.addresses[address.index()].len > 0 {
            self.order.push_back(address);
        }
        Some(taken)
    }

    /// Drops the oldest datagrams of the users who have most until no more than `keep` wait, and
    /// hands over their slots. Where shares cannot be equal, those whose last turn was the longest
    /// ago have more. Their turns are also the next.
    /// Rule 11c.
    pub(crate) fn shed(&mut self, keep: usize, mut drop: impl FnMut(usize)) {
        if self.len <= keep {
            return;
        }
        let mut shares = std::mem::take(&mut self.address_shares);
        shares.extend(self.order.drain(..).map(|of| {
            let AddressLine { len, turn, .. } = self.addresses[of.index()];
            Share::new(of, len, turn)
        }));
        allot(&mut shares, keep);
        for share in shares.drain(..) {
            if share.keeps < share.len {
                self.shed_address(share, &mut drop);
            }
            if share.keeps > 0 {
                self.order.push_back(share.of);
            }
        }
        self.address_shares = shares;
    }

    fn shed_address(&mut self, address: Share<AddressKey>, drop: &mut impl FnMut(usize)) {
        let mut shares = std::mem::take(&mut self.user_shares);
        let first = &mut self.addresses[address.of.index()].first;
        let mut user = std::mem::replace(first, NO_USER);
        while user != NO_USER {
            let line = self.users[user.index()];
            shares.push(Share::new(user, line.len, line.turn));
            user = line.next;
        }
        allot(&mut shares, address.keeps);
        for share in shares.drain(..) {
            for _ in share.keeps..share.len {
                drop(self.take_oldest(share.of).0);
            }
            if share.keeps > 0 {
                self.line_up(address.of, share.of);
            }
        }
        self.user_shares = shares;
    }

    /// Puts a user at the end of an address's line.
    fn line_up(&mut self, address: AddressKey, user: UserKey) {
        let line = &mut self.addresses[address.index()];
        self.users[user.index()].next = NO_USER;
        let last = std::mem::replace(&mut line.last, user);
        match line.first {
            NO_USER => line.first = user,
            _ => self.users[last.index()].next = user,
        }
    }

    /// Takes the oldest datagram of a user whose line is not empty.
    fn take_oldest(&mut self, user: UserKey) -> (usize, Speaker) {
        let line = &mut self.users[user.index()];
        let slot = line.first_slot as usize;
        let Waiting { speaker, next } = self.waiting[slot];
        line.first_slot = next;
        line.len -= 1;
        self.addresses[line.address.index()].len -= 1;
        self.len -= 1;
        (slot, speaker)
    }
}

impl<K> Share<K> {
    fn new(of: K, len: usize, turn: u64) -> Self {
        let keeps = len;
        Share {
            of,
            len,
            turn,
            keeps,
        }
    }
}

/// Divides `keep` places among all: as much as they have to those who have little, and the same to all
/// others. Puts them into the order of their last turns.
fn allot<K: Ord + Copy>(shares: &mut [Share<K>], keep: usize) {
    shares.sort_unstable_by_key(|share| share.len);
    let (mut left, mut at) = (keep, 0);
    while at < shares.len() && shares[at].len <= left / (shares.len() - at) {
        left -= shares[at].len;
        at += 1;
    }
    let count = shares.len() - at;
    let least = left.checked_div(count).unwrap_or(usize::MAX);
    let mut more = left.checked_rem(count).unwrap_or(0);
    shares.sort_unstable_by_key(|share| (share.turn, share.of));
    for share in shares.iter_mut().filter(|share| share.len > least) {
        share.keeps = least + usize::from(more > 0);
        more = more.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests;
