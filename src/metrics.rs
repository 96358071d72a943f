//! A server's statistics in the text format that Prometheus collects (version 0.0.4 of its
//! exposition format). Names and units follow its conventions: base units, `_total` for what only
//! grows.

mod limits;

use crate::cause::{Cause, CauseKind};
use crate::histogram::Histogram;
use crate::statistics::Statistics;
use std::fmt::{Display, Write};
use std::time::UNIX_EPOCH;

/// The media type of what [`render`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds of the buckets of times, in nanoseconds: a microsecond to ten seconds.
const TIMES_NS: [u64; 18] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// The same for datagrams per batch.
const BATCHES: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Writes all of it.
pub fn render(statistics: &Statistics) -> String {
    let mut page = Page(String::new());
    let version = concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    page.begin("voiceapp_build_info", "gauge", "The server's version.");
    page.sample("voiceapp_build_info", version, 1);
    process(&mut page, statistics);
    limits::write(&mut page, &statistics.limits);
    people(&mut page, statistics);
    traffic(&mut page, statistics);
    let kinds = [
        (
            CauseKind::Datagram,
            "voiceapp_datagrams_dropped_total",
            "Datagrams that were dropped, or answered with a refusal.",
        ),
        (
            CauseKind::Frame,
            "voiceapp_frames_refused_total",
            "Requests and other frames on TCP that were refused, ignored or put off.",
        ),
        (
            CauseKind::Refusal,
            "voiceapp_connections_refused_total",
            "Connections that were not taken in, and pauses of accepting.",
        ),
        (
            CauseKind::End,
            "voiceapp_connections_ended_total",
            "Connections that ended.",
        ),
    ];
    for (kind, name, help) in kinds {
        page.begin(name, "counter", help);
        for cause in Cause::ALL.iter().filter(|cause| cause.kind() == kind) {
            let labels = format!("{{cause=\"{}\"}}", cause.name());
            page.sample(name, &labels, statistics.counters.get(*cause));
        }
    }
    page.histogram(
        "voiceapp_relay_latency_seconds",
        "From a voice datagram's arrival at the machine to when its last copy was handed to the kernel.",
        &statistics.latency_ns,
        &TIMES_NS,
        1e9,
    );
    page.histogram(
        "voiceapp_loop_turn_seconds",
        "Turns of the poll loop, from waking to going to sleep.",
        &statistics.turn_ns,
        &TIMES_NS,
        1e9,
    );
    page.histogram(
        "voiceapp_receive_batch_datagrams",
        "Datagrams per receive call, of those that brought any.",
        &statistics.batches,
        &BATCHES,
        1.0,
    );
    page.0
}

/// Under the names that all of Prometheus' own libraries give to these.
fn process(page: &mut Page, statistics: &Statistics) {
    let started = statistics.started_at.duration_since(UNIX_EPOCH);
    let started_s = started.map_or(0.0, |since| since.as_secs_f64());
    page.gauge(
        "process_start_time_seconds",
        "When the server was bound, in seconds since the Unix epoch.",
        started_s,
    );
    if let Some(time) = statistics.cpu_time {
        let help = "CPU time of the process, all its threads and the kernel's work for it.";
        page.counter("process_cpu_seconds_total", help, time.as_secs_f64());
    }
    if let Some(bytes) = statistics.memory_bytes {
        let help = "Memory of the process that is resident.";
        page.gauge("process_resident_memory_bytes", help, bytes);
    }
    if let Some(open) = statistics.open_descriptors {
        page.gauge("process_open_fds", "Open file descriptors.", open);
    }
    if let Some(limit) = statistics.descriptor_limit {
        let help = "File descriptors that the process may have open.";
        page.gauge("process_max_fds", help, limit);
    }
}

fn people(page: &mut Page, statistics: &Statistics) {
    page.gauge(
        "voiceapp_users",
        "Users who are logged in.",
        statistics.users,
    );
    page.gauge(
        "voiceapp_users_in_voice",
        "Users who are in the voice channel.",
        statistics.users_in_voice,
    );
    let name = "voiceapp_connections";
    page.begin(name, "gauge", "Connections by whether they have logged in.");
    page.sample(name, "{state=\"pending\"}", statistics.pending);
    page.sample(name, "{state=\"logged_in\"}", statistics.users);
    page.counter(
        "voiceapp_connections_accepted_total",
        "Connections that were taken in.",
        statistics.connections,
    );
    page.counter(
        "voiceapp_logins_total",
        "Successful logins.",
        statistics.logins,
    );
    page.counter(
        "voiceapp_chat_messages_total",
        "Chat messages that were passed on.",
        statistics.chat_messages,
    );
    page.gauge(
        "voiceapp_outbound_queue_bytes",
        "Bytes that wait for all connections, in the server and, as far as it has looked, in the kernel.",
        statistics.outbound_bytes,
    );
    page.gauge(
        "voiceapp_outbound_queue_max_bytes",
        "The most that it ever was.",
        statistics.outbound_bytes_at_most,
    );
}

fn traffic(page: &mut Page, statistics: &Statistics) {
    page.counter(
        "voiceapp_datagrams_received_total",
        "Datagrams received on the voice port, of whatever kind.",
        statistics.datagrams_received,
    );
    page.counter(
        "voiceapp_received_bytes_total",
        "Bytes in them, without IP and UDP headers.",
        statistics.bytes_received,
    );
    page.counter(
        "voiceapp_datagrams_sent_total",
        "Datagrams handed to the kernel.",
        statistics.datagrams_sent,
    );
    page.counter(
        "voiceapp_sent_bytes_total",
        "Bytes in them, padding included, without IP and UDP headers.",
        statistics.bytes_sent,
    );
    page.counter(
        "voiceapp_kernel_drops_total",
        "Datagrams that the kernel dropped because the voice socket's receive buffer was full.",
        statistics.kernel_drops,
    );
}

struct Page(String);

impl Page {
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        self.line(format_args!("{name}{labels} {value}"));
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.begin(name, "gauge", help);
        self.sample(name, "", value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.begin(name, "counter", help);
        self.sample(name, "", value);
    }

    /// A histogram whose values are so many to a unit.
    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        histogram: &Histogram,
        bounds: &[u64],
        per_unit: f64,
    ) {
        self.begin(name, "histogram", help);
        for &bound in bounds {
            let (le, count) = (bound as f64 / per_unit, histogram.count_up_to(bound));
            self.line(format_args!("{name}_bucket{{le=\"{le}\"}} {count}"));
        }
        let count = histogram.count();
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        self.line(format_args!(
            "{name}_sum {}",
            histogram.sum() as f64 / per_unit
        ));
        self.line(format_args!("{name}_count {count}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a string takes everything");
    }
}
