//! The limits that are in force, a gauge each, so that "nearly full" can be an alert that needs no
//! figure of its own.
//!
//! Each bears the name of its option, and base units. Where there is no limit it is infinite, so that
//! a share of it is 0.

use super::Page;
use crate::limits::Limits;

/// Writes all of them. A new field of [`Limits`] has no place here until it is named below.
pub(super) fn write(page: &mut Page, limits: &Limits) {
    let Limits {
        users,
        pending_connections,
        connections_per_address,
        connection_rate,
        login_rate,
        login_timeout,
        stall_timeout,
        dead_peer_timeout,
        outbound_bytes,
        chat_rate,
        chat_bytes,
        state_rate,
        broadcast_bandwidth_per_address,
        broadcast_bandwidth,
        voice_rate,
        voice_bandwidth,
        voice_rate_per_address,
        voice_bandwidth_per_address,
        voice_age,
        voice_bytes,
        // A choice and no limit.
        voice_from_anywhere: _,
    } = *limits;
    #[rustfmt::skip]
    let gauges = [
        ("users", "--max-users", "Users who are logged in", users as f64),
        ("pending_connections", "--max-pending-connections", "Connections that have not logged in", pending_connections as f64),
        ("connections_per_address", "--max-connections-per-address", "Connections from one address", or_infinite(connections_per_address as f64)),
        ("connection_rate_per_minute", "--max-connection-rate", "Connections a minute from one address", or_infinite(connection_rate.into())),
        ("login_rate_per_minute", "--max-login-rate", "Logins a minute from one address", or_infinite(login_rate.into())),
        ("login_timeout_seconds", "--login-timeout", "Time from connecting to being logged in", login_timeout.as_secs_f64()),
        ("stall_timeout_seconds", "--stall-timeout", "Time in which a connection takes nothing of what waits for it", stall_timeout.as_secs_f64()),
        ("dead_peer_timeout_seconds", "--dead-peer-timeout", "Time until a client that has vanished is gone", dead_peer_timeout.as_secs_f64()),
        ("outbound_memory_bytes", "--max-outbound-memory", "Bytes queued for all connections", outbound_bytes as f64),
        ("chat_rate_per_second", "--max-chat-rate", "Chat messages a second from one user", or_infinite(chat_rate.into())),
        ("chat_bytes", "--max-chat-bytes", "Bytes in a chat message", chat_bytes as f64),
        ("state_rate_per_second", "--max-state-rate", "Events a second about one user", or_infinite(state_rate.into())),
        ("broadcast_bandwidth_per_address_bytes_per_second", "--max-broadcast-bandwidth-per-address", "Bytes a second that the users of one address make everyone read", or_infinite(broadcast_bandwidth_per_address.into())),
        ("broadcast_bandwidth_bytes_per_second", "--max-broadcast-bandwidth", "Bytes a second that all users together make everyone read", or_infinite(broadcast_bandwidth.into())),
        ("voice_rate_per_second", "--max-voice-rate", "Voice datagrams a second from one user", or_infinite(voice_rate.into())),
        ("voice_bandwidth_bytes_per_second", "--max-voice-bandwidth", "Bytes of voice frames a second from one user", or_infinite(voice_bandwidth.into())),
        ("voice_rate_per_address_per_second", "--max-voice-rate-per-address", "Voice datagrams a second from all users of one address", or_infinite(voice_rate_per_address.into())),
        ("voice_bandwidth_per_address_bytes_per_second", "--max-voice-bandwidth-per-address", "Bytes of voice frames a second from all users of one address", or_infinite(voice_bandwidth_per_address.into())),
        ("voice_age_seconds", "--max-voice-age", "Time that voice has waited and is relayed still", voice_age.as_secs_f64()),
        ("voice_bytes", "--max-voice-bytes", "Bytes of voice in one datagram", voice_bytes as f64),
    ];
    for (name, option, what, limit) in gauges {
        let limit = match limit {
            f64::INFINITY => "+Inf".into(),
            limit => limit.to_string(),
        };
        let name = format!("voiceapp_limit_{name}");
        page.gauge(&name, &format!("{what}, at most ({option})."), limit);
    }
}

/// What is set, where 0 is for no limit.
fn or_infinite(set: f64) -> f64 {
    if set == 0.0 { f64::INFINITY } else { set }
}
