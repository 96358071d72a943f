//! The table itself. Rows are in the order of the metrics.

use super::{Figure, Kind, Line, Metric, Value};
use crate::cause::CauseKind;
use std::time::UNIX_EPOCH;

/// Buckets of datagrams per batch.
const BATCHES: &[u64] = &[1, 2, 4, 8, 16, 32, 64];

/// A limit's row.
macro_rules! limit {
    ($name:literal, $what:literal, $option:literal, $value:expr) => {
        gauge(
            concat!("voiceapp_limit_", $name),
            concat!($what, ", at most (", $option, ")."),
            Value::Limit($value),
        )
    };
}

/// Every figure: see the [module](super).
#[rustfmt::skip]
pub const FIGURES: &[Figure] = &[
    gauge("voiceapp_build_info", "The server's version.", Value::Count(|_| 1))
        .labelled(concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}")),
    // The names that all of Prometheus' own libraries use for these.
    gauge("process_start_time_seconds", "When the server was bound, in seconds since the Unix epoch.",
        Value::Time(|it| Some(it.started_at.duration_since(UNIX_EPOCH).unwrap_or_default()))),
    page_only(Value::Time(|it| Some(it.uptime))).at(0, "uptime, s"),
    counter("process_cpu_seconds_total", "CPU time of the process, all its threads and the kernel's work for it.",
        Value::Time(|it| it.cpu_time)),
    gauge("process_resident_memory_bytes", "Memory of the process that is resident.",
        Value::Kibibytes(|it| it.memory_bytes)).at(1, "memory, KiB"),
    gauge("process_open_fds", "Open file descriptors.", Value::Known(|it| it.open_descriptors)),
    gauge("process_max_fds", "File descriptors that the process may have open.",
        Value::Known(|it| it.descriptor_limit)),
    // Each limit has the name of its option. Without a limit it is infinite, so that a share of it
    // is 0, and "nearly full" can be an alert without a figure of its own.
    limit!("users", "Users who are logged in", "--max-users", |it| it.users as f64),
    limit!("handshakes", "TLS handshakes in progress", "--max-handshakes", |it| it.handshakes as f64),
    limit!("pending_connections", "Connections that have not logged in", "--max-pending-connections", |it| it.pending_connections as f64),
    limit!("connections_per_address", "Connections from one address", "--max-connections-per-address", |it| or_none(it.connections_per_address as f64)),
    limit!("connection_rate_per_minute", "Connections a minute from one address", "--max-connection-rate", |it| or_none(it.connection_rate.into())),
    limit!("login_rate_per_minute", "Logins a minute from one address", "--max-login-rate", |it| or_none(it.login_rate.into())),
    limit!("guess_rate_per_minute", "Wrong passwords a minute from one address", "--max-guess-rate", |it| or_none(it.guess_rate.into())),
    limit!("login_timeout_seconds", "Time from connecting to being logged in", "--login-timeout", |it| it.login_timeout.as_secs_f64()),
    limit!("stall_timeout_seconds", "Time in which a connection takes nothing of what waits for it", "--stall-timeout", |it| it.stall_timeout.as_secs_f64()),
    limit!("dead_peer_timeout_seconds", "Time until a client that has vanished is gone", "--dead-peer-timeout", |it| it.dead_peer_timeout.as_secs_f64()),
    limit!("outbound_memory_bytes", "Bytes queued for all connections", "--max-outbound-memory", |it| it.outbound_bytes as f64),
    limit!("chat_rate_per_second", "Chat messages a second from one user", "--max-chat-rate", |it| or_none(it.chat_rate.into())),
    limit!("chat_bytes", "Bytes in a chat message", "--max-chat-bytes", |it| it.chat_bytes as f64),
    limit!("state_rate_per_second", "Events a second about one user", "--max-state-rate", |it| or_none(it.state_rate.into())),
    limit!("broadcast_bandwidth_per_address_bytes_per_second", "Bytes a second that the users of one address make everyone read", "--max-broadcast-bandwidth-per-address", |it| or_none(it.broadcast_bandwidth_per_address.into())),
    limit!("broadcast_bandwidth_bytes_per_second", "Bytes a second that all users together make everyone read", "--max-broadcast-bandwidth", |it| or_none(it.broadcast_bandwidth.into())),
    limit!("voice_rate_per_second", "Voice datagrams a second from one user", "--max-voice-rate", |it| or_none(it.voice_rate.into())),
    limit!("voice_bandwidth_bytes_per_second", "Bytes of voice frames a second from one user", "--max-voice-bandwidth", |it| or_none(it.voice_bandwidth.into())),
    limit!("voice_rate_per_address_per_second", "Voice datagrams a second from all users of one address", "--max-voice-rate-per-address", |it| or_none(it.voice_rate_per_address.into())),
    limit!("voice_bandwidth_per_address_bytes_per_second", "Bytes of voice frames a second from all users of one address", "--max-voice-bandwidth-per-address", |it| or_none(it.voice_bandwidth_per_address.into())),
    limit!("voice_age_seconds", "Time that voice has waited and is relayed still", "--max-voice-age", |it| it.voice_age.as_secs_f64()),
    limit!("voice_bytes", "Bytes of voice in one datagram", "--max-voice-bytes", |it| it.voice_bytes as f64),
    gauge("voiceapp_users", "Users who are logged in.", Value::Count(|it| it.users as u64)).at(5, "users now"),
    gauge("voiceapp_users_in_voice", "Users who are in the voice channel.",
        Value::Count(|it| it.users_in_voice as u64)).at(6, "  in voice"),
    gauge("voiceapp_users_encrypted", "Users on encrypted connections.",
        Value::Count(|it| it.users_encrypted as u64)).at(7, "  encrypted"),
    page_only(Value::Count(|it| it.users_at_most as u64)).at(8, "users at most"),
    gauge("voiceapp_connections", CONNECTIONS, Value::Count(|it| it.pending as u64))
        .labelled("{state=\"pending\"}").at(3, "  not logged in now"),
    gauge("voiceapp_connections", CONNECTIONS, Value::Count(|it| it.users as u64))
        .labelled("{state=\"logged_in\"}"),
    counter("voiceapp_connections_accepted_total", "Connections that were taken in.",
        Value::Count(|it| it.connections)).at(2, "connections"),
    counter("voiceapp_logins_total", "Successful logins.", Value::Count(|it| it.logins)).at(4, "logins"),
    counter("voiceapp_chat_messages_total", "Chat messages that were passed on.",
        Value::Count(|it| it.chat_messages)).at(9, "chat messages"),
    gauge("voiceapp_outbound_queue_bytes",
        "Bytes that wait for all connections, in the server and, as far as it has looked, in the kernel.",
        Value::Count(|it| it.outbound_bytes as u64)),
    gauge("voiceapp_outbound_queue_max_bytes", "The most that it ever was.",
        Value::Count(|it| it.outbound_bytes_at_most as u64)).at(10, "queued bytes at most"),
    counter("voiceapp_datagrams_received_total", "Datagrams received on the voice port, of whatever kind.",
        Value::Count(|it| it.datagrams_received)).at(11, "datagrams received"),
    counter("voiceapp_received_bytes_total", "Bytes in them, without IP and UDP headers.",
        Value::Count(|it| it.bytes_received)).at(12, "  bytes"),
    counter("voiceapp_datagrams_sent_total", "Datagrams handed to the kernel.",
        Value::Count(|it| it.datagrams_sent)).at(13, "datagrams sent"),
    counter("voiceapp_sent_bytes_total", "Bytes in them, padding included, without IP and UDP headers.",
        Value::Count(|it| it.bytes_sent)).at(14, "  bytes"),
    counter("voiceapp_kernel_drops_total",
        "Datagrams that the kernel dropped because the voice socket's receive buffer was full.",
        Value::Count(|it| it.kernel_drops)).at(15, "datagrams the kernel dropped"),
    counter("voiceapp_application_events_lost_total", "Events that the application did not read in time.",
        Value::Known(|it| it.events_lost)).at(16, "events lost"),
    counter("voiceapp_datagrams_dropped_total", "Datagrams that were dropped, or answered with a refusal.",
        Value::Causes(CauseKind::Datagram)).at(17, ""),
    counter("voiceapp_frames_refused_total", "Requests and other frames on TCP that were refused, ignored or put off.",
        Value::Causes(CauseKind::Frame)).at(18, ""),
    counter("voiceapp_connections_refused_total", "Connections that were not taken in, and pauses of accepting.",
        Value::Causes(CauseKind::Refusal)).at(19, ""),
    counter("voiceapp_connections_ended_total", "Connections that ended.",
        Value::Causes(CauseKind::End)).at(20, ""),
    histogram("voiceapp_relay_latency_seconds",
        "From a voice datagram's arrival at the machine to when its last copy was handed to the kernel.",
        Value::Times(|it| &it.latency_ns)).at(21, "relay latency, µs"),
    histogram("voiceapp_loop_turn_seconds", "Turns of the poll loop, from waking to going to sleep.",
        Value::Times(|it| &it.turn_ns)).at(22, "loop turns, µs"),
    histogram("voiceapp_receive_batch_datagrams", "Datagrams per receive call, of those that brought any.",
        Value::Counts(|it| &it.batches, BATCHES)).at(23, "datagrams per batch"),
];

/// The help of both rows of that name.
const CONNECTIONS: &str = "Connections by whether they have logged in.";

/// What is set, where 0 means no limit.
fn or_none(set: f64) -> f64 {
    if set == 0.0 { f64::INFINITY } else { set }
}

const fn gauge(name: &'static str, help: &'static str, value: Value) -> Figure {
    metric(name, Kind::Gauge, help, value)
}

const fn counter(name: &'static str, help: &'static str, value: Value) -> Figure {
    metric(name, Kind::Counter, help, value)
}

const fn histogram(name: &'static str, help: &'static str, value: Value) -> Figure {
    metric(name, Kind::Histogram, help, value)
}

const fn metric(name: &'static str, kind: Kind, help: &'static str, value: Value) -> Figure {
    Figure {
        metric: Some(Metric {
            name,
            labels: "",
            kind,
            help,
        }),
        line: None,
        value,
    }
}

const fn page_only(value: Value) -> Figure {
    Figure {
        metric: None,
        line: None,
        value,
    }
}

impl Figure {
    const fn at(mut self, place: u32, label: &'static str) -> Self {
        self.line = Some(Line { place, label });
        self
    }

    const fn labelled(mut self, labels: &'static str) -> Self {
        if let Some(metric) = &mut self.metric {
            metric.labels = labels;
        }
        self
    }
}
