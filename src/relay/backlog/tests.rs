use super::*;
use std::collections::BTreeMap;

const USERS: usize = 40;
const SLOTS: usize = 100;

/// The backlog, and the slots that are in no line.
struct Desk {
    backlog: Backlog,
    free: Vec<usize>,
}

impl Desk {
    fn new() -> Self {
        Desk {
            backlog: Backlog::new(USERS, SLOTS),
            free: (0..SLOTS).collect(),
        }
    }

    /// A datagram of this user of this address.
    fn push(&mut self, address: usize, user: usize) -> usize {
        let slot = self.free.pop().expect("there are slots");
        let (user, address) = (UserKey(user as u32), AddressKey(address as u32));
        self.backlog.push(slot, Speaker::at(user, address, 1));
        slot
    }

    fn pop(&mut self) -> Option<(usize, usize)> {
        let (slot, speaker) = self.backlog.pop()?;
        self.free.push(slot);
        Some((speaker.address.index(), speaker.user.index()))
    }

    fn pop_all(&mut self) -> Vec<(usize, usize)> {
        std::iter::from_fn(|| self.pop()).collect()
    }

    fn shed(&mut self, keep: usize) -> Vec<usize> {
        let mut dropped = Vec::new();
        self.backlog.shed(keep, |slot| dropped.push(slot));
        self.free.extend(&dropped);
        dropped
    }
}

/// Rule 10f.
#[test]
fn those_of_one_each_leave_as_they_came() {
    let mut desk = Desk::new();
    for user in [3, 1, 2] {
        desk.push(user, user);
    }
    assert_eq!(desk.pop_all(), [(3, 3), (1, 1), (2, 2)]);
    assert_eq!(desk.pop(), None);
}

#[test]
fn addresses_take_turns_and_so_do_their_users() {
    let mut desk = Desk::new();
    for _ in 0..3 {
        desk.push(0, 10);
    }
    desk.push(0, 11);
    desk.push(1, 20);
    desk.push(1, 20);
    let order = [(0, 10), (1, 20), (0, 11), (1, 20), (0, 10), (0, 10)];
    assert_eq!(desk.pop_all(), order);
}

#[test]
fn the_newest_stay_of_those_who_have_most() {
    let mut desk = Desk::new();
    let many: Vec<usize> = (0..10).map(|_| desk.push(0, 1)).collect();
    desk.push(1, 2);
    desk.push(1, 3);
    assert_eq!(desk.shed(12), [] as [usize; 0]);
    assert_eq!(desk.shed(6), many[..6]);
    let order = [(0, 1), (1, 2), (0, 1), (1, 3), (0, 1), (0, 1)];
    assert_eq!(desk.pop_all(), order);
}

/// An address with many users has no more than one with one.
/// Rule 11c.
#[test]
fn shares_are_by_address_and_then_by_user() {
    let mut desk = Desk::new();
    for user in 0..30 {
        desk.push(0, user);
    }
    for _ in 0..10 {
        desk.push(1, 31);
    }
    desk.shed(20);
    let kept = desk.pop_all();
    assert_eq!(kept.iter().filter(|(address, _)| *address == 1).count(), 10);
    assert_eq!(kept.len(), 20);
    for _ in 0..8 {
        desk.push(0, 0);
        desk.push(0, 1);
    }
    desk.push(0, 2);
    desk.shed(5);
    let by_user = |user: usize| desk.backlog.users[user].len;
    assert_eq!([0, 1, 2].map(by_user), [2, 2, 1]);
}

/// With less than one place for each, all get it in turn.
#[test]
fn where_shares_are_not_equal_they_are_over_time() {
    let mut desk = Desk::new();
    let mut heard = [0; 10];
    for _ in 0..30 {
        for user in 0..10 {
            desk.push(user, user);
        }
        desk.shed(3);
        for (_, user) in desk.pop_all() {
            heard[user] += 1;
        }
    }
    assert_eq!(heard, [9; 10]);
}

/// A user's place in the tables can be another's while datagrams of the first still wait.
#[test]
fn a_line_that_outlives_its_user_is_worked_off() {
    let mut desk = Desk::new();
    desk.push(0, 1);
    desk.push(0, 1);
    desk.push(5, 1);
    desk.push(0, 2);
    assert_eq!(desk.pop_all(), [(0, 1), (0, 2), (0, 1), (5, 1)]);
    desk.push(5, 1);
    assert_eq!(desk.pop_all(), [(5, 1)]);
    assert!(desk.backlog.addresses.iter().all(|line| line.len == 0));
}

type Users = Vec<(usize, Vec<usize>)>;

/// The plain model: lists, and shares found by giving one place at a time.
#[derive(Default)]
struct Model {
    /// Addresses with their users with their slots, each in the order of their turns.
    addresses: Vec<(usize, Users)>,
    turns: BTreeMap<(bool, usize), u64>,
    turn: u64,
}

impl Model {
    fn push(&mut self, slot: usize, address: usize, user: usize) {
        let place = self.addresses.iter().position(|(it, _)| *it == address);
        let place = place.unwrap_or_else(|| {
            self.addresses.push((address, Vec::new()));
            self.addresses.len() - 1
        });
        let users = &mut self.addresses[place].1;
        match users.iter_mut().find(|(it, _)| *it == user) {
            Some((_, slots)) => slots.push(slot),
            None => users.push((user, vec![slot])),
        }
    }

    fn pop(&mut self) -> Option<usize> {
        if self.addresses.is_empty() {
            return None;
        }
        let (address, mut users) = self.addresses.remove(0);
        let (user, mut slots) = users.remove(0);
        let slot = slots.remove(0);
        self.turn += 1;
        self.turns.insert((true, address), self.turn);
        self.turns.insert((false, user), self.turn);
        if !slots.is_empty() {
            users.push((user, slots));
        }
        if !users.is_empty() {
            self.addresses.push((address, users));
        }
        Some(slot)
    }

    /// One place at a time to the one with the fewest that wants more, the longest without a turn first.
    fn shares(&self, wants: &[(usize, usize)], is_address: bool, keep: usize) -> Vec<usize> {
        let mut shares = vec![0; wants.len()];
        for _ in 0..keep {
            let turn = |of| turn_of(&self.turns, is_address, of);
            let next = (0..wants.len())
                .filter(|&at| shares[at] < wants[at].1)
                .min_by_key(|&at| (shares[at], turn(wants[at].0), wants[at].0));
            match next {
                Some(at) => shares[at] += 1,
                None => break,
            }
        }
        shares
    }

    fn shed(&mut self, keep: usize) -> Vec<usize> {
        if self
            .addresses
            .iter()
            .flat_map(|(_, it)| it)
            .map(|(_, it)| it.len())
            .sum::<usize>()
            <= keep
        {
            return Vec::new();
        }
        let total = |users: &[(usize, Vec<usize>)]| users.iter().map(|(_, it)| it.len()).sum();
        let wants: Vec<(usize, usize)> = self
            .addresses
            .iter()
            .map(|(of, it)| (*of, total(it)))
            .collect();
        let shares = self.shares(&wants, true, keep);
        let mut dropped = Vec::new();
        for (place, share) in shares.into_iter().enumerate() {
            let users = &self.addresses[place].1;
            let wants: Vec<_> = users.iter().map(|(of, it)| (*of, it.len())).collect();
            let shares = self.shares(&wants, false, share);
            for ((_, slots), share) in self.addresses[place].1.iter_mut().zip(shares) {
                let over = slots.len() - share;
                dropped.extend(slots.drain(..over));
            }
            if share < wants.iter().map(|(_, len)| len).sum() {
                let users = &mut self.addresses[place].1;
                users.retain(|(_, it)| !it.is_empty());
                users.sort_by_key(|&(of, _)| (turn_of(&self.turns, false, of), of));
            }
        }
        self.addresses.retain(|(_, users)| !users.is_empty());
        let turns = &self.turns;
        self.addresses
            .sort_by_key(|&(of, _)| (turn_of(turns, true, of), of));
        dropped
    }
}

fn turn_of(turns: &BTreeMap<(bool, usize), u64>, is_address: bool, of: usize) -> u64 {
    turns.get(&(is_address, of)).copied().unwrap_or(0)
}

#[test]
fn whatever_comes_it_does_what_the_plain_model_does() {
    let mut state = 11u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    for _ in 0..200 {
        let (mut desk, mut model) = (Desk::new(), Model::default());
        let addresses = 1 + random(12);
        for _ in 0..400 {
            match random(10) {
                0..=5 if !desk.free.is_empty() => {
                    // The first users have more to say, and each has one address.
                    let most = 1 + random(USERS);
                    let user = random(most);
                    let address = user % addresses;
                    let slot = desk.push(address, user);
                    model.push(slot, address, user);
                }
                6 => {
                    let keep = random(SLOTS);
                    let mut dropped = desk.shed(keep);
                    let mut expected = model.shed(keep);
                    dropped.sort_unstable();
                    expected.sort_unstable();
                    assert_eq!(dropped, expected);
                }
                _ => {
                    let slot = desk.backlog.pop().map(|(slot, _)| slot);
                    assert_eq!(slot, model.pop());
                    desk.free.extend(slot);
                }
            }
            assert_eq!(desk.backlog.len() + desk.free.len(), SLOTS);
        }
    }
}
