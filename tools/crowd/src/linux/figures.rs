//! The figures of a round, in one table from which every form of the report comes: the name of
//! each, how it is calculated, and whether it can be compared. It also has the faults that no load
//! excuses, and notes for the reader.

use super::options::{Options, Receivers};
use super::run::{Outcome, Round};

/// One line of the table.
pub struct Figure {
    /// In JSON.
    pub key: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    decimals: usize,
    /// Whether the ratio of two of them means anything.
    pub has_ratio: bool,
    /// Whether a person wants to see it for every round.
    pub is_shown_by_round: bool,
    pub of: fn(&Round) -> Option<f64>,
}

/// A figure that is only counted.
const fn count(key: &'static str, title: &'static str, of: fn(&Round) -> Option<f64>) -> Figure {
    Figure {
        key,
        title,
        unit: "",
        decimals: 0,
        has_ratio: false,
        is_shown_by_round: false,
        of,
    }
}

/// A figure by which contenders are compared.
const fn measure(
    key: &'static str,
    title: &'static str,
    unit: &'static str,
    decimals: usize,
    of: fn(&Round) -> Option<f64>,
) -> Figure {
    Figure {
        key,
        title,
        unit,
        decimals,
        has_ratio: true,
        is_shown_by_round: true,
        of,
    }
}

#[rustfmt::skip]
pub const FIGURES: [Figure; 17] = [
    count("sent", "sent", |it| Some(it.spoken.sent as f64)),
    count("not_sent", "not sent", |it| Some(it.spoken.failed as f64)),
    Figure { unit: "µs", ..count("latest_send_us", "sent late by up to", |it| Some(it.spoken.late_ns as f64 / 1e3)) },
    count("expected", "expected", |it| Some(it.expected as f64)),
    count("delivered", "delivered", |it| Some(it.tally.delivered as f64)),
    Figure { is_shown_by_round: true, ..count("lost", "lost", |it| Some(lost(it) as f64)) },
    count("dropped_by_receivers", "  at the receivers", |it| if_read(it, it.tally.dropped.min(lost(it)))),
    count("duplicated", "duplicated", |it| if_read(it, it.tally.duplicated)),
    count("reordered", "reordered", |it| if_read(it, it.tally.reordered)),
    count("from_others", "heard of others", |it| if_read(it, it.tally.others)),
    measure("p50_us", "latency p50", "µs", 1, |it| quantile_us(it, 0.5)),
    measure("p99_us", "latency p99", "µs", 1, |it| quantile_us(it, 0.99)),
    measure("p999_us", "latency p99.9", "µs", 1, |it| quantile_us(it, 0.999)),
    measure("max_us", "latency max", "µs", 1, |it| it.tally.latency.max().map(|ns| ns as f64 / 1e3)),
    measure("deliveries_per_second", "deliveries", "/s", 0, |it| Some(it.window.delivered as f64 / it.window.elapsed.as_secs_f64())),
    measure("cpu_ns_per_delivery", "CPU per delivery", "ns", 0, |it| Some(it.window.cpu_ns? as f64 / (it.window.delivered.max(1)) as f64)),
    measure("cpu_percent", "CPU of one core", "%", 1, |it| Some(it.window.cpu_ns? as f64 / 1e7 / it.window.elapsed.as_secs_f64())),
];

/// None where nobody read, so that it is not known.
fn if_read(round: &Round, value: u64) -> Option<f64> {
    (round.tally.latency.count() > 0 || round.tally.delivered == 0).then_some(value as f64)
}

fn quantile_us(round: &Round, share: f64) -> Option<f64> {
    round
        .tally
        .latency
        .quantile(share)
        .map(|ns| ns as f64 / 1e3)
}

fn lost(round: &Round) -> u64 {
    round.expected.saturating_sub(round.tally.delivered)
}

impl Figure {
    pub fn median(&self, rounds: &[Round]) -> Option<f64> {
        median(rounds.iter().filter_map(self.of).collect())
    }

    /// How the medians compare.
    pub fn ratio(&self, rounds: &[Round], to: &[Round]) -> Option<f64> {
        let (value, to) = (self.median(rounds)?, self.median(to)?);
        (self.has_ratio && to > 0.0).then(|| value / to)
    }

    /// A value of it for people.
    pub fn told(&self, value: Option<f64>) -> String {
        value.map_or("-".to_owned(), |it| told(it, self.decimals))
    }
}

/// The middle one; of an even number the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// A number for people, with a comma after each three digits, and with more decimals where a small
/// one would lose its first two digits: only 0 is shown as 0.
pub fn told(value: f64, decimals: usize) -> String {
    // Where its first digit is, counted from the point.
    let first = -value.abs().log10().floor();
    let decimals = match value.fract() != 0.0 && first > 0.0 {
        true => decimals.max(first as usize + 1),
        false => decimals,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + fraction
}

/// What a reader of the figures must know.
pub fn notes(options: &Options, outcome: &Outcome) -> Vec<String> {
    let mut notes = Vec::new();
    let rounds = || outcome.contenders.iter().flat_map(|(_, rounds)| rounds);
    let others: u64 = rounds().map(|it| it.tally.others).sum();
    if others > 0 {
        let count_as = match options.receivers {
            Receivers::Read => {
                "they count in no figure but the server's CPU time and what that does to the others"
            }
            Receivers::Ignore => "where nobody reads, they count as delivered",
        };
        notes.push(format!(
            "other people spoke: at least {} datagrams were not of this crowd; {count_as}",
            told(others as f64, 0)
        ));
    }
    if options.plot.is_some() && options.rounds > 1 {
        notes.push(format!(
            "the plot is of all {} rounds together, so that its p99 is not the one above, which is the median of theirs",
            options.rounds
        ));
    }
    notes
}

/// Faults: each of these makes the run a failure.
pub fn errors(outcome: &Outcome) -> Vec<String> {
    let mut errors = Vec::new();
    for (contender, rounds) in &outcome.contenders {
        for (number, round) in rounds.iter().enumerate() {
            let tally = &round.tally;
            for (count, what) in [
                (tally.own, "came back to the one who sent them"),
                (tally.malformed, "could not be read"),
                (tally.unclean, "had other bytes than zero behind the frame"),
                (tally.misnamed, "bore another's user id"),
                (tally.unstamped, "had no time stamp of the kernel"),
            ] {
                if count > 0 {
                    let (name, number) = (contender.name(), number + 1);
                    errors.push(format!("{name}, round {number}: {count} datagrams {what}"));
                }
            }
        }
    }
    // A lost user stays lost, and the last round knows of all.
    let rounds = outcome.contenders.iter().flat_map(|(_, rounds)| rounds);
    match rounds.map(|it| it.tally.lost_users).max() {
        None | Some(0) => {}
        Some(count) => errors.push(format!(
            "the server closed the connections of {count} users"
        )),
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::super::options::{Side, Storm};
    use super::super::receiver::Tally;
    use super::super::run::{Contender, Window};
    use super::super::speaker::Spoken;
    use super::*;
    use std::time::Duration;

    fn outcome(tally: Tally) -> Outcome {
        let contender = Contender {
            side: Side::Server,
            storm: Storm::None,
        };
        let round = Round {
            spoken: Spoken::default(),
            expected: 0,
            tally,
            window: Window {
                elapsed: Duration::from_secs(1),
                delivered: 0,
                cpu_ns: None,
            },
            storm: None,
        };
        Outcome {
            login: Duration::ZERO,
            slowest_login: Duration::ZERO,
            memory: None,
            workers: 1,
            contenders: vec![(contender, vec![round])],
        }
    }

    #[test]
    fn other_people_are_a_note_and_no_error() {
        let with_others = |others| {
            let mut tally = Tally::new();
            tally.others = others;
            outcome(tally)
        };
        assert!(notes(&Options::default(), &with_others(0)).is_empty());
        for (receivers, words) in [
            (
                Receivers::Read,
                "they count in no figure but the server's CPU",
            ),
            (Receivers::Ignore, "they count as delivered"),
        ] {
            let options = Options {
                receivers,
                ..Options::default()
            };
            let notes = notes(&options, &with_others(25_400));
            assert!(
                notes[0].contains("25,400") && notes[0].contains(words),
                "{notes:?}"
            );
            assert!(errors(&with_others(25_400)).is_empty());
        }
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(told(999.0, 0), "999");
        assert_eq!(told(1_000.04, 1), "1,000.0");
        assert_eq!(told(12_345_678.0, 0), "12,345,678");
    }

    #[test]
    fn small_numbers_keep_two_digits_and_0_is_0() {
        for (value, text) in [
            (12.345, "12.35"),
            (1.0, "1.00"),
            (0.987_654, "0.99"),
            (0.1, "0.10"),
            (0.099, "0.099"),
            (0.004_321, "0.0043"),
            (0.000_000_45, "0.00000045"),
            (0.0, "0.00"),
        ] {
            assert_eq!(told(value, 2), text);
        }
        assert_eq!(told(0.5, 0), "0.50");
        assert_eq!(told(0.0, 0), "0");
    }
}
