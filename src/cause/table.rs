//! The table of causes: for each its type, its name and what it says.
//!
//! Each operation has a type of its own for its causes, so that no other cause can be passed there.
//! All of them together are a [`Cause`], which is what the counters, the statistics and the metrics
//! know. A new cause is one row here and one in `docs/running.md`.

use super::CauseKind;
use crate::name::NameError;
use std::fmt;

/// Defines [`Cause`], the type of each operation, and how one becomes the other. A row is the name in
/// its operation's type, the name in [`Cause`], the name in statistics and metrics, and the text. A row
/// without the last two is a cause that another operation has too, and is defined there.
macro_rules! causes {
    ($(
        $(#[$about:meta])*
        $operation:ident: $kind:ident {
            $($(#[$more:meta])* $variant:ident $(($detail:ty))? => $cause:ident
                $(, $name:literal, $text:literal)?;)+
        }
    )+) => {
        /// One reason for which input was turned away or a connection was closed, of any operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Cause {
            $($($(
                #[doc = concat!("`", $name, "`: ", $text, ".")]
                $cause,
            )?)+)+
        }

        impl Cause {
            /// Every cause, in the order of the table.
            pub const ALL: &'static [Cause] = &[$($($({ let _ = $name; Cause::$cause },)?)+)+];

            /// A short name in snake case, the same in logs, statistics and metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $($($(Cause::$cause => $name,)?)+)+
                }
            }

            /// What it is that was turned away or closed.
            pub fn kind(self) -> CauseKind {
                match self {
                    $($($(Cause::$cause => { let _ = $name; CauseKind::$kind })?)+)+
                }
            }
        }

        impl fmt::Display for Cause {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($($(Cause::$cause => $text,)?)+)+
                })
            }
        }

        $(
            $(#[$about])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            #[non_exhaustive]
            pub enum $operation {
                $(
                    #[doc = concat!("[`Cause::", stringify!($cause), "`]", $(": ", $text,)? ".")]
                    $(#[$more])*
                    $variant $(($detail))?,
                )+
            }

            impl $operation {
                /// As [`Cause::name`].
                pub fn name(self) -> &'static str {
                    Cause::from(self).name()
                }
            }

            impl From<$operation> for Cause {
                fn from(operation: $operation) -> Cause {
                    match operation {
                        $($operation::$variant { .. } => Cause::$cause,)+
                    }
                }
            }

            impl fmt::Display for $operation {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    Cause::from(*self).fmt(f)
                }
            }

            impl std::error::Error for $operation {}
        )+
    };
}

causes! {
    /// Why a VoiceAuthRequest is answered with `success = false`.
    VoiceAuthRefused: Datagram {
        UnknownToken => VoiceAuthUnknownToken, "voice_auth_unknown_token",
            "a VoiceAuthRequest with a token that is not alive";
        /// See [`Limits::voice_from_anywhere`](crate::limits::Limits::voice_from_anywhere).
        Elsewhere => VoiceAuthElsewhere, "voice_auth_elsewhere",
            "a VoiceAuthRequest from another address than its user's connection";
        NotSealed => VoiceAuthNotSealed, "voice_auth_not_sealed",
            "a plain VoiceAuthRequest of a user whose voice is sealed";
        Taken => VoiceAuthTaken, "voice_auth_taken",
            "a plain VoiceAuthRequest from an address that another user has proved under seal";
    }

    /// Why a datagram is dropped. Nothing is sent because of it.
    VoiceDropped: Datagram {
        UnknownSource => VoiceUnknownSource, "voice_unknown_source",
            "voice from an address that nobody has proved";
        NotInChannel => VoiceNotInChannel, "voice_not_in_channel",
            "voice of a user who is not in the voice channel";
        Muted => VoiceMuted, "voice_muted",
            "voice of a user who is muted";
        TooFast => VoiceTooFast, "voice_too_fast",
            "voice over its user's rate of datagrams or bytes";
        TooFastFromAddress => VoiceTooFastFromAddress, "voice_too_fast_from_address",
            "voice over the rate of datagrams or bytes of its user's address";
        /// See [`Limits::voice_age`](crate::limits::Limits::voice_age).
        TooLate => VoiceTooLate, "voice_too_late",
            "voice that has waited for too long";
        Overload => VoiceOverload, "voice_overload",
            "voice over its user's or address's share when more came than could go out";
        Malformed => DatagramMalformed, "datagram_malformed",
            "a datagram that is not a whole frame, or whose payload is shorter than its fields";
        UnknownId => DatagramUnknownId, "datagram_unknown_id",
            "a datagram with a packet id that is unknown or not one for UDP";
        /// See [`Limits::voice_bytes`](crate::limits::Limits::voice_bytes) and
        /// [`DATAGRAM_SLOT_BYTES`](crate::limits::DATAGRAM_SLOT_BYTES).
        TooLong => DatagramTooLong, "datagram_too_long",
            "voice with more data than is allowed, or a frame that does not fit into a slot";
        NotSealed => VoiceNotSealed, "voice_not_sealed",
            "plain voice of a user whose voice is sealed";
        UnknownKey => SealUnknownKey, "seal_unknown_key",
            "a sealed datagram with a key id that no user has";
        NotAuthentic => SealNotAuthentic, "seal_not_authentic",
            "a sealed datagram that is forged, damaged, or sealed with another key";
        Replayed => SealReplayed, "seal_replayed",
            "a sealed datagram that came before";
        OutOfReach => SealOutOfReach, "seal_out_of_reach",
            "a sealed datagram whose counter is too old, or whose epoch is not accepted";
        /// See [`WRONG_TAGS_PER_SECOND`](crate::limits::WRONG_TAGS_PER_SECOND).
        Unopened => SealUnopened, "seal_unopened",
            "a sealed datagram from an unproved address, after too many forged ones with that key id";
        PathWrong => SealPathWrong, "seal_path_wrong",
            "a PathResponse whose value does not belong to its address";
        PathUnchallenged => SealPathUnchallenged, "seal_path_unchallenged",
            "a sealed VoiceAuthRequest from an unproved address, over its user's rate of challenges";
        AuthUnanswered => VoiceAuthUnanswered, "voice_auth_unanswered",
            "a VoiceAuthRequest to be refused from an address that has had its share of refusals";
        AuthBanned => VoiceAuthBanned, "voice_auth_banned",
            "a VoiceAuthRequest from a banned address";
        AuthOwnAddress => VoiceAuthOwnAddress, "voice_auth_own_address",
            "a VoiceAuthRequest with a live token from the server's own voice port";
    }

    /// What goes wrong at the voice socket.
    UdpFailed: Datagram {
        SendBufferFull => SendBufferFull, "send_buffer_full",
            "a datagram that the kernel did not take because the socket's send buffer was full";
        Send => SendFailed, "send_failed",
            "a datagram that the kernel refused to send to its one destination";
        Receive => ReceiveFailed, "receive_failed",
            "an error of the kernel on receiving from the voice socket";
        Exhausted => SealExhausted, "seal_exhausted",
            "a datagram for a listener whose key has sealed as many as it may";
    }

    /// Why a login is refused.
    LoginRefused: Frame {
        BadName(NameError) => LoginBadName, "login_bad_name",
            "a login with a name that nobody can have";
        NotEncrypted => LoginNotEncrypted, "login_not_encrypted",
            "a login on a connection that is not encrypted, where each has to be";
        PasswordMissing => LoginPasswordMissing, "login_password_missing",
            "a login without a password, where one is needed";
        PasswordWrong => LoginPasswordWrong, "login_password_wrong",
            "a login with a password that is wrong or no longer valid";
        GuessedTooOften => LoginGuessedTooOften, "login_guessed_too_often",
            "a login with a password or proof, from an address with too many wrong ones";
        NameReserved => LoginNameReserved, "login_name_reserved",
            "a login with a reserved name, without its secret or with a wrong one";
        NameInUse => LoginNameInUse, "login_name_in_use",
            "a login with a name that somebody has, where each may be there once";
        ServerFull => LoginServerFull, "login_server_full",
            "a login on a full server";
        TooFast => LoginTooFast, "login_too_fast",
            "a login over the rate of its address";
        BroadcastTooMuch => BroadcastTooMuch;
    }

    /// What a frame is that is not handled as its sender meant it.
    FrameIgnored: Frame {
        /// It is answered with what the first login has given.
        LoginRepeated => LoginRepeated, "login_repeated",
            "a second login on one connection";
        BeforeLogin => RequestBeforeLogin, "request_before_login",
            "a request that needs a login, before it";
        UnknownId => FrameUnknownId, "frame_unknown_id",
            "a frame with an unknown packet id, skipped by its length";
        UnexpectedId => FrameUnexpectedId, "frame_unexpected_id",
            "a frame with a known id that no client may send on TCP";
    }

    /// Why a chat message is refused.
    ChatRefused: Frame {
        Empty => ChatEmpty, "chat_empty",
            "a chat message without text";
        /// See [`Limits::chat_bytes`](crate::limits::Limits::chat_bytes).
        TooLong => ChatTooLong, "chat_too_long",
            "a chat message that is too long";
        TooFast => ChatTooFast, "chat_too_fast",
            "a chat message over its user's rate";
        BroadcastTooMuch => BroadcastTooMuch, "broadcast_too_much",
            "a login or a chat message over what its address, or all together, may make everyone read";
    }

    /// Why a change of a user's voice or mute state is not announced at once.
    StateDeferred: Frame {
        /// It is over its user's rate, or over what everyone may be made to read.
        TooFast => StateToldLater, "state_told_later",
            "a change of voice or mute state that is announced later, the last state alone";
    }

    /// Why a connection is refused. The cause has been counted.
    ConnectionRefused: Refusal {
        Banned => RefusedBanned, "refused_banned",
            "the address is banned";
        TooOften => RefusedTooOften, "refused_too_often",
            "the address connects too often";
        TooManyFromAddress => RefusedTooManyFromAddress, "refused_too_many_from_address",
            "the address has too many connections";
        TooManyPending => RefusedTooManyPending, "refused_too_many_pending",
            "the address has too many connections that have not logged in";
    }

    /// Why the kernel's next connection is not accepted.
    AcceptFailed: Refusal {
        NoDescriptors => RefusedNoDescriptors, "refused_no_descriptors",
            "the process or the system has no descriptors left";
        /// Even the descriptor to refuse connections with may have run out.
        Paused => AcceptPaused, "accept_paused",
            "the kernel's memory for sockets has run out, so that accepting pauses";
        Broken => AcceptFailed, "accept_failed",
            "the connection broke before it could be accepted or set up";
    }

    /// Why a connection is closed.
    Ended: End {
        ByPeer => ClosedByPeer, "closed_by_peer",
            "the client closed the connection";
        LoginRefused => ClosedLoginRefused, "closed_login_refused",
            "the login was refused";
        /// It was reset, or the system gave it up.
        Broken => ClosedBroken, "closed_broken",
            "the connection broke";
        Malformed => ClosedMalformed, "closed_malformed",
            "the client sent a payload that is shorter than its fields, or not UTF-8";
        /// The client rejected the certificate, does not know TLS 1.3, or sent something else.
        TlsHandshake => ClosedTlsHandshake, "closed_tls_handshake",
            "the TLS handshake failed";
        /// It was changed on its way, or the client is at fault.
        TlsBroken => ClosedTlsBroken, "closed_tls_broken",
            "a TLS record could not be opened";
        /// It was the oldest of all, or one too many of its address.
        Handshakes => ClosedHandshakes, "closed_handshakes",
            "too many TLS handshakes were under way";
        Http => ClosedHttp, "closed_http",
            "the client speaks HTTP";
        TooSlow => ClosedTooSlow, "closed_too_slow",
            "the client read so slowly that its queue was full";
        /// See [`Limits::stall_timeout`](crate::limits::Limits::stall_timeout).
        Stalled => ClosedStalled, "closed_stalled",
            "the client took nothing of what waited for it for too long";
        /// See [`Limits::dead_peer_timeout`](crate::limits::Limits::dead_peer_timeout).
        Vanished => ClosedVanished, "closed_vanished",
            "the client's machine did not answer for too long";
        Banned => ClosedBanned, "closed_banned",
            "the address was banned";
        ByApplication => ClosedByApplication, "closed_by_application",
            "the application that runs the server disconnected the user";
        /// It was the oldest of too many, or one of too many in the middle of long frames.
        CrowdedOut => ClosedCrowdedOut, "closed_crowded_out",
            "the connection had not logged in, and another needed its place";
        /// See [`Limits::login_timeout`](crate::limits::Limits::login_timeout).
        LoginDeadline => ClosedLoginDeadline, "closed_login_deadline",
            "the client did not log in in time";
        ServerStopped => ClosedServerStopped, "closed_server_stopped",
            "the server stopped";
        /// It was accepted, but its events cannot be waited for.
        NotSetUp => AcceptFailed;
    }
}
