//! What the users of one process receive: read, timed and followed by sequence number, or left
//! unread and counted from what the kernel drops.
//!
//! Other people may be on the server too. The crowd's stamp and the speakers' ids tell their voice
//! apart, which is not a fault. A round's figures are a [`Tally`], which travels to the parent as
//! one line.

use super::histogram::Histogram;
use super::options::{Options, Receivers, Side};
use super::sys::{self, BATCH, Inbox};
use super::user::User;
use super::voice::{Place, Received, Stamp, Stream};
use super::worker::Share;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use voiceapp_protocol::sealing::ClientOpener;

#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// Voice datagrams that came in, each for the first time.
    pub delivered: u64,
    pub duplicated: u64,
    pub reordered: u64,
    /// Dropped by the kernel for want of room in the receiver's own socket.
    pub dropped: u64,
    /// Unreadable for any client, or with the id of one of this crowd's speakers, and none of them
    /// has sent it.
    pub malformed: u64,
    /// Voice of people who are not of this crowd.
    pub others: u64,
    /// Bytes behind the frame that are not zero.
    pub unclean: u64,
    /// Received by its own speaker.
    pub own: u64,
    /// With another id than the speaker's.
    pub misnamed: u64,
    /// Without the kernel's time stamp.
    pub unstamped: u64,
    /// Users whose connection the server has closed.
    pub lost_users: u64,
    pub latency: Histogram,
}

impl Tally {
    pub fn new() -> Self {
        Tally {
            delivered: 0,
            duplicated: 0,
            reordered: 0,
            dropped: 0,
            malformed: 0,
            others: 0,
            unclean: 0,
            own: 0,
            misnamed: 0,
            unstamped: 0,
            lost_users: 0,
            latency: Histogram::new(),
        }
    }

    fn counters(&mut self) -> [&mut u64; 11] {
        [
            &mut self.delivered,
            &mut self.duplicated,
            &mut self.reordered,
            &mut self.dropped,
            &mut self.malformed,
            &mut self.others,
            &mut self.unclean,
            &mut self.own,
            &mut self.misnamed,
            &mut self.unstamped,
            &mut self.lost_users,
        ]
    }

    pub fn add(&mut self, mut other: Tally) {
        self.latency.add(&other.latency);
        for (mine, theirs) in self.counters().into_iter().zip(other.counters()) {
            *mine += *theirs;
        }
    }

    pub fn write_words(&mut self) -> String {
        let counters = self.counters().map(|it| it.to_string()).join(" ");
        format!("{counters} {}", self.latency.to_words())
    }

    /// The opposite of [`write_words`](Self::write_words).
    pub fn from_words<'w>(mut words: impl Iterator<Item = &'w str>) -> Option<Self> {
        let mut tally = Tally::new();
        for counter in tally.counters() {
            *counter = words.next()?.parse().ok()?;
        }
        tally.latency = Histogram::from_words(words)?;
        Some(tally)
    }
}

pub struct Hall {
    mode: Receivers,
    speakers: usize,
    run: u32,
    /// The server's ids of this round's speakers, in their order.
    speaker_ids: Vec<u64>,
    is_speaker: HashSet<u64>,
    inbox: Inbox,
    /// For each receiver, one for each speaker.
    streams: Vec<Stream>,
    /// For each receiver, what its drop counter was when the round began.
    drops_before: Vec<u32>,
    /// The crowd's datagrams of any round that were read since the process started.
    read: u64,
    side: Side,
    round: u32,
    tally: Tally,
}

impl Hall {
    pub fn new(options: &Options, share: &Share) -> Self {
        let users = share.count;
        let streams = match options.receivers {
            Receivers::Read => users * options.speakers,
            Receivers::Ignore => 0,
        };
        Hall {
            mode: options.receivers,
            speakers: options.speakers,
            run: share.run,
            speaker_ids: Vec::new(),
            is_speaker: HashSet::new(),
            inbox: Inbox::new(),
            streams: vec![Stream::default(); streams],
            drops_before: vec![0; users],
            read: 0,
            side: Side::Server,
            round: 0,
            tally: Tally::new(),
        }
    }

    /// Records the ids that the server has given the speakers.
    pub fn know_speakers(&mut self, ids: Vec<u64>) {
        self.is_speaker = ids.iter().copied().collect();
        self.speaker_ids = ids;
    }

    /// Counts from here on what belongs to this round. Nobody may be speaking.
    pub fn begin(&mut self, users: &[User], side: Side, round: u32) -> io::Result<()> {
        (self.side, self.round, self.tally) = (side, round, Tally::new());
        self.streams.fill(Stream::default());
        for (place, user) in users.iter().enumerate() {
            let socket = user.socket(side);
            // What is left from before would take room, and so hide drops to come from the counter.
            while self.inbox.receive(&**socket)? == BATCH {}
            self.drops_before[place] = sys::drops(&**socket)?;
        }
        Ok(())
    }

    /// Reads all that a user's socket holds.
    pub fn read(&mut self, place: usize, user: &mut User, side: Side) -> io::Result<()> {
        let socket = Arc::clone(user.socket(side));
        let mut opener = user.opener.as_deref_mut().filter(|_| side == Side::Sealed);
        loop {
            let count = self.inbox.receive(&*socket)?;
            for slot in 0..count {
                let received = self.received(slot, opener.as_deref_mut());
                self.hear(place, user.index, slot, received);
            }
            // A batch that was not full has emptied the socket, and what comes later makes an event
            // of its own.
            if count < BATCH {
                return Ok(());
            }
        }
    }

    fn received(&mut self, slot: usize, opener: Option<&mut ClientOpener>) -> Received {
        match (self.inbox.datagram(slot), opener) {
            (Some(datagram), Some(opener)) => Received::open(datagram, opener),
            (Some(datagram), None) => Received::read(datagram),
            (None, _) => Received::Unreadable,
        }
    }

    fn hear(&mut self, place: usize, index: usize, slot: usize, received: Received) {
        let heard = match received {
            Received::Voice(heard) => heard,
            Received::OfProof => return,
            Received::Unreadable => {
                self.tally.malformed += 1;
                return;
            }
        };
        self.tally.unclean += u64::from(!heard.is_padding_clean);
        let is_ours = |it: &Stamp| it.run == self.run && (it.speaker as usize) < self.speakers;
        let Some(stamp) = heard.stamp.filter(is_ours) else {
            // The floor has no other people.
            let is_fault = self.side == Side::Floor || self.is_speaker.contains(&heard.user_id);
            self.tally.malformed += u64::from(is_fault);
            self.tally.others += u64::from(!is_fault);
            return;
        };
        self.read += 1;
        let speaker = stamp.speaker as usize;
        // The floor examines nothing, and so leaves the id as it came.
        let is_misnamed =
            self.side != Side::Floor && self.speaker_ids.get(speaker) != Some(&heard.user_id);
        self.tally.misnamed += u64::from(is_misnamed);
        if speaker == index {
            // Nobody expects it, so it must not make up for one that is missing.
            self.tally.own += 1;
            return;
        }
        if stamp.round != self.round {
            return;
        }
        match self.streams[place * self.speakers + speaker].note(heard.sequence) {
            Place::Again => {
                self.tally.duplicated += 1;
                return;
            }
            Place::Overtaken => self.tally.reordered += 1,
            Place::Next => {}
        }
        self.tally.delivered += 1;
        match self.inbox.arrived_ns(slot) {
            Some(ns) => self.tally.latency.record(ns.saturating_sub(stamp.sent_ns)),
            None => self.tally.unstamped += 1,
        }
    }

    /// A number that rises as long as something comes in.
    pub fn arrived(&self, users: &[User]) -> io::Result<u64> {
        match self.mode {
            Receivers::Read => Ok(self.read),
            Receivers::Ignore => self.dropped(users),
        }
    }

    /// Ends the round. Where nobody reads, what was delivered is what was dropped and what found room.
    pub fn end(&mut self, users: &mut [User]) -> io::Result<String> {
        self.tally.dropped = self.dropped(users)?;
        if self.mode == Receivers::Ignore {
            self.tally.delivered = std::mem::take(&mut self.tally.dropped);
            for user in users {
                let socket = Arc::clone(user.socket(self.side));
                let side = self.side;
                let mut opener = user.opener.as_deref_mut().filter(|_| side == Side::Sealed);
                let mut count = BATCH;
                while count == BATCH {
                    count = self.inbox.receive(&*socket)?;
                    self.tally.delivered += count as u64;
                    for slot in 0..count {
                        let received = self.received(slot, opener.as_deref_mut());
                        self.tally.others += u64::from(self.is_of_others(&received));
                    }
                }
            }
        }
        Ok(self.tally.write_words())
    }

    /// Whether this is plainly the voice of other people.
    fn is_of_others(&self, received: &Received) -> bool {
        matches!(received, Received::Voice(heard)
            if self.side != Side::Floor && !self.is_speaker.contains(&heard.user_id))
    }

    fn dropped(&self, users: &[User]) -> io::Result<u64> {
        let mut sum = 0;
        for (user, before) in users.iter().zip(&self.drops_before) {
            sum += u64::from(sys::drops(&**user.socket(self.side))?.wrapping_sub(*before));
        }
        Ok(sum)
    }

    /// For the figures.
    pub fn count_lost_users(&mut self, count: usize) {
        self.tally.lost_users = count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_survives_its_line_and_adds_up() {
        let mut one = Tally::new();
        one.delivered = 5;
        one.lost_users = 1;
        one.latency.record(1_000);
        let words = one.write_words();
        let copy = Tally::from_words(words.split(' ')).expect("it was just written");
        assert_eq!(copy, one);
        one.add(copy);
        assert_eq!((one.delivered, one.lost_users), (10, 2));
        assert_eq!(one.latency.count(), 2);
        assert_eq!(Tally::from_words("1 2 3".split(' ')), None);
    }
}
