//! Voice that waits to be relayed, and whose turn it is.
//!
//! Addresses take turns, and the users of an address take turns among themselves, each with one
//! datagram, the oldest that they have. Where nothing is left waiting, which is the rule, datagrams
//! leave in the order in which they came. When more comes than can go out, [`Backlog::shed`] cuts what
//! waits down to equal shares, again by address and then by user, and takes the oldest first: voice
//! that is late is of no use.
//!
//! It owns no datagram, only the numbers of the slots that they lie in, and allocates at start alone.

use super::Speaker;
use std::collections::VecDeque;

/// No slot, or no user.
const NONE: u32 = u32::MAX;

/// A datagram that waits.
#[derive(Clone, Copy)]
struct Waiting {
    speaker: Speaker,
    /// The slot of the same user's next.
    next: u32,
}

/// What waits of one user, or of one address.
#[derive(Clone, Copy)]
struct Line {
    /// First and last: slots in a user's line, users in an address's.
    first: u32,
    last: u32,
    /// Datagrams in it.
    len: usize,
    /// When its last turn was.
    turn: u64,
    /// For a user, the one behind in the line of an address, and the address.
    next: u32,
    address: u32,
}

impl Line {
    const EMPTY: Line = Line {
        first: NONE,
        last: NONE,
        len: 0,
        turn: 0,
        next: NONE,
        address: NONE,
    };
}

/// How much one line may keep.
#[derive(Clone, Copy)]
struct Share {
    /// A user or an address.
    of: u32,
    len: usize,
    turn: u64,
    keeps: usize,
}

/// See the [module](self).
pub(crate) struct Backlog {
    /// By slot.
    waiting: Box<[Waiting]>,
    /// By the speakers' places in the relay's tables.
    users: Box<[Line]>,
    addresses: Box<[Line]>,
    /// Addresses with something in line, whose turn is next first.
    order: VecDeque<u32>,
    len: usize,
    turns: u64,
    /// Kept for their memory.
    address_shares: Vec<Share>,
    user_shares: Vec<Share>,
}

impl Backlog {
    /// Nothing yet, of at most so many users, in so many slots.
    pub(crate) fn new(users: usize, slots: usize) -> Self {
        let nothing = Waiting {
            speaker: Speaker::NOBODY,
            next: NONE,
        };
        let lines = users.min(slots);
        Backlog {
            waiting: vec![nothing; slots].into(),
            users: vec![Line::EMPTY; users].into(),
            addresses: vec![Line::EMPTY; users].into(),
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
            next: NONE,
        };
        let user = &mut self.users[speaker.user];
        let is_new = user.len == 0;
        if is_new {
            user.first = slot as u32;
            // It stands in that address's line until its own is empty, even if its place is another
            // user's by then.
            user.address = speaker.address as u32;
        } else {
            self.waiting[user.last as usize].next = slot as u32;
        }
        user.last = slot as u32;
        user.len += 1;
        let address = user.address;
        if is_new {
            self.line_up(address, speaker.user as u32);
        }
        let line = &mut self.addresses[address as usize];
        line.len += 1;
        if line.len == 1 {
            self.order.push_back(address);
        }
        self.len += 1;
    }

    /// Takes the datagram whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<(usize, Speaker)> {
        let address = self.order.pop_front()?;
        let user = self.addresses[address as usize].first;
        self.addresses[address as usize].first = self.users[user as usize].next;
        let taken = self.take_oldest(user);
        self.turns += 1;
        self.users[user as usize].turn = self.turns;
        self.addresses[address as usize].turn = self.turns;
        if self.users[user as usize].len > 0 {
            self.line_up(address, user);
        }
        if self.addresses[address as usize].len > 0 {
            self.order.push_back(address);
        }
        Some(taken)
    }

    /// Drops the oldest of those who have most until no more than `keep` wait, and hands over their
    /// slots. Where shares cannot be equal, whoever had the last turn the longest ago has more. The next
    /// turn is theirs too.
    pub(crate) fn shed(&mut self, keep: usize, mut drop: impl FnMut(usize)) {
        if self.len <= keep {
            return;
        }
        let mut shares = std::mem::take(&mut self.address_shares);
        shares.extend(
            self.order
                .drain(..)
                .map(|of| Share::of(&self.addresses, of)),
        );
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

    fn shed_address(&mut self, address: Share, drop: &mut impl FnMut(usize)) {
        let mut shares = std::mem::take(&mut self.user_shares);
        let mut user = std::mem::replace(&mut self.addresses[address.of as usize].first, NONE);
        while user != NONE {
            shares.push(Share::of(&self.users, user));
            user = self.users[user as usize].next;
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
    fn line_up(&mut self, address: u32, user: u32) {
        let line = &mut self.addresses[address as usize];
        self.users[user as usize].next = NONE;
        let last = std::mem::replace(&mut line.last, user);
        match line.first {
            NONE => line.first = user,
            _ => self.users[last as usize].next = user,
        }
    }

    /// Takes the oldest datagram of a user whose line is not empty.
    fn take_oldest(&mut self, user: u32) -> (usize, Speaker) {
        let line = &mut self.users[user as usize];
        let slot = line.first as usize;
        let Waiting { speaker, next } = self.waiting[slot];
        line.first = next;
        line.len -= 1;
        self.addresses[line.address as usize].len -= 1;
        self.len -= 1;
        (slot, speaker)
    }
}

impl Share {
    fn of(lines: &[Line], of: u32) -> Self {
        let Line { len, turn, .. } = lines[of as usize];
        Share {
            of,
            len,
            turn,
            keeps: len,
        }
    }
}

/// Divides `keep` places among all: as much as they have to those who have little, and the same to all
/// others. Puts them into the order of their last turns.
fn allot(shares: &mut [Share], keep: usize) {
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
