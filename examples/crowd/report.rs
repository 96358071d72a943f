//! What a run came to, for people and for programs: one table of figures, each told for every round and as the median
//! over rounds, beside the floor's and as their ratio.

use super::histogram::Histogram;
use super::json::Json;
use super::options::{Options, Pattern, Payload, Receivers};
use super::run::{Contender, Outcome, Round};
use super::user::Side;
use std::fmt::Write;

/// One line of the table.
pub struct Figure {
    /// In JSON.
    key: &'static str,
    title: &'static str,
    unit: &'static str,
    decimals: usize,
    /// Whether server / floor means anything.
    has_ratio: bool,
    of: fn(&Round) -> Option<f64>,
}

const fn figure(
    key: &'static str,
    title: &'static str,
    unit: &'static str,
    decimals: usize,
    has_ratio: bool,
    of: fn(&Round) -> Option<f64>,
) -> Figure {
    Figure {
        key,
        title,
        unit,
        decimals,
        has_ratio,
        of,
    }
}

/// None where nobody read, so that it can't be known.
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

const SECONDS_NS: f64 = 1e9;

#[rustfmt::skip]
const FIGURES: [Figure; 16] = [
    figure("sent", "sent", "", 0, false, |it| Some(it.spoken.sent as f64)),
    figure("not_sent", "not sent", "", 0, false, |it| Some(it.spoken.failed as f64)),
    figure("latest_send_us", "latest behind its time", "µs", 0, false, |it| Some(it.spoken.late_ns as f64 / 1e3)),
    figure("expected", "expected", "", 0, false, |it| Some(it.expected as f64)),
    figure("delivered", "delivered", "", 0, false, |it| Some(it.tally.delivered as f64)),
    figure("lost", "lost", "", 0, false, |it| Some(lost(it) as f64)),
    figure("dropped_by_receivers", "of them at receivers", "", 0, false, |it| if_read(it, it.tally.dropped.min(lost(it)))),
    figure("duplicated", "duplicated", "", 0, false, |it| if_read(it, it.tally.duplicated)),
    figure("reordered", "reordered", "", 0, false, |it| if_read(it, it.tally.reordered)),
    figure("p50_us", "latency p50", "µs", 1, true, |it| quantile_us(it, 0.5)),
    figure("p99_us", "latency p99", "µs", 1, true, |it| quantile_us(it, 0.99)),
    figure("p999_us", "latency p99.9", "µs", 1, true, |it| quantile_us(it, 0.999)),
    figure("max_us", "latency max", "µs", 1, true, |it| it.tally.latency.max().map(|ns| ns as f64 / 1e3)),
    figure("deliveries_per_second", "deliveries", "/s", 0, true, |it| Some(it.window.delivered as f64 / it.window.elapsed.as_secs_f64())),
    figure("cpu_ns_per_delivery", "CPU per delivery", "ns", 0, true, |it| Some(it.window.cpu_ns? as f64 / (it.window.delivered.max(1)) as f64)),
    figure("cpu_percent", "CPU of one core", "%", 1, true, |it| Some(it.window.cpu_ns? as f64 / SECONDS_NS / it.window.elapsed.as_secs_f64() * 100.0)),
];

/// The figures whose rounds are all shown.
const BY_ROUND: [&str; 6] = [
    "cpu_ns_per_delivery",
    "p50_us",
    "p99_us",
    "p999_us",
    "deliveries_per_second",
    "lost",
];

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

impl Figure {
    fn median(&self, rounds: &[Round]) -> Option<f64> {
        median(rounds.iter().filter_map(self.of).collect())
    }

    fn ratio(&self, rounds: &[Round], floor: &[Round]) -> Option<f64> {
        let (value, floor) = (self.median(rounds)?, self.median(floor)?);
        (self.has_ratio && floor > 0.0).then(|| value / floor)
    }

    fn told(&self, value: Option<f64>) -> String {
        match value {
            None => "-".to_owned(),
            Some(value) => grouped(value, self.decimals),
        }
    }
}

/// With a comma after each three digits.
fn grouped(value: f64, decimals: usize) -> String {
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

/// What must not be, whatever the load: each makes the run a failure.
pub fn errors(outcome: &Outcome) -> Vec<String> {
    let mut errors = Vec::new();
    for (contender, rounds) in &outcome.contenders {
        for (number, round) in rounds.iter().enumerate() {
            let tally = &round.tally;
            for (count, what) in [
                (tally.own, "datagrams came back to the one who sent them"),
                (tally.malformed, "datagrams could not be read"),
                (
                    tally.unclean,
                    "datagrams had other bytes than zero behind the frame",
                ),
                (tally.misnamed, "datagrams bore another's user id"),
                (
                    tally.lost_users,
                    "users' connections were ended by the server",
                ),
            ] {
                if count > 0 {
                    let name = contender.name();
                    errors.push(format!("{name}, round {}: {count} {what}", number + 1));
                }
            }
        }
    }
    errors
}

fn floor_of(outcome: &Outcome) -> Option<&[Round]> {
    let mut contenders = outcome.contenders.iter();
    contenders
        .find(|(it, _)| it.side == Side::Floor)
        .map(|(_, rounds)| rounds.as_slice())
}

/// What was asked for, in a line.
pub fn title(options: &Options) -> String {
    let rate = match options.rate {
        0.0 => "flat out".to_owned(),
        rate => format!("{rate} datagrams/s each"),
    };
    let payload = match options.payload {
        Payload::Opus => "120 to 240 bytes".to_owned(),
        Payload::Bytes(len) => format!("{len} bytes"),
    };
    let pattern = match options.pattern {
        _ if options.rate == 0.0 => "",
        Pattern::Even => "evenly paced, ",
        Pattern::Together => "all at one instant, ",
    };
    let receivers = match options.receivers {
        Receivers::Read => "receivers read",
        Receivers::Ignore => "receivers don't read",
    };
    let label = options
        .label
        .as_ref()
        .map_or(String::new(), |it| format!("{it}: "));
    format!(
        "{label}{} users, {} speakers, {rate}, {payload}, {pattern}{receivers}, {} s",
        options.users, options.speakers, options.seconds
    )
}

/// The report for people.
pub fn text(options: &Options, outcome: &Outcome) -> String {
    let mut out = title(options);
    let _ = writeln!(
        out,
        "\nlogins: {} in {:.2} s, the slowest {:.1} ms, by {} process(es)\n",
        options.users,
        outcome.login.as_secs_f64(),
        outcome.slowest_login.as_secs_f64() * 1e3,
        outcome.workers
    );
    let floor = floor_of(outcome);
    let mut head = format!("{:<27}", "medians over rounds");
    for (contender, _) in &outcome.contenders {
        let _ = write!(head, "{:>22}", contender.name());
        if floor.is_some() && contender.side == Side::Server {
            let _ = write!(head, "{:>9}", "/ floor");
        }
    }
    let _ = writeln!(out, "{head}");
    for figure in &FIGURES {
        let mut line = format!("{:<23}{:>3} ", figure.title, figure.unit);
        for (contender, rounds) in &outcome.contenders {
            let _ = write!(line, "{:>22}", figure.told(figure.median(rounds)));
            if let (Some(floor), Side::Server) = (floor, contender.side) {
                let ratio = figure.ratio(rounds, floor);
                let ratio = ratio.map_or(String::new(), |it| format!("{it:.2}"));
                let _ = write!(line, "{ratio:>9}");
            }
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if options.rounds > 1 {
        write_rounds(&mut out, outcome);
    }
    for (contender, rounds) in &outcome.contenders {
        for storm in rounds.iter().filter_map(|it| it.storm.as_ref()) {
            let _ = writeln!(out, "\n{}: {storm}", contender.name());
        }
    }
    for error in errors(outcome) {
        let _ = writeln!(out, "\nWRONG: {error}");
    }
    out
}

fn write_rounds(out: &mut String, outcome: &Outcome) {
    let shown = || FIGURES.iter().filter(|it| BY_ROUND.contains(&it.key));
    let _ = write!(out, "\n{:<27}", "each round");
    for figure in shown() {
        let title = format!("{} {}", figure.title, figure.unit);
        let _ = write!(out, "{:>22}", title.trim_end());
    }
    let _ = writeln!(out);
    for (contender, rounds) in &outcome.contenders {
        for (number, round) in rounds.iter().enumerate() {
            let _ = write!(
                out,
                "{:<27}",
                format!("{} {}", contender.name(), number + 1)
            );
            for figure in shown() {
                let _ = write!(out, "{:>22}", figure.told((figure.of)(round)));
            }
            let _ = writeln!(out);
        }
    }
}

/// The report for programs: one object.
pub fn json(options: &Options, outcome: &Outcome) -> String {
    let mut json = Json::new();
    json.open('{');
    json.text("title", &title(options));
    json.text("label", options.label.as_deref().unwrap_or(""));
    json.number("users", Some(options.users as f64));
    json.number("speakers", Some(options.speakers as f64));
    json.number("rate", Some(options.rate));
    json.number("seconds", Some(options.seconds));
    json.number("rounds", Some(options.rounds as f64));
    json.number("processes", Some(outcome.workers as f64));
    json.number("login_seconds", Some(outcome.login.as_secs_f64()));
    json.number(
        "slowest_login_seconds",
        Some(outcome.slowest_login.as_secs_f64()),
    );
    json.key("runs");
    json.open('[');
    for (contender, rounds) in &outcome.contenders {
        write_contender(&mut json, *contender, rounds, floor_of(outcome));
    }
    json.close(']');
    json.key("errors");
    json.open('[');
    for error in errors(outcome) {
        json.item(&error);
    }
    json.close(']');
    json.close('}');
    json.finish()
}

fn write_contender(
    json: &mut Json,
    contender: Contender,
    rounds: &[Round],
    floor: Option<&[Round]>,
) {
    json.open('{');
    json.text("name", &contender.name());
    json.text("storm", contender.storm.name());
    json.key("median");
    json.open('{');
    for figure in &FIGURES {
        json.number(figure.key, figure.median(rounds));
    }
    json.close('}');
    if let (Some(floor), Side::Server) = (floor, contender.side) {
        json.key("ratio_to_floor");
        json.open('{');
        for figure in FIGURES.iter().filter(|it| it.has_ratio) {
            json.number(figure.key, figure.ratio(rounds, floor));
        }
        json.close('}');
    }
    json.key("rounds");
    json.open('[');
    for round in rounds {
        json.open('{');
        for figure in &FIGURES {
            json.number(figure.key, (figure.of)(round));
        }
        if let Some(storm) = &round.storm {
            json.text("storm_did", storm);
        }
        json.close('}');
    }
    json.close(']');
    json.close('}');
}

/// The latencies of all rounds together, for the plot.
pub fn latency(rounds: &[Round]) -> Histogram {
    let mut sum = Histogram::new();
    for round in rounds {
        sum.add(&round.tally.latency);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(grouped(999.0, 0), "999");
        assert_eq!(grouped(1_000.04, 1), "1,000.0");
        assert_eq!(grouped(12_345_678.0, 0), "12,345,678");
    }
}
