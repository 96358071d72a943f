//! What a server has done and how quickly, as numbers and as a page for people.

use crate::cause::Counters;
use crate::figures::{self, Value};
use crate::histogram::Histogram;
use crate::limits::Limits;
use std::fmt;
use std::time::{Duration, SystemTime};

/// A server's statistics, since it was bound.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// When that was.
    pub started_at: SystemTime,
    /// How long ago that was.
    pub uptime: Duration,
    /// Resident memory of the process, in bytes, where the system reports it (Linux).
    pub memory_bytes: Option<u64>,
    /// CPU time of the process, with the kernel's work for it, where the system reports it (Unix).
    pub cpu_time: Option<Duration>,
    /// Descriptors that the process has open, where the system reports them (Linux). Before Linux
    /// 6.2, where counting them takes too long for the loop: those when the server began to run,
    /// and its connections.
    pub open_descriptors: Option<u64>,
    /// Descriptors that the process may have open, if there is a limit.
    pub descriptor_limit: Option<u64>,
    /// The limits for clients, as they are set.
    pub limits: Limits,
    /// Connections that were accepted and not refused.
    pub connections: u64,
    /// Pending connections, which have not logged in.
    pub pending: usize,
    /// Successful logins.
    pub logins: u64,
    /// Users who are logged in now.
    pub users: usize,
    /// Users who are in voice now.
    pub users_in_voice: usize,
    /// Users on encrypted connections now.
    pub users_encrypted: usize,
    /// The most users who were logged in at the same time.
    pub users_at_most: usize,
    /// Chat messages that were passed on.
    pub chat_messages: u64,
    /// Bytes that wait for all connections, in the server and, as of the last looks, in the kernel.
    /// The kernel's part is known on Linux only.
    pub outbound_bytes: usize,
    /// The most that ever waited.
    pub outbound_bytes_at_most: usize,
    /// Datagrams of any kind received on the voice port.
    pub datagrams_received: u64,
    /// Bytes in them, without IP and UDP headers. On systems other than Linux, and with
    /// [`UdpSend::Plain`](crate::config::UdpSend::Plain), a datagram of over
    /// [`DATAGRAM_SLOT_BYTES`](crate::limits::DATAGRAM_SLOT_BYTES) counts as so many.
    pub bytes_received: u64,
    /// Datagrams handed to the kernel, however many to a message.
    pub datagrams_sent: u64,
    /// Bytes in them, padding included, without IP and UDP headers.
    pub bytes_sent: u64,
    /// Datagrams that the kernel dropped because the voice socket's receive buffer was full. Known
    /// on Linux only, from `SO_RXQ_OVFL` (socket(7)), and with the first datagram after the drops.
    pub kernel_drops: u64,
    /// Events that the application did not read in time, if it wants
    /// [events](crate::Server::events).
    pub events_lost: Option<u64>,
    /// Nanoseconds from a voice datagram's arrival at the machine to when its last copy was handed
    /// to the kernel. Known on Linux only, unless
    /// [`measure_latency`](crate::Config::measure_latency) is off.
    pub latency_ns: Histogram,
    /// Nanoseconds that turns of the loop took, from waking to going to sleep.
    pub turn_ns: Histogram,
    /// Datagrams per receive call, of those that brought any.
    pub batches: Histogram,
    /// What was refused, dropped or closed, by cause.
    pub counters: Counters,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (distributions, counts): (Vec<_>, Vec<_>) = figures::page()
            .into_iter()
            .partition(|(_, figure)| figure.is_distribution());
        for (line, figure) in counts {
            self.write_count(f, line.label, figure.value)?;
        }
        writeln!(
            f,
            "  {:<28} {:>14} {:>9} {:>9} {:>9} {:>9}",
            "", "count", "p50", "p99", "p99.9", "max"
        )?;
        for (line, figure) in distributions {
            match figure.value {
                Value::Times(of) => distribution(f, line.label, of(self), 1_000.0)?,
                Value::Counts(of, _) => distribution(f, line.label, of(self), 1.0)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Statistics {
    /// The line of one number, or of each cause that has occurred. What is not known has none.
    fn write_count(&self, f: &mut fmt::Formatter<'_>, label: &str, value: Value) -> fmt::Result {
        let count = match value {
            Value::Count(of) => Some(of(self)),
            Value::Known(of) => of(self),
            Value::Kibibytes(of) => of(self).map(|bytes| bytes / 1_024),
            Value::Time(of) => of(self).map(|time| time.as_secs()),
            Value::Causes(kind) => {
                let occurred = self.counters.occurred();
                for (cause, count) in occurred.filter(|(cause, _)| cause.kind() == kind) {
                    count_line(f, cause.name(), count)?;
                }
                None
            }
            Value::Limit(_) | Value::Times(_) | Value::Counts(..) => None,
        };
        count.map_or(Ok(()), |count| count_line(f, label, count))
    }
}

fn count_line(f: &mut fmt::Formatter<'_>, name: &str, count: u64) -> fmt::Result {
    writeln!(f, "  {name:<28} {count:>14}")
}

/// One line about a distribution, in units of so many.
fn distribution(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    histogram: &Histogram,
    unit: f64,
) -> fmt::Result {
    write!(f, "  {name:<28} {:>14}", histogram.count())?;
    let quantiles = [0.5, 0.99, 0.999].map(|part| histogram.quantile(part));
    let decimals = usize::from(unit > 1.0);
    for value in quantiles.into_iter().chain([histogram.max()]) {
        write!(f, " {:>9.decimals$}", value as f64 / unit)?;
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;

    #[test]
    fn the_page_is_aligned_and_says_what_is_counted() {
        let mut counters = Counters::new();
        counters.count_many(Cause::VoiceMuted, 17);
        let mut latency_ns = Histogram::new();
        latency_ns.record(2_500);
        let page = Statistics {
            started_at: SystemTime::UNIX_EPOCH,
            uptime: Duration::from_secs(90),
            memory_bytes: Some(2_048),
            cpu_time: None,
            open_descriptors: None,
            descriptor_limit: None,
            limits: Limits::default(),
            connections: 9,
            pending: 1,
            logins: 7,
            users: 3,
            users_in_voice: 2,
            users_encrypted: 1,
            users_at_most: 5,
            chat_messages: 4,
            outbound_bytes: 0,
            outbound_bytes_at_most: 100,
            datagrams_received: 1_000_000_000_000,
            bytes_received: 12,
            datagrams_sent: 7,
            bytes_sent: 70,
            kernel_drops: 0,
            events_lost: None,
            latency_ns,
            turn_ns: Histogram::new(),
            batches: Histogram::new(),
            counters,
        }
        .to_string();
        let line = |name: &str| {
            let line = page
                .lines()
                .find(|line| line.trim_start().starts_with(name));
            line.unwrap_or_else(|| panic!("{name} is missing:\n{page}"))
        };
        assert!(line("voice_muted").ends_with("  17"));
        assert!(line("relay latency").ends_with("2.5       2.5       2.5       2.5"));
        let (counts, table): (Vec<&str>, Vec<&str>) = page.lines().partition(|it| it.len() < 50);
        for lines in [counts, table] {
            let width = lines[0].chars().count();
            assert!(lines.iter().all(|it| it.chars().count() == width), "{page}");
        }
    }
}
