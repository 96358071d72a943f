//! The table of settings: options, variables, defaults, ranges and the words of `--help`.

use super::{Config, ConfigError, UdpSend};
use crate::limits::{
    CHAT_BYTES_MAX, MAX_USERS_CEILING, PENDING_CONNECTIONS_CEILING, RATE_CEILING,
    VOICE_DATA_BYTES_MAX,
};
use crate::quoted::Quoted;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

/// One setting: an option and the environment variable that it beats.
pub(super) struct Setting {
    pub(super) option: &'static str,
    pub(super) variable: &'static str,
    /// What stands for the value in `--help`.
    pub(super) value: &'static str,
    pub(super) help: &'static str,
    /// What a value must be, for `--help` and for errors.
    pub(super) expected: &'static str,
    /// Takes a value over if it is one.
    pub(super) set: fn(&mut Config, &str) -> Option<()>,
    pub(super) show: fn(&Config) -> String,
}

impl Setting {
    pub(super) fn error(&self, name: &str, value: &str) -> ConfigError {
        ConfigError::new(format!(
            "{name}: {} is not {}",
            Quoted(value),
            self.expected
        ))
    }
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        option: "management-port",
        variable: "MANAGEMENT_PORT",
        value: "PORT",
        help: "TCP port for login, presence and chat; 0 lets the system choose",
        expected: "a port from 0 to 65535",
        set: |config, text| text.parse().ok().map(|port| config.management_port = port),
        show: |config| config.management_port.to_string(),
    },
    Setting {
        option: "voice-relay-port",
        variable: "VOICE_RELAY_PORT",
        value: "PORT",
        help: "UDP port for voice; 0 lets the system choose",
        expected: "a port from 0 to 65535",
        set: |config, text| text.parse().ok().map(|port| config.voice_relay_port = port),
        show: |config| config.voice_relay_port.to_string(),
    },
    Setting {
        option: "bind-address",
        variable: "BIND_ADDRESS",
        value: "ADDRESS",
        help: "address to listen on; any is all of them, 0.0.0.0 all of IPv4 alone",
        expected: "an IPv4 or IPv6 address of this machine, or any",
        set: |config, text| {
            config.bind_address = match text {
                "any" => None,
                text => Some(text.parse().ok().filter(|address: &IpAddr| {
                    !address.is_multicast() && *address != Ipv4Addr::BROADCAST
                })?),
            };
            Some(())
        },
        show: |config| {
            let address = config.bind_address;
            address.map_or("any".into(), |address| address.to_string())
        },
    },
    Setting {
        option: "max-users",
        variable: "MAX_USERS",
        value: "N",
        help: "users logged in at a time; tables for them are set aside at start",
        expected: "a whole number from 1 to 100000",
        set: |config, text| {
            parse_within(text, 1, MAX_USERS_CEILING).map(|number| config.limits.users = number)
        },
        show: |config| config.limits.users.to_string(),
    },
    Setting {
        option: "max-pending-connections",
        variable: "MAX_PENDING_CONNECTIONS",
        value: "N",
        help: "connections that have not logged in, at a time; one more ends the oldest",
        expected: "a whole number from 4 to 65536",
        set: |config, text| {
            parse_within(text, 4, PENDING_CONNECTIONS_CEILING)
                .map(|number| config.limits.pending_connections = number)
        },
        show: |config| config.limits.pending_connections.to_string(),
    },
    Setting {
        option: "max-connections-per-address",
        variable: "MAX_CONNECTIONS_PER_ADDRESS",
        value: "N",
        help: "connections from an IPv4 address or IPv6 /64; 0: no limit, as behind a proxy",
        expected: "a whole number from 0 to 100000",
        set: |config, text| {
            parse_within(text, 0, MAX_USERS_CEILING)
                .map(|number| config.limits.connections_per_address = number)
        },
        show: |config| config.limits.connections_per_address.to_string(),
    },
    Setting {
        option: "max-connection-rate",
        variable: "MAX_CONNECTION_RATE",
        value: "N",
        help: "connections a minute from an address, burst 2 min, over it refused for 60 s; 0: no limit",
        expected: EXPECTED_RATE,
        set: |config, text| parse_rate(text).map(|rate| config.limits.connection_rate = rate),
        show: |config| config.limits.connection_rate.to_string(),
    },
    Setting {
        option: "max-login-rate",
        variable: "MAX_LOGIN_RATE",
        value: "N",
        help: "logins a minute from an address, burst 2 min, over it refused; 0: no limit",
        expected: EXPECTED_RATE,
        set: |config, text| parse_rate(text).map(|rate| config.limits.login_rate = rate),
        show: |config| config.limits.login_rate.to_string(),
    },
    Setting {
        option: "login-timeout",
        variable: "LOGIN_TIMEOUT",
        value: "SECONDS",
        help: "time from connecting to being logged in; less frees places sooner, but cuts off bad lines",
        expected: "a whole number of seconds from 1 to 300",
        set: |config, text| {
            parse_seconds(text, 1, 300).map(|time| config.limits.login_timeout = time)
        },
        show: |config| config.limits.login_timeout.as_secs().to_string(),
    },
    Setting {
        option: "stall-timeout",
        variable: "STALL_TIMEOUT",
        value: "SECONDS",
        help: "time in which a reader must take some of what waits for it; less frees memory sooner",
        expected: "a whole number of seconds from 1 to 300",
        set: |config, text| {
            parse_seconds(text, 1, 300).map(|time| config.limits.stall_timeout = time)
        },
        show: |config| config.limits.stall_timeout.as_secs().to_string(),
    },
    Setting {
        option: "dead-peer-timeout",
        variable: "DEAD_PEER_TIMEOUT",
        value: "SECONDS",
        help: "time until a vanished client is gone; an outage of up to five twelfths of it ends nobody",
        expected: "a whole number of seconds from 12 to 3600",
        set: |config, text| {
            parse_seconds(text, 12, 3600).map(|time| config.limits.dead_peer_timeout = time)
        },
        show: |config| config.limits.dead_peer_timeout.as_secs().to_string(),
    },
    Setting {
        option: "max-outbound-memory",
        variable: "MAX_OUTBOUND_MEMORY",
        value: "MIB",
        help: "what may wait for all connections together; over it, those that do not read end",
        expected: "a whole number of MiB from 1 to 1048576",
        set: |config, text| {
            let mib: usize = parse_within(text, 1, 1 << 20)?;
            config.limits.outbound_bytes = mib.checked_mul(MIB)?;
            Some(())
        },
        show: |config| (config.limits.outbound_bytes / MIB).to_string(),
    },
    Setting {
        option: "max-chat-rate",
        variable: "MAX_CHAT_RATE",
        value: "N",
        help: "chat messages a second from a user, burst 40, over it refused; 0: no limit",
        expected: EXPECTED_RATE,
        set: |config, text| parse_rate(text).map(|rate| config.limits.chat_rate = rate),
        show: |config| config.limits.chat_rate.to_string(),
    },
    Setting {
        option: "max-chat-bytes",
        variable: "MAX_CHAT_BYTES",
        value: "BYTES",
        help: "length of a chat message; each is copied to every user, and a longer one refused",
        expected: "a whole number from 1 to 4096",
        set: |config, text| {
            parse_within(text, 1, CHAT_BYTES_MAX).map(|number| config.limits.chat_bytes = number)
        },
        show: |config| config.limits.chat_bytes.to_string(),
    },
    Setting {
        option: "max-state-rate",
        variable: "MAX_STATE_RATE",
        value: "N",
        help: "events a second about a user's voice and mute state, burst 10, over it told later; 0: no limit",
        expected: EXPECTED_RATE,
        set: |config, text| parse_rate(text).map(|rate| config.limits.state_rate = rate),
        show: |config| config.limits.state_rate.to_string(),
    },
    Setting {
        option: "max-broadcast-bandwidth-per-address",
        variable: "MAX_BROADCAST_BANDWIDTH_PER_ADDRESS",
        value: "BYTES",
        help: "bytes a second that the users of an address may make everyone read, burst 8 s; 0: no limit",
        expected: EXPECTED_RATE,
        set: |config, text| {
            parse_rate(text).map(|rate| config.limits.broadcast_bandwidth_per_address = rate)
        },
        show: |config| config.limits.broadcast_bandwidth_per_address.to_string(),
    },
    Setting {
        option: "max-broadcast-bandwidth",
        variable: "MAX_BROADCAST_BANDWIDTH",
        value: "BYTES",
        help: "the same for all users together, burst 1.5 s; the nearer it is, the less each address may",
        expected: EXPECTED_RATE,
        set: |config, text| parse_rate(text).map(|rate| config.limits.broadcast_bandwidth = rate),
        show: |config| config.limits.broadcast_bandwidth.to_string(),
    },
    Setting {
        option: "max-voice-rate",
        variable: "MAX_VOICE_RATE",
        value: "N",
        help: "voice datagrams a second from a user, burst 6 s, over it dropped; 0: no limit",
        expected: EXPECTED_RATE,
        set: |config, text| parse_rate(text).map(|rate| config.limits.voice_rate = rate),
        show: |config| config.limits.voice_rate.to_string(),
    },
    Setting {
        option: "max-voice-bandwidth",
        variable: "MAX_VOICE_BANDWIDTH",
        value: "BYTES",
        help: "bytes of voice frames a second from a user, burst 6 s, over it dropped; 0: no limit",
        expected: EXPECTED_RATE,
        set: |config, text| parse_rate(text).map(|rate| config.limits.voice_bandwidth = rate),
        show: |config| config.limits.voice_bandwidth.to_string(),
    },
    Setting {
        option: "max-voice-rate-per-address",
        variable: "MAX_VOICE_RATE_PER_ADDRESS",
        value: "N",
        help: "voice datagrams a second from all users of an address, burst 6 s, over it dropped; 0: no limit",
        expected: EXPECTED_RATE,
        set: |config, text| {
            parse_rate(text).map(|rate| config.limits.voice_rate_per_address = rate)
        },
        show: |config| config.limits.voice_rate_per_address.to_string(),
    },
    Setting {
        option: "max-voice-bandwidth-per-address",
        variable: "MAX_VOICE_BANDWIDTH_PER_ADDRESS",
        value: "BYTES",
        help: "bytes of voice frames a second from all users of an address, burst 6 s; 0: no limit",
        expected: EXPECTED_RATE,
        set: |config, text| {
            parse_rate(text).map(|rate| config.limits.voice_bandwidth_per_address = rate)
        },
        show: |config| config.limits.voice_bandwidth_per_address.to_string(),
    },
    Setting {
        option: "max-voice-age",
        variable: "MAX_VOICE_AGE",
        value: "MS",
        help: "voice that waited longer is dropped (Linux); less keeps delay down after a stall",
        expected: "a whole number of milliseconds from 20 to 60000",
        set: |config, text| {
            let age = parse_within(text, 20, 60_000).map(Duration::from_millis);
            age.map(|age| config.limits.voice_age = age)
        },
        show: |config| config.limits.voice_age.as_millis().to_string(),
    },
    Setting {
        option: "max-voice-bytes",
        variable: "MAX_VOICE_BYTES",
        value: "BYTES",
        help: "voice data in one datagram; a longer one is dropped",
        expected: "a whole number from 1 to 1400",
        set: |config, text| {
            parse_within(text, 1, VOICE_DATA_BYTES_MAX)
                .map(|number| config.limits.voice_bytes = number)
        },
        show: |config| config.limits.voice_bytes.to_string(),
    },
    Setting {
        option: "voice-from-anywhere",
        variable: "VOICE_FROM_ANYWHERE",
        value: "YES|NO",
        help: "voice may use another address than its user's connection; no: no voice by forged sources",
        expected: EXPECTED_YES_OR_NO,
        set: |config, text| {
            parse_yes_or_no(text).map(|yes| config.limits.voice_from_anywhere = yes)
        },
        show: |config| show_yes_or_no(config.limits.voice_from_anywhere),
    },
    Setting {
        option: "ban-file",
        variable: "BAN_FILE",
        value: "FILE",
        help: "addresses and networks to keep out, one a line; read again on SIGHUP",
        expected: "a path, or none",
        set: |config, text| {
            config.ban_file = match text {
                "" => return None,
                "none" => None,
                path => Some(path.into()),
            };
            Some(())
        },
        show: |config| {
            let path = config.ban_file.as_ref();
            path.map_or("none".into(), |path| path.display().to_string())
        },
    },
    Setting {
        option: "metrics-address",
        variable: "METRICS_ADDRESS",
        value: "ADDRESS:PORT",
        help: "serve /metrics (Prometheus) and /healthz over HTTP, to anyone who reaches it",
        expected: "an address with a port, such as 127.0.0.1:9003, or none",
        set: |config, text| {
            config.metrics_address = match text {
                "none" => None,
                address => Some(address.parse().ok()?),
            };
            Some(())
        },
        show: |config| {
            let address = config.metrics_address;
            address.map_or("none".into(), |address| address.to_string())
        },
    },
    Setting {
        option: "udp-send",
        variable: "UDP_SEND",
        value: "WAY",
        help: "how voice is sent; auto is the first that the system knows (plain: see the README)",
        expected: "one of auto, coalesce, batch, plain",
        set: |config, text| {
            let way = UdpSend::ALL.iter().find(|way| way.name() == text);
            way.map(|&way| config.udp_send = way)
        },
        show: |config| config.udp_send.name().into(),
    },
    Setting {
        option: "measure-latency",
        variable: "MEASURE_LATENCY",
        value: "YES|NO",
        help: "time every voice datagram's way through the server (Linux)",
        expected: EXPECTED_YES_OR_NO,
        set: |config, text| parse_yes_or_no(text).map(|yes| config.measure_latency = yes),
        show: |config| show_yes_or_no(config.measure_latency),
    },
    Setting {
        option: "busy-poll",
        variable: "BUSY_POLL",
        value: "YES|NO",
        help: "never sleep: wakes some microseconds sooner, and takes a whole CPU",
        expected: EXPECTED_YES_OR_NO,
        set: |config, text| parse_yes_or_no(text).map(|yes| config.busy_poll = yes),
        show: |config| show_yes_or_no(config.busy_poll),
    },
    Setting {
        option: "pin-to-cpu",
        variable: "PIN_TO_CPU",
        value: "N",
        help: "keep the loop on this CPU: warm caches, but no way around what else runs there",
        expected: "a CPU's number from 0 to 1023, or any",
        set: |config, text| {
            config.pin_to_cpu = match text {
                "any" => None,
                number => Some(number.parse().ok().filter(|&cpu| cpu < 1_024)?),
            };
            Some(())
        },
        show: |config| {
            config
                .pin_to_cpu
                .map_or("any".into(), |cpu| cpu.to_string())
        },
    },
    Setting {
        option: "realtime-priority",
        variable: "REALTIME_PRIORITY",
        value: "N",
        help: "run before all that has less (SCHED_FIFO; CAP_SYS_NICE); with busy-poll, alone on its CPU",
        expected: "a whole number from 1 to 99, or 0 for none",
        set: |config, text| {
            let priority = text.parse().ok()?;
            (priority <= 99).then(|| config.realtime_priority = priority)
        },
        show: |config| config.realtime_priority.to_string(),
    },
    Setting {
        option: "lock-memory",
        variable: "LOCK_MEMORY",
        value: "YES|NO",
        help: "keep all memory out of swap, so that none can be given up (CAP_IPC_LOCK)",
        expected: EXPECTED_YES_OR_NO,
        set: |config, text| parse_yes_or_no(text).map(|yes| config.lock_memory = yes),
        show: |config| show_yes_or_no(config.lock_memory),
    },
    Setting {
        option: "log-level",
        variable: "LOG_LEVEL",
        value: "LEVEL",
        help: "what is logged to standard error",
        expected: "one of off, error, warn, info, debug, trace",
        set: |config, text| text.parse().ok().map(|level| config.log_level = level),
        show: |config| config.log_level.to_string().to_lowercase(),
    },
];

const EXPECTED_YES_OR_NO: &str = "yes or no";

fn parse_yes_or_no(text: &str) -> Option<bool> {
    match text {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn show_yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.into()
}

const EXPECTED_RATE: &str = "a whole number from 0 to 500000000";

fn parse_rate(text: &str) -> Option<u32> {
    parse_within(text, 0, RATE_CEILING)
}

const MIB: usize = 1_024 * 1_024;

fn parse_within<N: FromStr + PartialOrd>(text: &str, least: N, most: N) -> Option<N> {
    let number = text.parse().ok()?;
    (least <= number && number <= most).then_some(number)
}

fn parse_seconds(text: &str, least: u64, most: u64) -> Option<Duration> {
    parse_within(text, least, most).map(Duration::from_secs)
}
