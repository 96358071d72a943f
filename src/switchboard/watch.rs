//! What a simulator sees of the switchboard: every input that it is given, in order, and what comes of each. Only with the
//! feature `simulation`; without it, nothing of this is compiled.

use super::{Deliver, Switchboard};
use crate::bans::BanList;
use crate::cause::{Cause, Ended};
use crate::event::{ConnectionId, Now, UdpPath, UserId, VoiceToken};
use crate::relay::{SealedAnswer, Verdict};
use std::net::IpAddr;

/// One input, with what was answered to the caller.
#[derive(Clone, Copy, Debug)]
#[allow(
    missing_docs,
    reason = "the fields are those of the switchboard's methods"
)]
pub enum Input<'a> {
    Connect {
        now: Now,
        connection: ConnectionId,
        address: IpAddr,
        token: VoiceToken,
        refused: Option<Cause>,
    },
    Frame {
        now: Now,
        connection: ConnectionId,
        id: u8,
        payload: &'a [u8],
    },
    Disconnect {
        now: Now,
        connection: ConnectionId,
        cause: Cause,
    },
    Tick {
        now: Now,
        was_due: bool,
    },
    Bans(&'a BanList),
    /// A datagram was examined. Voice that is not dropped has its sender's id in it.
    Datagram {
        now: Now,
        path: UdpPath,
        datagram: &'a [u8],
        is_late: bool,
        dropped: Option<Cause>,
    },
    /// The claim of the last datagram was judged.
    Claim(&'a Verdict<'a, 'a>),
    /// Voice may be heard or not that came from an address that its user has not proved, and what that address is
    /// asked.
    Heard(Result<Option<&'a SealedAnswer>, Cause>),
    /// The turn of a datagram of this user has come.
    Turn {
        speaker: UserId,
        dropped: Option<Cause>,
    },
}

/// An observer of all of it.
pub trait Watch: Send {
    /// An input, before what comes of it is delivered.
    fn input(&mut self, input: Input<'_>);

    /// Something is delivered because of the last input.
    fn delivered(&mut self, to: ConnectionId, frames: &[u8]);

    /// A connection is to be closed because of the last input.
    fn ended(&mut self, connection: ConnectionId, cause: Cause);

    /// Everything that comes of the last input was delivered.
    fn handled(&mut self);

    /// A poll of voice begins, or has come to its end with so many units of work and so many datagrams left
    /// waiting.
    fn polled(&mut self, result: Option<(usize, usize)>);
}

impl Switchboard {
    /// Has this see everything from now on.
    pub(crate) fn set_watch(&mut self, watch: Box<dyn Watch>) {
        self.watch = Some(watch);
    }

    pub(super) fn watched(&mut self, input: Input<'_>) {
        if let Some(watch) = &mut self.watch {
            watch.input(input);
        }
    }

    pub(crate) fn watched_poll(&mut self, result: Option<(usize, usize)>) {
        if let Some(watch) = &mut self.watch {
            watch.polled(result);
        }
    }
}

/// Passes everything on, and has it seen.
pub(super) struct Tee<'a, D> {
    pub(super) watch: Option<&'a mut Box<dyn Watch>>,
    pub(super) connections: &'a mut D,
}

impl<D: Deliver> Deliver for Tee<'_, D> {
    fn deliver(&mut self, to: ConnectionId, frames: &[u8]) {
        if let Some(watch) = &mut self.watch {
            watch.delivered(to, frames);
        }
        self.connections.deliver(to, frames);
    }

    fn announce(&mut self, to: ConnectionId, frames: &[u8]) {
        if let Some(watch) = &mut self.watch {
            watch.delivered(to, frames);
        }
        self.connections.announce(to, frames);
    }

    fn end(&mut self, connection: ConnectionId, cause: Ended) {
        if let Some(watch) = &mut self.watch {
            watch.ended(connection, cause.into());
        }
        self.connections.end(connection, cause);
    }
}
