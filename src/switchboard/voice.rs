//! The way of a datagram through the switchboard. The relay examines it, and the bans and the server's
//! own address decide with it what address a user may have.

use super::Switchboard;
#[cfg(feature = "simulation")]
use super::watch::Input;
#[cfg(feature = "simulation")]
use crate::cause::Cause;
use crate::cause::VoiceDropped;
use crate::event::{Now, UdpPath};
use crate::relay::{Claim, Finding, Recipients, Room, SealedAnswer, Speaker, Verdict};
use std::net::SocketAddr;

impl Switchboard {
    /// As [`VoiceRelayServer::handle_datagram`](crate::relay::VoiceRelayServer::handle_datagram). A banned
    /// address cannot be proved, and nothing is relayed from an address that is not proved.
    pub fn handle_datagram<'d>(
        &mut self,
        now: Now,
        path: UdpPath,
        datagram: &'d mut [u8],
    ) -> Verdict<'_, 'd> {
        match self.relay.examine(now, path, datagram, false) {
            Finding::Voice {
                frame,
                place,
                claim,
                ..
            } => match self.hear(now, claim, |_| false) {
                Ok(challenge) => self.relay.relay(&datagram[frame], place, challenge),
                Err(cause) => Verdict::Drop(cause),
            },
            Finding::Claim(claim) => self.judge(now, claim, |_| false),
            Finding::Drop(cause) => Verdict::Drop(cause),
        }
    }

    /// The first half of that, for a caller that lets voice wait: see
    /// [`VoiceRelayServer::examine`](crate::relay::VoiceRelayServer::examine).
    pub(crate) fn examine(
        &mut self,
        now: Now,
        path: UdpPath,
        datagram: &mut [u8],
        is_late: bool,
    ) -> Finding {
        let finding = self.relay.examine(now, path, datagram, is_late);
        #[cfg(feature = "simulation")]
        self.watched(Input::Datagram {
            now,
            path,
            datagram,
            is_late,
            dropped: match finding {
                Finding::Drop(cause) => Some(cause.into()),
                _ => None,
            },
        });
        finding
    }

    /// Accepts or refuses a claim to an address. `is_own` says whether it is the server's own voice
    /// port: voice sent there would come in again as its user's.
    /// Rules 9b and 9e.
    pub(crate) fn judge(
        &mut self,
        now: Now,
        claim: Claim,
        is_own: impl FnOnce(SocketAddr) -> bool,
    ) -> Verdict<'static, 'static> {
        let verdict = match self.objection_to(&claim, is_own) {
            Some(cause) => self.relay.refuse(claim, cause),
            None => self.relay.decide(now, claim),
        };
        #[cfg(feature = "simulation")]
        self.watched(Input::Claim(&verdict));
        verdict
    }

    /// Whether voice that came with this claim, if with any, may be heard, and the challenge for the address
    /// that it came from.
    pub(crate) fn hear(
        &mut self,
        now: Now,
        claim: Option<Claim>,
        is_own: impl FnOnce(SocketAddr) -> bool,
    ) -> Result<Option<SealedAnswer>, VoiceDropped> {
        let Some(claim) = claim else {
            return Ok(None);
        };
        let heard = match self.objection_to(&claim, is_own) {
            Some(cause) => {
                self.relay.refuse(claim, cause);
                Err(cause)
            }
            None => Ok(self.relay.challenge(now, claim)),
        };
        #[cfg(feature = "simulation")]
        self.watched(Input::Heard(match &heard {
            Ok(challenge) => Ok(challenge.as_ref()),
            Err(cause) => Err((*cause).into()),
        }));
        heard
    }

    fn objection_to(
        &self,
        claim: &Claim,
        is_own: impl FnOnce(SocketAddr) -> bool,
    ) -> Option<VoiceDropped> {
        let remote = claim.remote();
        if claim.is_new() && is_own(remote) {
            Some(VoiceDropped::AuthOwnAddress)
        } else if self.bans.contains(remote.ip()) {
            Some(VoiceDropped::AuthBanned)
        } else {
            None
        }
    }

    /// As [`VoiceRelayServer::room`](crate::relay::VoiceRelayServer::room).
    pub(crate) fn room(&mut self) -> Room<'_> {
        self.relay.room()
    }

    /// As [`VoiceRelayServer::recipients`](crate::relay::VoiceRelayServer::recipients).
    pub(crate) fn recipients(&mut self, speaker: Speaker) -> Result<Recipients<'_>, VoiceDropped> {
        #[cfg(feature = "simulation")]
        {
            let dropped = self.relay.place_of(speaker).err().map(Cause::from);
            let speaker = speaker.id();
            self.watched(Input::Turn { speaker, dropped });
        }
        self.relay.recipients(speaker)
    }
}
