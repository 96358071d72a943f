//! Where the targets make the server, let connections in, and give it its turns. When one of these
//! changes its shape, this is the one place to follow.

use super::input::Input;
use voiceapp_server::Rates;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::{ConnectionId, Now, VoiceToken};
use voiceapp_server::relay::{HashKey, VoiceRelayServer};
use voiceapp_server::switchboard::{Deliver, Switchboard};

/// Any key would do; with this one, none of the targets' sources share a place among the answers of
/// false.
const KEY: HashKey = HashKey(1, 2);

/// Usual rates, none, or some that are soon reached.
pub fn rates(input: &mut Input<'_>) -> Rates {
    match input.below(3) {
        0 => Rates::default(),
        1 => Rates::UNLIMITED,
        _ => Rates {
            voice_datagrams: 3,
            voice_bytes: 100,
            ..Rates::default()
        },
    }
}

pub fn relay(max_users: usize, rates: Rates) -> VoiceRelayServer {
    VoiceRelayServer::new(max_users, rates, KEY)
}

pub fn switchboard(max_users: usize, rates: Rates) -> Switchboard {
    Switchboard::new(max_users, rates, KEY)
}

pub fn connect(
    switchboard: &mut Switchboard,
    now: Now,
    connection: ConnectionId,
    token: u64,
) -> Result<(), Cause> {
    switchboard.handle_connect(now, connection, VoiceToken(token))
}

/// Whatever the server tells of its own accord once its time has come, as the loop lets it do every
/// turn. Today every announcement is made at once, so that nothing is ever due.
pub fn tell_what_is_due(
    _switchboard: &mut Switchboard,
    _now: Now,
    _connections: &mut impl Deliver,
) {
}
