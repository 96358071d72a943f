//! The table of settings, in the groups and the order in which they are shown.
//! [`Config::check`](crate::Config::check) checks ranges; here they are in words.

use super::setting::{Group, Kind, Setting};
use crate::config::{TlsUse, UdpSend};
use crate::secret::Secret;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// All settings, group by group.
pub const SETTINGS: &[Setting] = &[
    Setting {
        option: "management-port",
        field: "management_port",
        group: Group::Essential,
        kind: Kind::Number,
        value: "PORT",
        help: "TCP port for login, presence and chat; 0 lets the system choose",
        expected: "a port from 0 to 65535",
        set: |config, text| put(&mut config.management_port, text),
        show: |config| config.management_port.to_string(),
    },
    Setting {
        option: "voice-relay-port",
        field: "voice_relay_port",
        group: Group::Essential,
        kind: Kind::Number,
        value: "PORT",
        help: "UDP port for voice; 0 lets the system choose",
        expected: "a port from 0 to 65535",
        set: |config, text| put(&mut config.voice_relay_port, text),
        show: |config| config.voice_relay_port.to_string(),
    },
    Setting {
        option: "bind-address",
        field: "bind_address",
        group: Group::Essential,
        kind: Kind::Text,
        value: "ADDRESS",
        help: "address to listen on; any: all of them, 0.0.0.0: all of IPv4",
        expected: "an IPv4 or IPv6 address of this machine, or any",
        set: |config, text| {
            config.bind_address = match text {
                "any" => None,
                address => Some(address.parse().ok()?),
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
        field: "limits.users",
        group: Group::Essential,
        kind: Kind::Number,
        value: "N",
        help: "users logged in at the same time",
        expected: "a whole number from 1 to 100000",
        set: |config, text| put(&mut config.limits.users, text),
        show: |config| config.limits.users.to_string(),
    },
    Setting {
        option: "ban-file",
        field: "ban_file",
        group: Group::Essential,
        kind: Kind::Text,
        value: "FILE",
        help: "banned addresses and networks, one per line; SIGHUP reloads it",
        expected: "a path, or none",
        set: |config, text| {
            config.ban_file = path_or(text, "none")?;
            Some(())
        },
        show: |config| show_path_or(&config.ban_file, "none"),
    },
    Setting {
        option: "tls",
        field: "tls",
        group: Group::Essential,
        kind: Kind::Text,
        value: "also|only|off",
        help: "TLS: beside plain connections, instead of them, or not at all",
        expected: "one of also, only, off",
        set: |config, text| {
            let tls = TLS_NAMES.iter().find(|(_, name)| *name == text);
            tls.map(|(tls, _)| config.tls = *tls)
        },
        show: |config| {
            let tls = TLS_NAMES.iter().find(|(tls, _)| *tls == config.tls);
            tls.map_or(String::new(), |(_, name)| (*name).into())
        },
    },
    Setting {
        option: "tls-certificate",
        field: "tls_certificate",
        group: Group::Essential,
        kind: Kind::Text,
        value: "FILE",
        help: "PEM file with the certificate; none: the server makes one; SIGHUP reloads it",
        expected: "a path, or none",
        set: |config, text| {
            config.tls_certificate = path_or(text, "none")?;
            Some(())
        },
        show: |config| show_path_or(&config.tls_certificate, "none"),
    },
    Setting {
        option: "tls-key",
        field: "tls_key",
        group: Group::Essential,
        kind: Kind::Text,
        value: "FILE",
        help: "PEM file with the certificate's private key",
        expected: "a path, or none",
        set: |config, text| {
            config.tls_key = path_or(text, "none")?;
            Some(())
        },
        show: |config| show_path_or(&config.tls_key, "none"),
    },
    Setting {
        option: "state-directory",
        field: "state_directory",
        group: Group::Essential,
        kind: Kind::Text,
        value: "FOLDER",
        help: "where the server keeps the certificate that it makes",
        expected: "a path, or auto for $STATE_DIRECTORY or ~/.local/state/voiceapp-server",
        set: |config, text| {
            config.state_directory = path_or(text, "auto")?;
            Some(())
        },
        show: |config| show_path_or(&config.state_directory, "auto"),
    },
    Setting {
        option: "metrics-address",
        field: "metrics_address",
        group: Group::Essential,
        kind: Kind::Text,
        value: "ADDRESS:PORT",
        help: "serve /metrics (Prometheus) and /healthz over HTTP, without a password",
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
        option: "log-level",
        field: "log_level",
        group: Group::Essential,
        kind: Kind::Text,
        value: "off|error|warn|info|debug|trace",
        help: "how much to log to standard error",
        expected: "one of off, error, warn, info, debug, trace",
        set: |config, text| put(&mut config.log_level, text),
        show: |config| config.log_level.to_string().to_lowercase(),
    },
    Setting {
        option: "server-name",
        field: "server_name",
        group: Group::Access,
        kind: Kind::Text,
        value: "TEXT",
        help: "name of the server, for clients that show it",
        expected: "a line of at most 64 bytes, or none",
        set: |config, text| put_text(&mut config.server_name, text),
        show: |config| show_text(&config.server_name),
    },
    Setting {
        option: "welcome",
        field: "welcome",
        group: Group::Access,
        kind: Kind::Text,
        value: "TEXT",
        help: "text for newcomers, in clients that show it",
        expected: "a line of at most 1024 bytes, or none",
        set: |config, text| put_text(&mut config.welcome, text),
        show: |config| show_text(&config.welcome),
    },
    Setting {
        option: "password",
        field: "password",
        group: Group::Access,
        kind: Kind::Secret,
        value: "TEXT",
        help: "password to log in with; better in the file: other users see command lines",
        expected: "text of 1 to 128 bytes, or none",
        set: |config, text| {
            config.password = match text {
                "none" => None,
                password => Some(Secret::new(password)?),
            };
            Some(())
        },
        show: |config| {
            if config.password.is_some() {
                "set"
            } else {
                "none"
            }
            .into()
        },
    },
    Setting {
        option: "password-file",
        field: "password_file",
        group: Group::Access,
        kind: Kind::Text,
        value: "FILE",
        help: "more passwords, one per line, with labels and last days; SIGHUP reloads it",
        expected: "a path, or none",
        set: |config, text| {
            config.password_file = path_or(text, "none")?;
            Some(())
        },
        show: |config| show_path_or(&config.password_file, "none"),
    },
    Setting {
        option: "password-in-name",
        field: "password_in_name",
        group: Group::Access,
        kind: Kind::YesNo,
        value: "YES|NO",
        help: "let clients that cannot send a password log in as name:password",
        expected: YES_OR_NO,
        set: |config, text| put_yes_or_no(&mut config.password_in_name, text),
        show: |config| show_yes_or_no(config.password_in_name),
    },
    Setting {
        option: "unique-names",
        field: "unique_names",
        group: Group::Access,
        kind: Kind::YesNo,
        value: "YES|NO",
        help: "refuse a name that somebody has",
        expected: YES_OR_NO,
        set: |config, text| put_yes_or_no(&mut config.unique_names, text),
        show: |config| show_yes_or_no(config.unique_names),
    },
    Setting {
        option: "max-pending-connections",
        field: "limits.pending_connections",
        group: Group::Limits,
        kind: Kind::Number,
        value: "N",
        help: "connections without a login; one more disconnects the oldest",
        expected: "a whole number from 4 to 65536",
        set: |config, text| put(&mut config.limits.pending_connections, text),
        show: |config| config.limits.pending_connections.to_string(),
    },
    Setting {
        option: "max-handshakes",
        field: "limits.handshakes",
        group: Group::Limits,
        kind: Kind::Number,
        value: "N",
        help: "TLS handshakes in progress; one more disconnects the oldest",
        expected: "a whole number from 4 to 65536",
        set: |config, text| put(&mut config.limits.handshakes, text),
        show: |config| config.limits.handshakes.to_string(),
    },
    Setting {
        option: "max-connections-per-address",
        field: "limits.connections_per_address",
        group: Group::Limits,
        kind: Kind::Number,
        value: "N",
        help: "connections from one address; 0: no limit",
        expected: "a whole number from 0 to 100000",
        set: |config, text| put(&mut config.limits.connections_per_address, text),
        show: |config| config.limits.connections_per_address.to_string(),
    },
    Setting {
        option: "max-connection-rate",
        field: "limits.connection_rate",
        group: Group::Limits,
        kind: Kind::Number,
        value: "N",
        help: "connections a minute from one address; 0: no limit",
        expected: RATE,
        set: |config, text| put(&mut config.limits.connection_rate, text),
        show: |config| config.limits.connection_rate.to_string(),
    },
    Setting {
        option: "max-login-rate",
        field: "limits.login_rate",
        group: Group::Limits,
        kind: Kind::Number,
        value: "N",
        help: "logins a minute from one address; 0: no limit",
        expected: RATE,
        set: |config, text| put(&mut config.limits.login_rate, text),
        show: |config| config.limits.login_rate.to_string(),
    },
    Setting {
        option: "max-guess-rate",
        field: "limits.guess_rate",
        group: Group::Limits,
        kind: Kind::Number,
        value: "N",
        help: "wrong passwords a minute from one address; 0: no limit",
        expected: RATE,
        set: |config, text| put(&mut config.limits.guess_rate, text),
        show: |config| config.limits.guess_rate.to_string(),
    },
    Setting {
        option: "login-timeout",
        field: "limits.login_timeout",
        group: Group::Limits,
        kind: Kind::Number,
        value: "SECONDS",
        help: "disconnect a client that has not logged in after this time",
        expected: "a whole number of seconds from 1 to 300",
        set: |config, text| put_seconds(&mut config.limits.login_timeout, text),
        show: |config| config.limits.login_timeout.as_secs().to_string(),
    },
    Setting {
        option: "stall-timeout",
        field: "limits.stall_timeout",
        group: Group::Limits,
        kind: Kind::Number,
        value: "SECONDS",
        help: "disconnect a client that reads nothing for this time while data waits",
        expected: "a whole number of seconds from 1 to 300",
        set: |config, text| put_seconds(&mut config.limits.stall_timeout, text),
        show: |config| config.limits.stall_timeout.as_secs().to_string(),
    },
    Setting {
        option: "dead-peer-timeout",
        field: "limits.dead_peer_timeout",
        group: Group::Limits,
        kind: Kind::Number,
        value: "SECONDS",
        help: "disconnect a client that vanished; an outage of up to five twelfths of it disconnects nobody",
        expected: "a whole number of seconds from 12 to 3600",
        set: |config, text| put_seconds(&mut config.limits.dead_peer_timeout, text),
        show: |config| config.limits.dead_peer_timeout.as_secs().to_string(),
    },
    Setting {
        option: "max-outbound-memory",
        field: "limits.outbound_bytes",
        group: Group::Limits,
        kind: Kind::Number,
        value: "MIB",
        help: "data queued for all clients; above it, those that do not read are disconnected",
        expected: "a whole number of MiB from 1 to 1048576",
        set: |config, text| {
            config.limits.outbound_bytes = text.parse::<usize>().ok()?.checked_mul(MIB)?;
            Some(())
        },
        show: |config| (config.limits.outbound_bytes / MIB).to_string(),
    },
    Setting {
        option: "max-chat-rate",
        field: "limits.chat_rate",
        group: Group::Limits,
        kind: Kind::Number,
        value: "N",
        help: "chat messages a second from one user; 0: no limit",
        expected: RATE,
        set: |config, text| put(&mut config.limits.chat_rate, text),
        show: |config| config.limits.chat_rate.to_string(),
    },
    Setting {
        option: "max-chat-bytes",
        field: "limits.chat_bytes",
        group: Group::Limits,
        kind: Kind::Number,
        value: "BYTES",
        help: "longest chat message, in bytes",
        expected: "a whole number from 1 to 4096",
        set: |config, text| put(&mut config.limits.chat_bytes, text),
        show: |config| config.limits.chat_bytes.to_string(),
    },
    Setting {
        option: "max-state-rate",
        field: "limits.state_rate",
        group: Group::Limits,
        kind: Kind::Number,
        value: "N",
        help: "joins, leaves and mutes a second of one user that others see; 0: no limit",
        expected: RATE,
        set: |config, text| put(&mut config.limits.state_rate, text),
        show: |config| config.limits.state_rate.to_string(),
    },
    Setting {
        option: "max-broadcast-bandwidth-per-address",
        field: "limits.broadcast_bandwidth_per_address",
        group: Group::Limits,
        kind: Kind::Number,
        value: "BYTES",
        help: "bytes of chat and events a second from one address to everyone; 0: no limit",
        expected: RATE,
        set: |config, text| put(&mut config.limits.broadcast_bandwidth_per_address, text),
        show: |config| config.limits.broadcast_bandwidth_per_address.to_string(),
    },
    Setting {
        option: "max-broadcast-bandwidth",
        field: "limits.broadcast_bandwidth",
        group: Group::Limits,
        kind: Kind::Number,
        value: "BYTES",
        help: "bytes of chat and events a second from all addresses to everyone; 0: no limit",
        expected: RATE,
        set: |config, text| put(&mut config.limits.broadcast_bandwidth, text),
        show: |config| config.limits.broadcast_bandwidth.to_string(),
    },
    Setting {
        option: "max-voice-rate",
        field: "limits.voice_rate",
        group: Group::Limits,
        kind: Kind::Number,
        value: "N",
        help: "voice datagrams a second from one user; 0: no limit",
        expected: RATE,
        set: |config, text| put(&mut config.limits.voice_rate, text),
        show: |config| config.limits.voice_rate.to_string(),
    },
    Setting {
        option: "max-voice-bandwidth",
        field: "limits.voice_bandwidth",
        group: Group::Limits,
        kind: Kind::Number,
        value: "BYTES",
        help: "bytes of voice frames a second from one user; 0: no limit",
        expected: RATE,
        set: |config, text| put(&mut config.limits.voice_bandwidth, text),
        show: |config| config.limits.voice_bandwidth.to_string(),
    },
    Setting {
        option: "max-voice-rate-per-address",
        field: "limits.voice_rate_per_address",
        group: Group::Limits,
        kind: Kind::Number,
        value: "N",
        help: "voice datagrams a second from one address; 0: no limit",
        expected: RATE,
        set: |config, text| put(&mut config.limits.voice_rate_per_address, text),
        show: |config| config.limits.voice_rate_per_address.to_string(),
    },
    Setting {
        option: "max-voice-bandwidth-per-address",
        field: "limits.voice_bandwidth_per_address",
        group: Group::Limits,
        kind: Kind::Number,
        value: "BYTES",
        help: "bytes of voice frames a second from one address; 0: no limit",
        expected: RATE,
        set: |config, text| put(&mut config.limits.voice_bandwidth_per_address, text),
        show: |config| config.limits.voice_bandwidth_per_address.to_string(),
    },
    Setting {
        option: "max-voice-age",
        field: "limits.voice_age",
        group: Group::Limits,
        kind: Kind::Number,
        value: "MS",
        help: "drop voice that waited longer than this",
        expected: "a whole number of milliseconds from 20 to 60000",
        set: |config, text| {
            config.limits.voice_age = Duration::from_millis(text.parse().ok()?);
            Some(())
        },
        show: |config| config.limits.voice_age.as_millis().to_string(),
    },
    Setting {
        option: "max-voice-bytes",
        field: "limits.voice_bytes",
        group: Group::Limits,
        kind: Kind::Number,
        value: "BYTES",
        help: "longest voice data in one datagram, in bytes; longer ones are dropped",
        expected: "a whole number from 1 to 1400",
        set: |config, text| put(&mut config.limits.voice_bytes, text),
        show: |config| config.limits.voice_bytes.to_string(),
    },
    Setting {
        option: "voice-from-anywhere",
        field: "limits.voice_from_anywhere",
        group: Group::Limits,
        kind: Kind::YesNo,
        value: "yes|no",
        help: "accept voice from another address than that of the user's connection",
        expected: YES_OR_NO,
        set: |config, text| put_yes_or_no(&mut config.limits.voice_from_anywhere, text),
        show: |config| show_yes_or_no(config.limits.voice_from_anywhere),
    },
    Setting {
        option: "busy-poll",
        field: "busy_poll",
        group: Group::BareMetal,
        kind: Kind::YesNo,
        value: "yes|no",
        help: "never sleep: saves some microseconds, uses a whole CPU",
        expected: YES_OR_NO,
        set: |config, text| put_yes_or_no(&mut config.busy_poll, text),
        show: |config| show_yes_or_no(config.busy_poll),
    },
    Setting {
        option: "pin-to-cpu",
        field: "pin_to_cpu",
        group: Group::BareMetal,
        kind: Kind::NumberOrWord,
        value: "N",
        help: "keep the loop on this CPU (Linux)",
        expected: "a CPU's number from 0 to 1023, or any",
        set: |config, text| {
            config.pin_to_cpu = match text {
                "any" => None,
                number => Some(number.parse().ok()?),
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
        field: "realtime_priority",
        group: Group::BareMetal,
        kind: Kind::Number,
        value: "N",
        help: "run before everything with a lower priority (SCHED_FIFO; Linux, CAP_SYS_NICE)",
        expected: "a whole number from 1 to 99, or 0 for none",
        set: |config, text| put(&mut config.realtime_priority, text),
        show: |config| config.realtime_priority.to_string(),
    },
    Setting {
        option: "lock-memory",
        field: "lock_memory",
        group: Group::BareMetal,
        kind: Kind::YesNo,
        value: "yes|no",
        help: "keep all memory out of swap (Linux, CAP_IPC_LOCK)",
        expected: YES_OR_NO,
        set: |config, text| put_yes_or_no(&mut config.lock_memory, text),
        show: |config| show_yes_or_no(config.lock_memory),
    },
    Setting {
        option: "udp-send",
        field: "udp_send",
        group: Group::Measuring,
        kind: Kind::Text,
        value: "auto|coalesce|batch|plain",
        help: "how to send voice; auto: the first of the others that the system supports",
        expected: "one of auto, coalesce, batch, plain",
        set: |config, text| {
            let way = UDP_SEND_NAMES.iter().find(|(_, name)| *name == text);
            way.map(|(way, _)| config.udp_send = *way)
        },
        show: |config| {
            let way = UDP_SEND_NAMES
                .iter()
                .find(|(way, _)| *way == config.udp_send);
            way.map_or(String::new(), |(_, name)| (*name).into())
        },
    },
    Setting {
        option: "measure-latency",
        field: "measure_latency",
        group: Group::Measuring,
        kind: Kind::YesNo,
        value: "yes|no",
        help: "measure how long each voice datagram takes through the server (Linux)",
        expected: YES_OR_NO,
        set: |config, text| put_yes_or_no(&mut config.measure_latency, text),
        show: |config| show_yes_or_no(config.measure_latency),
    },
];

const YES_OR_NO: &str = "yes or no";
const RATE: &str = "a whole number from 0 to 500000000";
const MIB: usize = 1_024 * 1_024;

const TLS_NAMES: [(TlsUse, &str); 3] = [
    (TlsUse::Also, "also"),
    (TlsUse::Only, "only"),
    (TlsUse::Off, "off"),
];

const UDP_SEND_NAMES: [(UdpSend, &str); 4] = [
    (UdpSend::Auto, "auto"),
    (UdpSend::Coalesce, "coalesce"),
    (UdpSend::Batch, "batch"),
    (UdpSend::Plain, "plain"),
];

fn put<V: FromStr>(place: &mut V, text: &str) -> Option<()> {
    *place = text.parse().ok()?;
    Some(())
}

/// A path, or nothing where it is this word.
fn path_or(text: &str, nothing: &str) -> Option<Option<PathBuf>> {
    match text {
        "" => None,
        text if text == nothing => Some(None),
        path => Some(Some(path.into())),
    }
}

fn show_path_or(path: &Option<PathBuf>, nothing: &str) -> String {
    let path = path.as_ref();
    path.map_or(nothing.into(), |path| path.display().to_string())
}

fn put_text(place: &mut String, text: &str) -> Option<()> {
    *place = match text {
        "" => return None,
        "none" => String::new(),
        text => text.into(),
    };
    Some(())
}

fn show_text(text: &str) -> String {
    if text.is_empty() { "none" } else { text }.into()
}

fn put_seconds(place: &mut Duration, text: &str) -> Option<()> {
    *place = Duration::from_secs(text.parse().ok()?);
    Some(())
}

fn put_yes_or_no(place: &mut bool, text: &str) -> Option<()> {
    *place = match text {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    Some(())
}

fn show_yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.into()
}
