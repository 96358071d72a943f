//! The result of a run, for people as a table and for programs as JSON: each figure as the median
//! over rounds, beside the floor's and the server's own without a storm, and for every round.

use super::figures::{FIGURES, Figure, errors, notes, told};
use super::histogram::Histogram;
use super::json::Json;
use super::options::{Options, Pattern, Payload, Receivers, Secure, Side, Storm};
use super::run::{Contender, Memory, Outcome, Round};
use std::fmt::Write;

const TITLE_WIDTH: usize = 27;
const COLUMN_WIDTH: usize = 17;

type Rounds = (Contender, Vec<Round>);

/// The options of the run, in a line.
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
    let secure = match options.secure {
        Secure::No => "",
        Secure::Yes => " on TLS",
        Secure::Both => " of each kind",
    };
    let label = options.label.as_ref();
    let label = label.map_or(String::new(), |it| format!("{it}: "));
    let (users, speakers) = (options.users, options.speakers);
    format!(
        "{label}{users} users{secure}, {speakers} speaking, {rate}, {payload}, {pattern}{receivers}, {} s",
        options.seconds
    )
}

/// A way to compare contenders: its title, its key in JSON, and what a contender is compared with.
struct Comparison {
    title: &'static str,
    key: &'static str,
    rival: fn(Contender) -> Option<Contender>,
}

const COMPARISONS: [Comparison; 3] = [
    Comparison {
        title: "compared with the floor",
        key: "ratio_to_floor",
        rival: |it| {
            let (side, storm) = (Side::Floor, Storm::None);
            (it.side != side).then_some(Contender { side, storm })
        },
    },
    Comparison {
        title: "compared with plain",
        key: "ratio_to_plain",
        rival: |it| {
            let side = Side::Server;
            (it.side == Side::Sealed).then_some(Contender { side, ..it })
        },
    },
    Comparison {
        title: "compared with no storm",
        key: "ratio_to_no_storm",
        rival: |it| {
            let storm = Storm::None;
            (it.storm != storm).then_some(Contender { storm, ..it })
        },
    },
];

impl Comparison {
    /// The rounds of a contender's rival, if it was measured as well.
    fn rival_in<'o>(&self, outcome: &'o Outcome, contender: Contender) -> Option<&'o [Round]> {
        let wanted = (self.rival)(contender)?;
        let mut all = outcome.contenders.iter();
        all.find(|(it, _)| *it == wanted)
            .map(|(_, rounds)| &rounds[..])
    }
}

/// The report for people.
pub fn text(options: &Options, outcome: &Outcome) -> String {
    let mut out = title(options);
    let _ = writeln!(
        out,
        "\nlogins: {} in {:.2} s, the slowest {:.1} ms, in {} process(es)",
        logins(options),
        outcome.login.as_secs_f64(),
        outcome.slowest_login.as_secs_f64() * 1e3,
        outcome.workers
    );
    if let Some(Memory { before, after }) = outcome.memory {
        let _ = writeln!(
            out,
            "memory of the server: {} KiB before the logins, {} KiB after them, {} KiB for each user",
            told(before as f64 / 1_024.0, 0),
            told(after as f64 / 1_024.0, 0),
            told(kib_per_user(options, outcome).unwrap_or(0.0), 1)
        );
    }
    let rounds = match options.rounds {
        1 => "one round".to_owned(),
        rounds => format!("medians of {rounds} rounds"),
    };
    write_head(&mut out, &rounds, outcome);
    for figure in &FIGURES {
        write_line(&mut out, figure, outcome, |(_, rounds)| {
            figure.told(figure.median(rounds))
        });
    }
    for comparison in &COMPARISONS {
        let rival = |contender| comparison.rival_in(outcome, contender);
        let mut contenders = outcome.contenders.iter();
        if !contenders.any(|(contender, _)| rival(*contender).is_some()) {
            continue;
        }
        write_head(&mut out, comparison.title, outcome);
        for figure in FIGURES.iter().filter(|it| it.has_ratio) {
            write_line(&mut out, figure, outcome, |(contender, rounds)| {
                let rival = rival(*contender);
                let ratio = rival.and_then(|rival| figure.ratio(rounds, rival));
                ratio.map_or(String::new(), |it| format!("{} x", told(it, 2)))
            });
        }
    }
    if options.rounds > 1 {
        write_rounds(&mut out, outcome);
    }
    for (contender, rounds) in &outcome.contenders {
        for storm in rounds.iter().filter_map(|it| it.storm.as_ref()) {
            let _ = write!(out, "\n{}: {storm}", contender.name());
        }
    }
    for note in notes(options, outcome) {
        let _ = write!(out, "\nnote: {note}");
    }
    for error in errors(outcome) {
        let _ = write!(out, "\nWRONG: {error}");
    }
    out
}

/// How many have logged in.
fn logins(options: &Options) -> usize {
    options.users * options.secure.sides().len()
}

/// What each user has added to the server's memory.
fn kib_per_user(options: &Options, outcome: &Outcome) -> Option<f64> {
    let Memory { before, after } = outcome.memory?;
    Some((after as f64 - before as f64) / 1_024.0 / logins(options) as f64)
}

/// The names of the contenders, on two lines if there are storms.
fn write_head(out: &mut String, title: &str, outcome: &Outcome) {
    let names: Vec<String> = outcome.contenders.iter().map(|(it, _)| it.name()).collect();
    let has_storm = names.iter().any(|it| it.contains(" + "));
    let _ = writeln!(out);
    for line in 0..=usize::from(has_storm) {
        let _ = write!(out, "{:<TITLE_WIDTH$}", if line == 0 { title } else { "" });
        for name in &names {
            let (side, storm) = name.split_once(" + ").unwrap_or((name, ""));
            let name = match (line, storm) {
                (0, _) => side.to_owned(),
                (_, "") => String::new(),
                _ => format!("+ {storm}"),
            };
            let _ = write!(out, "{name:>COLUMN_WIDTH$}");
        }
        end_line(out);
    }
}

fn write_line(
    out: &mut String,
    figure: &Figure,
    outcome: &Outcome,
    value: impl Fn(&Rounds) -> String,
) {
    let _ = write!(out, "  {:<22}{:<3}", figure.title, figure.unit);
    for contender in &outcome.contenders {
        let _ = write!(out, "{:>COLUMN_WIDTH$}", value(contender));
    }
    end_line(out);
}

fn write_rounds(out: &mut String, outcome: &Outcome) {
    let shown = || FIGURES.iter().filter(|it| it.is_shown_by_round);
    let _ = write!(out, "\n{:<TITLE_WIDTH$}", "each round");
    for figure in shown() {
        let _ = write!(out, "{:>COLUMN_WIDTH$}", figure.title);
    }
    let _ = write!(out, "\n{:<TITLE_WIDTH$}", "");
    for figure in shown() {
        let _ = write!(out, "{:>COLUMN_WIDTH$}", figure.unit);
    }
    end_line(out);
    for (contender, rounds) in &outcome.contenders {
        for (number, round) in rounds.iter().enumerate() {
            let name = format!("  {} {}", contender.name(), number + 1);
            let _ = write!(out, "{name:<TITLE_WIDTH$}");
            for figure in shown() {
                let _ = write!(out, "{:>COLUMN_WIDTH$}", figure.told((figure.of)(round)));
            }
            end_line(out);
        }
    }
}

fn end_line(out: &mut String) {
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
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
    json.number("processes", Some(outcome.workers as f64));
    json.number("login_seconds", Some(outcome.login.as_secs_f64()));
    let slowest = outcome.slowest_login.as_secs_f64();
    json.number("slowest_login_seconds", Some(slowest));
    let per_user = kib_per_user(options, outcome);
    json.number("memory_kib_per_user", per_user);
    json.key("runs");
    json.open('[');
    for contender in &outcome.contenders {
        write_contender(&mut json, contender, outcome);
    }
    json.close(']');
    for (key, texts) in [
        ("notes", notes(options, outcome)),
        ("errors", errors(outcome)),
    ] {
        json.key(key);
        json.open('[');
        texts.iter().for_each(|text| json.item(text));
        json.close(']');
    }
    json.close('}');
    json.finish()
}

fn write_contender(json: &mut Json, (contender, rounds): &Rounds, outcome: &Outcome) {
    json.open('{');
    json.text("name", &contender.name());
    json.text("storm", contender.storm.name());
    json.key("median");
    json.open('{');
    for figure in &FIGURES {
        json.number(figure.key, figure.median(rounds));
    }
    json.close('}');
    for comparison in &COMPARISONS {
        if let Some(rival) = comparison.rival_in(outcome, *contender) {
            json.key(comparison.key);
            json.open('{');
            for figure in FIGURES.iter().filter(|it| it.has_ratio) {
                json.number(figure.key, figure.ratio(rounds, rival));
            }
            json.close('}');
        }
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
