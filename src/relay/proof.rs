//! Proofs of addresses, in two phases: the relay reads one and makes a [`Claim`] of it, and the
//! switchboard, which knows the bans and the server's own addresses, has it decided or refused.

use super::tables::{Route, UserKey};
use super::{Verdict, VoiceRelayServer, not_whole};
use crate::cause::{VoiceAuthRefused, VoiceDropped};
use crate::event::{Now, Source, UdpPath, VoiceToken};
use crate::protocol::{Frame, Packet, voice_auth_response};
use std::net::SocketAddr;

/// What a datagram asks for. It has changed nothing yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    path: UdpPath,
    /// What was asked, or why that cannot be read.
    question: Result<Question, VoiceDropped>,
}

#[derive(Clone, Copy, Debug)]
enum Question {
    Plain(PlainQuestion),
    Sealed(SealedQuestion),
}

/// A VoiceAuthRequest without a seal.
#[derive(Clone, Copy, Debug)]
struct PlainQuestion {
    request_id: u64,
    token: VoiceToken,
    /// Whose the address will be, or why nobody's.
    user: Result<UserKey, VoiceAuthRefused>,
    /// Whether it is another address than the one they have.
    is_new: bool,
}

/// What was in an authentic sealed datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct SealedQuestion {
    pub(super) user: UserKey,
    pub(super) asked: Asked,
    /// Whether this user may have the address, and whether it is another than the one they have.
    pub(super) is_permitted: bool,
    pub(super) is_new: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// A VoiceAuthRequest, and whether its token is the user's.
    Address(u64, bool),
    /// A PathResponse.
    Echo(u64),
    /// It is voice.
    Nothing,
}

impl Claim {
    pub(super) fn sealed(path: UdpPath, question: SealedQuestion) -> Self {
        let question = Ok(Question::Sealed(question));
        Claim { path, question }
    }

    pub(super) fn path(&self) -> UdpPath {
        self.path
    }

    /// Where it came from.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.path.remote
    }

    /// Whether to decide it could give a user an address that they do not have.
    pub(crate) fn is_new(&self) -> bool {
        match self.question {
            Ok(Question::Plain(plain)) => plain.user.is_ok() && plain.is_new,
            Ok(Question::Sealed(sealed)) => sealed.is_permitted && sealed.is_new,
            Err(_) => false,
        }
    }

    /// Whose voice it came with, if that user may have the address.
    pub(super) fn wants_challenge(&self) -> Option<UserKey> {
        match self.question {
            Ok(Question::Sealed(sealed)) if sealed.is_permitted => Some(sealed.user),
            _ => None,
        }
    }
}

impl VoiceRelayServer {
    /// Reads a plain VoiceAuthRequest.
    pub(super) fn read_claim(&self, path: UdpPath, datagram: &[u8]) -> Claim {
        let question = match Frame::first_of(datagram).map(|frame| frame.parse()) {
            Ok(Ok(Packet::VoiceAuthRequest {
                request_id,
                voice_token: token,
            })) => {
                let user = self.owner_of(token, path);
                Ok(Question::Plain(PlainQuestion {
                    request_id,
                    token,
                    user,
                    is_new: user
                        .is_ok_and(|user| self.tables.user(user).route != Some(Route::Plain(path))),
                }))
            }
            Ok(_) => Err(VoiceDropped::Malformed),
            Err(_) => Err(not_whole(datagram.len())),
        };
        Claim { path, question }
    }

    /// Decides a claim that nothing outside the relay speaks against.
    /// Rules 9a, 9b and 9d.
    pub(crate) fn decide(&mut self, now: Now, claim: Claim) -> Verdict<'static, 'static> {
        let PlainQuestion {
            request_id,
            token,
            user,
            ..
        } = match claim.question {
            Ok(Question::Plain(question)) => question,
            Ok(Question::Sealed(question)) => return self.decide_sealed(now, claim.path, question),
            Err(cause) => return self.drop_counted(cause),
        };
        let refused = match user {
            Ok(user) => {
                self.tables.bind(user, Route::Plain(claim.path));
                return Verdict::Answer(voice_auth_response(request_id, true));
            }
            Err(refused) => refused,
        };
        let source = Source::of(claim.path.remote.ip());
        if !self.false_answers.allow(now.instant, source) {
            return self.drop_counted(VoiceDropped::AuthUnanswered);
        }
        self.counters.count(refused);
        match token {
            VoiceToken(0) => Verdict::AnswerAndEnd(voice_auth_response(request_id, false)),
            _ => Verdict::Answer(voice_auth_response(request_id, false)),
        }
    }

    /// Refuses a claim for a reason that the relay does not know. It is not answered.
    pub(crate) fn refuse(
        &mut self,
        _claim: Claim,
        cause: VoiceDropped,
    ) -> Verdict<'static, 'static> {
        self.drop_counted(cause)
    }

    /// Who may have this address for this token.
    /// Rules 15a and 15k.
    fn owner_of(&self, token: VoiceToken, path: UdpPath) -> Result<UserKey, VoiceAuthRefused> {
        let user = self.tables.by_token.get(&token);
        let user = *user.ok_or(VoiceAuthRefused::UnknownToken)?;
        if self.tables.user(user).seal.is_some() {
            Err(VoiceAuthRefused::NotSealed)
        } else if !self.may_bind(user, path) {
            Err(VoiceAuthRefused::Elsewhere)
        } else if self.tables.is_sealed_for_another(path.remote, user) {
            Err(VoiceAuthRefused::Taken)
        } else {
            Ok(user)
        }
    }

    /// Whether a user's address may be this one.
    /// Rules 9e and 15l.
    pub(super) fn may_bind(&self, user: UserKey, path: UdpPath) -> bool {
        self.voice_from_anywhere || Source::of(path.remote.ip()) == self.tables.source_of(user)
    }
}
