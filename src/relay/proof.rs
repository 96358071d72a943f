//! VoiceAuthRequests, in two phases: the relay reads one and makes a [`Claim`] of it, and the
//! switchboard, which knows the bans and the server's own addresses, has it decided or refused.

use super::tables::{Route, UserKey};
use super::{Verdict, VoiceRelayServer, not_whole};
use crate::cause::{VoiceAuthRefused, VoiceDropped};
use crate::event::{Now, Source, UdpPath, VoiceToken};
use crate::protocol::{Frame, Packet, voice_auth_response};
use std::net::SocketAddr;

/// What a VoiceAuthRequest asks for. It has changed nothing yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    path: UdpPath,
    /// The request, or why it cannot be read.
    question: Result<Question, VoiceDropped>,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    request_id: u64,
    token: VoiceToken,
    /// The token's user.
    user: Option<UserKey>,
    /// Whether this user may have the address, and whether it is not the user's already.
    is_permitted: bool,
    is_new: bool,
}

impl Claim {
    /// The address that it came from.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.path.remote
    }

    /// Whether a decision would give a user a new address.
    pub(crate) fn is_new(&self) -> bool {
        self.question.is_ok_and(|it| it.is_permitted && it.is_new)
    }
}

impl VoiceRelayServer {
    /// Reads a VoiceAuthRequest.
    pub(super) fn read_claim(&self, path: UdpPath, datagram: &[u8]) -> Claim {
        let question = match Frame::first_of(datagram).map(|frame| frame.parse()) {
            Ok(Ok(Packet::VoiceAuthRequest {
                request_id,
                voice_token: token,
            })) => {
                let user = self.tables.by_token.get(&token).copied();
                Ok(Question {
                    request_id,
                    token,
                    user,
                    is_permitted: user.is_some_and(|user| self.may_bind(user, path)),
                    is_new: user.is_some_and(|user| {
                        self.tables.user(user).route != Some(Route::Plain(path))
                    }),
                })
            }
            Ok(_) => Err(VoiceDropped::Malformed),
            Err(_) => Err(not_whole(datagram.len())),
        };
        Claim { path, question }
    }

    /// Decides a claim that nothing outside the relay speaks against.
    /// Rules 9a, 9b and 9d.
    pub(crate) fn decide(&mut self, now: Now, claim: Claim) -> Verdict<'static, 'static> {
        let Question {
            request_id,
            token,
            user,
            is_permitted,
            ..
        } = match claim.question {
            Ok(question) => question,
            Err(cause) => return self.drop_counted(cause),
        };
        if let Some(user) = user.filter(|_| is_permitted) {
            self.tables.bind(user, Route::Plain(claim.path));
            return Verdict::Answer(voice_auth_response(request_id, true));
        }
        let source = Source::of(claim.path.remote.ip());
        if !self.false_answers.allow(now.instant, source) {
            return self.drop_counted(VoiceDropped::AuthUnanswered);
        }
        self.counters.count(match user {
            Some(_) => VoiceAuthRefused::Elsewhere,
            None => VoiceAuthRefused::UnknownToken,
        });
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

    /// Whether a user's address may be this one.
    /// Rule 9e.
    fn may_bind(&self, user: UserKey, path: UdpPath) -> bool {
        self.voice_from_anywhere || Source::of(path.remote.ip()) == self.tables.source_of(user)
    }
}
