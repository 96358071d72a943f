//! What an application does with the server that it has inside: look at it, keep order, say something,
//! and hear what happens. Other threads ask for the same with a [handle](super::ServerHandle).

use super::request::RequestError;
use super::{Server, read_clock};
use crate::bans::{BanList, Network};
use crate::event::UserId;
use crate::limits::BANS_MAX;
use crate::news::{ServerEvent, UserInfo};
use log::info;
use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Who is kept out: whoever the ban file names, and whoever the application does.
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

    /// Disconnects a user, and says whether there was one with this id. Nothing keeps the user from
    /// coming back: that is what a [ban](Self::ban) is for.
    pub fn disconnect(&mut self, id: UserId) -> bool {
        let core = &mut self.core;
        core.switchboard.end_user(id, &mut core.connections)
    }

    /// Keeps this address or network out from now on and disconnects who is here from there, beside
    /// what the ban file says. Says whether it is a new one. It lasts until it is
    /// [lifted](Self::unban), or the server ends.
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

    /// Lifts a ban that [`ban`](Self::ban) has made, of the very same address or network, and says
    /// whether there was one. What the ban file or another ban keeps out stays out.
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
    /// clients it is one of somebody who comes for it and goes at once, with id 0, which no user has.
    ///
    /// # Errors
    ///
    /// [`RequestError::Announce`] if nobody could have that name, or the message is empty or too long.
    pub fn announce(&mut self, author: &str, message: &str) -> Result<(), RequestError> {
        let (now, core) = (read_clock(), &mut self.core);
        core.switchboard
            .announce(now, author, message, &mut core.connections)
            .map_err(RequestError::Announce)
    }

    /// What happens from now on, for whoever reads it: any thread. At most so many events wait to be
    /// read. What finds no room is lost, and counted in
    /// [`events_lost`](crate::Statistics::events_lost): the server does not wait.
    ///
    /// It ends with the server. Who is here then has no [`Left`](ServerEvent::Left). Called again, the
    /// earlier receiver ends.
    pub fn events(&mut self, capacity: usize) -> Receiver<ServerEvent> {
        let capacity = capacity.max(1);
        let (sender, receiver) = sync_channel(capacity);
        self.core.switchboard.observe(capacity);
        self.events.sender = Some(sender);
        self.events.lost.get_or_insert(0);
        receiver
    }

    /// Hands over what has happened, as far as there is room for it.
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

    /// How many events were lost, if somebody wanted them.
    pub(super) fn events_lost(&self) -> Option<u64> {
        let lost = self.events.lost?;
        Some(lost + self.core.switchboard.events_lost())
    }

    /// Does what a thread has asked for: one thing a turn, so that voice is looked at in between.
    pub(super) fn attend_requests(&mut self) {
        if let Some(work) = self.asked.take() {
            work(self);
        }
    }

    /// Keeps out from now on who is to be.
    pub(super) fn apply_bans(&mut self) {
        let Bans {
            of_the_file,
            of_the_application,
        } = &self.bans;
        let all = of_the_file.with(of_the_application.iter().copied());
        self.core.set_bans(all);
    }
}
