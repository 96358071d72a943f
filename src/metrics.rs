//! A server's statistics in the text format that Prometheus collects (version 0.0.4 of its
//! exposition format). The [table of figures](crate::figures) has what there is, and under which
//! names.

use crate::cause::{Cause, CauseKind};
use crate::figures::{FIGURES, Metric, Value};
use crate::histogram::Histogram;
use crate::statistics::Statistics;
use std::fmt::{Display, Write};

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

/// Writes every [figure](crate::figures) that is a metric.
pub fn render(statistics: &Statistics) -> String {
    let mut page = Page(String::new());
    let mut last = "";
    for figure in FIGURES {
        let Some(metric) = figure.metric else {
            continue;
        };
        let Some(sampled) = sample(statistics, figure.value) else {
            continue;
        };
        if metric.name != last {
            page.begin(&metric);
        }
        last = metric.name;
        match sampled {
            Sampled::One(value) => page.sample(metric.name, metric.labels, value),
            Sampled::Causes(kind) => {
                for cause in Cause::ALL.iter().filter(|cause| cause.kind() == kind) {
                    let labels = format!("{{cause=\"{}\"}}", cause.name());
                    page.sample(metric.name, &labels, statistics.counters.get(*cause));
                }
            }
            Sampled::Histogram(histogram, bounds, per_unit) => {
                page.histogram(metric.name, histogram, bounds, per_unit);
            }
        }
    }
    page.0
}

/// What a metric shows at one moment.
enum Sampled<'s> {
    One(String),
    Causes(CauseKind),
    /// With the upper bounds of its buckets, and how many of its values make a unit.
    Histogram(&'s Histogram, &'static [u64], f64),
}

/// A figure's value in base units, if it is known.
fn sample(statistics: &Statistics, value: Value) -> Option<Sampled<'_>> {
    Some(Sampled::One(match value {
        Value::Count(of) => of(statistics).to_string(),
        Value::Known(of) | Value::Kibibytes(of) => of(statistics)?.to_string(),
        Value::Time(of) => of(statistics)?.as_secs_f64().to_string(),
        Value::Limit(of) => match of(&statistics.limits) {
            f64::INFINITY => "+Inf".into(),
            limit => limit.to_string(),
        },
        Value::Causes(kind) => return Some(Sampled::Causes(kind)),
        Value::Times(of) => return Some(Sampled::Histogram(of(statistics), &TIMES_NS, 1e9)),
        Value::Counts(of, bounds) => return Some(Sampled::Histogram(of(statistics), bounds, 1.0)),
    }))
}

struct Page(String);

impl Page {
    fn begin(&mut self, metric: &Metric) {
        let Metric {
            name, kind, help, ..
        } = metric;
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.name()));
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        self.line(format_args!("{name}{labels} {value}"));
    }

    /// Writes a histogram whose values are so many to a unit.
    fn histogram(&mut self, name: &str, histogram: &Histogram, bounds: &[u64], per_unit: f64) {
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
