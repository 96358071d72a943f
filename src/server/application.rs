//! What the application around the server does with it: read its state, disconnect and ban,
//! announce, and receive events. Other threads do the same with a [handle](super::ServerHandle).

use super::request::RequestError;
use super::{Server, read_clock};
use crate::bans::{BanList, Network};
use crate::event::UserId;
use crate::limits::BANS_MAX;
use crate::news::{ServerEvent, UserInfo};
use log::info;
use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// The bans: those of the ban file, and those of the application.
#[derive(Default)]
pub(super) struct Bans {
    pub(super) of_the_file: BanList,
    of_the_application: BTreeSet<Network>,
}

/// Where events go, if the application wants them.
#[derive(Default)]
pub(super) struct EventPort {
    sender: Option<SyncSender<ServerEvent>>,
    /// How many found no room there; none if nobody ever wanted them.
    lost: Option<u64>,
}

impl Server {
    /// Everyone who is logged in, by rising id.
    pub fn users(&self) -> Vec<UserInfo> {
        self.core.switchboard.management().users().collect()
    }

    /// Disconnects a user, and returns whether there was one with this id. The user may come back,
    /// unless a [ban](Self::ban) prevents it.
    pub fn disconnect(&mut self, id: UserId) -> bool {
        let core = &mut self.core;
        core.switchboard.end_user(id, &mut core.connections)
    }

    /// Bans this address or network from now on, and disconnects the users from there. It comes on
    /// top of what the ban file says, and lasts until it is [lifted](Self::unban) or the server
    /// stops. Returns whether it is new.
    ///
    /// # Errors
    ///
    /// [`RequestError::TooManyBans`] if there are [`BANS_MAX`] of these.
    pub fn ban(&mut self, network: impl Into<Network>) -> Result<bool, RequestError> {
        let (network, bans) = (network.into(), &mut self.bans.of_the_application);
        if bans.len() >= BANS_MAX && !bans.contains(&network) {
            return Err(RequestError::TooManyBans);
        }
        let is_new = bans.insert(network);
        if is_new {
            info!("{network} is banned by the application");
            self.apply_bans();
        }
        Ok(is_new)
    }

    /// Lifts a ban of [`ban`](Self::ban), of exactly this address or network, and returns whether
    /// there was one. The ban file and other bans stay in force.
    pub fn unban(&mut self, network: impl Into<Network>) -> bool {
        let network = network.into();
        let was_banned = self.bans.of_the_application.remove(&network);
        if was_banned {
            info!("{network} is no longer banned by the application");
            self.apply_bans();
        }
        was_banned
    }

    /// Sends everyone who is logged in a chat message, under a name of the application's choice. To
    /// clients its author is a user who joins for it and leaves at once, with id 0, which no user
    /// has.
    ///
    /// # Errors
    ///
    /// [`RequestError::Announce`] if no user could have that name, or the message is empty or too
    /// long.
    pub fn announce(&mut self, author: &str, message: &str) -> Result<(), RequestError> {
        let (now, core) = (read_clock(), &mut self.core);
        core.switchboard
            .announce(now, author, message, &mut core.connections)
            .map_err(RequestError::Announce)
    }

    /// The events from now on, for any thread to read. At most so many wait to be read. Others are
    /// lost, and counted in [`events_lost`](crate::Statistics::events_lost): the server does not
    /// wait.
    ///
    /// The receiver ends with the server, without a [`Left`](ServerEvent::Left) for the users who
    /// are connected then. A second call ends the earlier receiver.
    pub fn events(&mut self, capacity: usize) -> Receiver<ServerEvent> {
        let capacity = capacity.max(1);
        let (sender, receiver) = sync_channel(capacity);
        self.core.switchboard.observe(capacity);
        self.events.sender = Some(sender);
        self.events.lost.get_or_insert(0);
        receiver
    }

    /// Hands over the events, as far as there is room for them.
    pub(super) fn pass_events_on(&mut self) {
        let Some(sender) = &self.events.sender else {
            return;
        };
        while let Some(event) = self.core.switchboard.take_event() {
            match sender.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => *self.events.lost.get_or_insert(0) += 1,
                Err(TrySendError::Disconnected(_)) => {
                    self.core.switchboard.observe(0);
                    self.events.sender = None;
                    return;
                }
            }
        }
    }

    /// How many events were lost, if anybody wanted them.
    pub(super) fn events_lost(&self) -> Option<u64> {
        let lost = self.events.lost?;
        Some(lost + self.core.switchboard.events_lost())
    }

    /// Fulfils one thread's request a turn, so that voice is polled in between.
    pub(super) fn attend_requests(&mut self) {
        if let Some(work) = self.asked.take() {
            work(self);
        }
    }

    /// Puts the bans in force.
    pub(super) fn apply_bans(&mut self) {
        let Bans {
            of_the_file,
            of_the_application,
        } = &self.bans;
        let all = of_the_file.with(of_the_application.iter().copied());
        self.core.set_bans(all);
    }
}
