//! Why something was refused, skipped, dropped or ended, and how often. Nothing the server turns
//! away goes uncounted, and this is the one list of reasons.

mod refused;

pub use refused::ConnectionRefused;

/// Defines the enumeration together with the list of its values, their kinds and their names, so
/// that these cannot differ.
macro_rules! causes {
    ($($kind:ident { $($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+ })+) => {
        /// One reason for which input was turned away or a connection ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Cause {
            $($($(#[doc = $doc])+ $variant,)+)+
        }

        impl Cause {
            /// Every cause, in the order of declaration.
            pub const ALL: &'static [Cause] = &[$($(Cause::$variant,)+)+];

            /// A short name in snake case, the same in logs, statistics and metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Cause::$variant => $name,)+)+
                }
            }

            /// What it is that was turned away or ended.
            pub fn kind(self) -> CauseKind {
                match self {
                    $($(Cause::$variant => CauseKind::$kind,)+)+
                }
            }
        }
    };
}

/// What it is that was turned away or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CauseKind {
    /// A datagram, on its way in or out.
    Datagram,
    /// A request or another frame on TCP: refused, ignored or put off.
    Frame,
    /// A connection that was not taken in.
    Refusal,
    /// A connection that ended.
    End,
}

causes! {
    Datagram {
        /// A voice datagram from an address that nobody has proved.
        VoiceUnknownSource => "voice_unknown_source",
        /// A voice datagram from a user who is not in the voice channel.
        VoiceNotInChannel => "voice_not_in_channel",
        /// A voice datagram from a user who is muted.
        VoiceMuted => "voice_muted",
        /// A voice datagram over its user's rate of datagrams or bytes.
        VoiceTooFast => "voice_too_fast",
        /// A voice datagram over the rate of datagrams or bytes of its user's address.
        VoiceTooFastFromAddress => "voice_too_fast_from_address",
        /// A voice datagram that has waited longer than
        /// [`Limits::voice_age`](crate::limits::Limits::voice_age).
        VoiceTooLate => "voice_too_late",
        /// A voice datagram over its user's or address's share when more came than could go out.
        VoiceOverload => "voice_overload",
        /// A datagram that is not a whole frame, or whose payload is shorter than its fields.
        DatagramMalformed => "datagram_malformed",
        /// A datagram with a packet id that is unknown or has no business on UDP.
        DatagramUnknownId => "datagram_unknown_id",
        /// A voice datagram with more data than
        /// [`Limits::voice_bytes`](crate::limits::Limits::voice_bytes), or a frame that does not fit
        /// into [`DATAGRAM_SLOT_BYTES`](crate::limits::DATAGRAM_SLOT_BYTES).
        DatagramTooLong => "datagram_too_long",
        /// A VoiceAuthRequest with a token that is not alive, answered false.
        VoiceAuthUnknownToken => "voice_auth_unknown_token",
        /// A VoiceAuthRequest with a live token, but from another address than its user's connection,
        /// answered false: see [`Limits::voice_from_anywhere`](crate::limits::Limits::voice_from_anywhere).
        VoiceAuthElsewhere => "voice_auth_elsewhere",
        /// One of these, but not answered: its source has had its share of such answers.
        VoiceAuthUnanswered => "voice_auth_unanswered",
        /// A VoiceAuthRequest from a banned address, not answered.
        VoiceAuthBanned => "voice_auth_banned",
        /// A VoiceAuthRequest with a live token from the server's own voice port, not answered.
        VoiceAuthOwnAddress => "voice_auth_own_address",
        /// A datagram that the kernel did not take because the socket's send buffer was full.
        SendBufferFull => "send_buffer_full",
        /// A datagram that the kernel refused to send to its one destination.
        SendFailed => "send_failed",
        /// The kernel reported an error on receiving from the voice socket.
        ReceiveFailed => "receive_failed",
    }

    Frame {
        /// A login with a name that [`accept`](crate::name::accept) refuses.
        LoginBadName => "login_bad_name",
        /// A login on a full server.
        LoginServerFull => "login_server_full",
        /// A login over its address's rate.
        LoginTooFast => "login_too_fast",
        /// A second login on one connection, answered with what the first has given.
        LoginRepeated => "login_repeated",
        /// A request that needs a login, before it.
        RequestBeforeLogin => "request_before_login",
        /// A chat message without text.
        ChatEmpty => "chat_empty",
        /// A chat message over [`Limits::chat_bytes`](crate::limits::Limits::chat_bytes).
        ChatTooLong => "chat_too_long",
        /// A chat message over its user's rate.
        ChatTooFast => "chat_too_fast",
        /// A login or a chat message over what its address, or all together, may make everyone read.
        BroadcastTooMuch => "broadcast_too_much",
        /// A change of someone's voice or mute state over the rate, or over what everyone may be made to
        /// read: the others are told later, of the last state alone.
        StateToldLater => "state_told_later",
        /// A frame with an unknown packet id, skipped by its length.
        FrameUnknownId => "frame_unknown_id",
        /// A frame with a known id that no client may send on TCP, ignored.
        FrameUnexpectedId => "frame_unexpected_id",
    }

    Refusal {
        /// A connection refused because its address is banned.
        RefusedBanned => "refused_banned",
        /// A connection refused because its address connects too often.
        RefusedTooOften => "refused_too_often",
        /// A connection refused because its address has as many as it may.
        RefusedTooManyFromAddress => "refused_too_many_from_address",
        /// A connection refused because its address has as many as it may that have not logged in.
        RefusedTooManyPending => "refused_too_many_pending",
        /// A connection refused because the process or the system has no descriptors left.
        RefusedNoDescriptors => "refused_no_descriptors",
        /// Accepting paused because the kernel's memory for sockets, or even the descriptor to refuse
        /// connections with, had run out.
        AcceptPaused => "accept_paused",
        /// A connection that ended before it could be accepted or set up.
        AcceptFailed => "accept_failed",
    }

    End {
        /// A connection ended because its client closed it.
        ClosedByPeer => "closed_by_peer",
        /// A connection ended because its login was refused.
        ClosedLoginRefused => "closed_login_refused",
        /// A connection ended because it broke: reset, or given up by the system.
        ClosedBroken => "closed_broken",
        /// A connection ended because of a payload shorter than its fields, or not UTF-8.
        ClosedMalformed => "closed_malformed",
        /// A connection ended because its reader was so slow that its queue reached its bound.
        ClosedTooSlow => "closed_too_slow",
        /// A connection ended because it took nothing of what waited for it in
        /// [`Limits::stall_timeout`](crate::limits::Limits::stall_timeout).
        ClosedStalled => "closed_stalled",
        /// A connection ended because its client's machine was not heard of in
        /// [`Limits::dead_peer_timeout`](crate::limits::Limits::dead_peer_timeout).
        ClosedVanished => "closed_vanished",
        /// A connection ended because its address was banned.
        ClosedBanned => "closed_banned",
        /// A connection ended because the application that the server is inside of disconnected its user.
        ClosedByApplication => "closed_by_application",
        /// A connection ended that had not logged in, for another to have its place: it was the oldest of
        /// too many, or one of too many in the middle of long frames.
        ClosedCrowdedOut => "closed_crowded_out",
        /// A connection ended because it did not log in within
        /// [`Limits::login_timeout`](crate::limits::Limits::login_timeout).
        ClosedLoginDeadline => "closed_login_deadline",
        /// A connection ended because the server stopped.
        ClosedServerStopped => "closed_server_stopped",
    }
}

/// How often each [`Cause`] occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters([u64; Cause::ALL.len()]);

impl Counters {
    /// All at zero.
    pub const fn new() -> Self {
        Counters([0; Cause::ALL.len()])
    }

    /// Counts one occurrence.
    pub fn count(&mut self, cause: impl Into<Cause>) {
        self.count_many(cause.into(), 1);
    }

    /// Counts so many occurrences.
    pub fn count_many(&mut self, cause: Cause, occurrences: u64) {
        self.0[cause as usize] += occurrences;
    }

    /// How often `cause` occurred.
    pub fn get(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    /// Adds everything that `other` has counted.
    pub fn add(&mut self, other: &Counters) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// The causes that occurred at all, with their counts, in the order of declaration.
    pub fn occurred(&self) -> impl Iterator<Item = (Cause, u64)> + '_ {
        Cause::ALL
            .iter()
            .map(|&cause| (cause, self.get(cause)))
            .filter(|&(_, count)| count > 0)
    }
}

impl Default for Counters {
    fn default() -> Self {
        Counters::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_counter_and_name() {
        for (position, &cause) in Cause::ALL.iter().enumerate() {
            let mut counters = Counters::new();
            counters.count(cause);
            assert_eq!(counters.occurred().collect::<Vec<_>>(), [(cause, 1)]);
            let earlier = &Cause::ALL[..position];
            assert!(earlier.iter().all(|other| other.name() != cause.name()));
        }
    }
}
