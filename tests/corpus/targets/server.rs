//! Where the targets make the server, let connections in, and give it its turns. When one of these
//! changes its shape, this is the one place to follow.

use super::input::Input;
use voiceapp_server::cause::Cause;
use voiceapp_server::event::{ConnectionId, Now, VoiceToken};
use voiceapp_server::relay::VoiceRelayServer;
use voiceapp_server::switchboard::{Deliver, Switchboard};
use voiceapp_server::{HashKey, Limits};

/// Any key would do; with this one, none of the targets' sources share a place among the answers of
/// false.
const KEY: HashKey = HashKey(1, 2);

/// Usual rates of one, none, or some that are soon reached. What depends on all together is for the
/// simulation.
pub fn limits(input: &mut Input<'_>) -> Limits {
    match input.below(3) {
        0 => Limits {
            broadcast_bandwidth_per_address: 0,
            broadcast_bandwidth: 0,
            login_rate: 0,
            ..Limits::default()
        },
        1 => Limits::UNLIMITED,
        _ => Limits {
            state_rate: 1,
            voice_rate: 3,
            voice_bandwidth: 100,
            voice_rate_per_address: 5,
            ..Limits::UNLIMITED
        },
    }
}

pub fn relay(limits: Limits) -> VoiceRelayServer {
    VoiceRelayServer::new(limits, KEY)
}

pub fn switchboard(limits: Limits) -> Switchboard {
    Switchboard::new(limits, KEY)
}

/// All come from one address, and no input is long enough for that to be too often.
pub fn connect(
    switchboard: &mut Switchboard,
    now: Now,
    connection: ConnectionId,
    token: u64,
    connections: &mut impl Deliver,
) -> Result<(), Cause> {
    let (address, token) = ([192, 0, 2, 1].into(), VoiceToken(token));
    let result = switchboard.handle_connect(now, connection, address, token, connections);
    result.map_err(Cause::from)
}

/// Whatever the server does of its own accord once its time has come, one at a time, as the loop lets it
/// do every turn. Says whether there was something.
pub fn tick(switchboard: &mut Switchboard, now: Now, connections: &mut impl Deliver) -> bool {
    switchboard.handle_tick(now, connections)
}
