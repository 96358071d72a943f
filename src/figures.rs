//! Every figure of the server, once: its name, kind and help among the metrics, its line on the
//! statistics page, and where its value comes from.
//!
//! The [page](crate::statistics::Statistics) and the [metrics](crate::metrics) are two ways to
//! write this table, and the tests hold the documents to it.

mod table;

use crate::cause::CauseKind;
use crate::histogram::Histogram;
use crate::limits::Limits;
use crate::statistics::Statistics;
use std::time::Duration;

pub use table::FIGURES;

/// One figure, or one for each cause of a kind.
#[derive(Clone, Copy)]
pub struct Figure {
    /// What it is among the metrics, if it is one of them.
    pub metric: Option<Metric>,
    /// Where it stands on the page, if it does.
    pub line: Option<Line>,
    pub(crate) value: Value,
}

/// A figure among the metrics: base units, and `_total` for what only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name. Rows with one name follow each other, and have one kind and one help.
    pub name: &'static str,
    /// What tells it from others of that name, in braces, or nothing.
    pub labels: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it means, in one sentence.
    pub help: &'static str,
}

/// How a metric behaves over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts of values by their size.
    Histogram,
}

/// A figure's line on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which line it is: the page has the order of reading, and the metrics that of the table.
    pub place: u32,
    /// What it is called there, with its unit. Blanks before it say that it is a part of the line above.
    /// Empty where there is a line for each cause, by its own name.
    pub label: &'static str,
}

impl Kind {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Where a value comes from, and with it its unit. A value that the system does not report is
/// `None`, and is left out.
#[derive(Clone, Copy)]
pub(crate) enum Value {
    /// A number of something.
    Count(fn(&Statistics) -> u64),
    /// The same, where it is not always known.
    Known(fn(&Statistics) -> Option<u64>),
    /// Bytes. The page shows KiB.
    Kibibytes(fn(&Statistics) -> Option<u64>),
    /// A time. The metrics show seconds, and the page whole seconds.
    Time(fn(&Statistics) -> Option<Duration>),
    /// A setting, infinite where there is no limit.
    Limit(fn(&Limits) -> f64),
    /// Times in nanoseconds. The metrics show seconds, and the page µs.
    Times(fn(&Statistics) -> &Histogram),
    /// Numbers of something, with the metrics' buckets.
    Counts(fn(&Statistics) -> &Histogram, &'static [u64]),
    /// How often each cause of a kind occurred.
    Causes(CauseKind),
}

impl Figure {
    /// Whether the page shows its quantiles, in the table at its end.
    pub(crate) fn is_distribution(&self) -> bool {
        matches!(self.value, Value::Times(_) | Value::Counts(..))
    }
}

/// The figures that have a line on the page, in its order.
pub fn page() -> Vec<(Line, &'static Figure)> {
    let on_page = FIGURES
        .iter()
        .filter_map(|figure| Some((figure.line?, figure)));
    let mut page: Vec<_> = on_page.collect();
    page.sort_by_key(|(line, _)| line.place);
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_figure_is_there_twice() {
        let (mut names, mut places) = (BTreeSet::new(), BTreeSet::new());
        let mut last = "";
        for figure in FIGURES {
            assert!(figure.metric.is_some() || figure.line.is_some());
            if let Some(metric) = figure.metric {
                let name = metric.name;
                let is_known = names.iter().any(|&(known, _)| known == name);
                assert!(!is_known || last == name, "{name} is in two places");
                assert!(names.insert((name, metric.labels)), "{name} is there twice");
                let only_grows = name.ends_with("_total");
                assert_eq!(only_grows, metric.kind == Kind::Counter, "{name}");
                assert!(metric.help.ends_with('.'), "{name}");
                last = name;
            }
            if let Some(line) = figure.line {
                assert!(places.insert(line.place), "{} is not alone", line.place);
            }
        }
    }
}
