//! The settings that every operator looks at: ports, the address, users, files, encryption, metrics
//! and the log.

use super::super::setting::{Group, Kind, Setting};
use super::{path_or, put, show_path_or};
use crate::config::TlsUse;

pub(super) const ESSENTIAL: &[Setting] = &[
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
];

const TLS_NAMES: [(TlsUse, &str); 3] = [
    (TlsUse::Also, "also"),
    (TlsUse::Only, "only"),
    (TlsUse::Off, "off"),
];
