//! Draws latency distributions as an SVG, by hand: to the right how late, on a log scale; upwards which share was not
//! later than that, on a scale where each further nine takes the same height, because what matters is the slowest few.
//!
//! The colours follow the viewer's light or dark mode, and each line has a dash pattern of its own beside its colour.

use super::histogram::Histogram;
use std::fmt::Write;

/// One run.
pub struct Line {
    pub name: String,
    pub latency: Histogram,
}

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 56.0;
const PLOT_WIDTH: f64 = 610.0;
const PLOT_HEIGHT: f64 = 380.0;
/// The legend's lines are this far apart.
const LEGEND_STEP: f64 = 40.0;
/// The highest share shown, in nines.
const NINES_MAX: f64 = 4.2;
const SHARES: [(f64, &str); 6] = [
    (0.0, "0 %"),
    (0.5, "50 %"),
    (0.9, "90 %"),
    (0.99, "99 %"),
    (0.999, "99.9 %"),
    (0.9999, "99.99 %"),
];

/// For each line: colour in light, colour in dark, dashes. They are as many as there are storms and floors to compare.
const LOOKS: [(&str, &str, &str); 8] = [
    ("#0b62c4", "#6cb2ff", "none"),
    ("#b54708", "#ffab5e", "8 4"),
    ("#157f3b", "#62d58b", "2 3"),
    ("#a3195b", "#ff7fb8", "12 3 2 3"),
    ("#6d3fc0", "#bfa1ff", "5 2"),
    ("#00707a", "#4fd3df", "1 4"),
    ("#5c6370", "#b8c0cc", "14 5"),
    ("#8a6d00", "#e3c448", "7 2 2 2 2 2"),
];

/// The whole file. Of several rounds, a line is all of them together.
pub fn svg(title: &str, rounds: usize, lines: &[Line]) -> String {
    let scale = Scale::around(lines);
    let height = (TOP + PLOT_HEIGHT + 64.0).max(TOP + 30.0 + lines.len() as f64 * LEGEND_STEP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n<title>One-way latency: {}</title>\n",
        escaped(title)
    );
    write_style(&mut out);
    let _ = writeln!(
        out,
        "<rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>"
    );
    write_text(&mut out, "title", 20.0, 26.0, "One-way latency");
    write_text(&mut out, "note", 20.0, 44.0, title);
    write_axes(&mut out, &scale);
    if rounds > 1 {
        let what = format!("all {rounds} rounds together; the table has medians over them");
        write_text(&mut out, "note end", LEFT + PLOT_WIDTH, 26.0, &what);
    }
    for (place, line) in lines.iter().enumerate() {
        let look = place % LOOKS.len();
        let points = points(&line.latency, &scale);
        let _ = writeln!(
            out,
            "<polyline class=\"line look{look}\" points=\"{points}\"/>"
        );
        write_legend(&mut out, place, look, line);
    }
    out + "</svg>\n"
}

/// Where a latency lies on the page.
struct Scale {
    /// Powers of ten, in nanoseconds.
    from: f64,
    to: f64,
}

impl Scale {
    /// From a bit below the fastest hundredth to a bit above the slowest that is shown.
    fn around(lines: &[Line]) -> Self {
        let top_share = 1.0 - 10f64.powf(-NINES_MAX);
        let ends = |share: f64| {
            let values = lines
                .iter()
                .filter_map(move |it| it.latency.quantile(share));
            values.map(|ns| (ns.max(1) as f64).log10())
        };
        let from = ends(0.01).fold(f64::INFINITY, f64::min);
        let to = ends(top_share).fold(f64::NEG_INFINITY, f64::max);
        if from > to {
            // Nothing arrived: an empty page, with some axis.
            return Scale { from: 3.0, to: 6.0 };
        }
        Scale {
            from: from - 0.1,
            to: to.max(from + 0.5) + 0.1,
        }
    }

    fn x(&self, ns: f64) -> f64 {
        let share = (ns.max(1.0).log10() - self.from) / (self.to - self.from);
        LEFT + share.clamp(0.0, 1.0) * PLOT_WIDTH
    }
}

fn y(share: f64) -> f64 {
    let nines = if share >= 1.0 {
        NINES_MAX
    } else {
        -(1.0 - share).log10()
    };
    TOP + PLOT_HEIGHT * (1.0 - nines.min(NINES_MAX) / NINES_MAX)
}

/// A point for each latency that occurred; steps too small to be seen are left out, and larger ones have a corner.
fn points(latency: &Histogram, scale: &Scale) -> String {
    let mut out = String::new();
    let mut last = (f64::NEG_INFINITY, y(0.0));
    for (ns, passed) in latency.steps() {
        let share = passed as f64 / latency.count() as f64;
        let (x, y) = (scale.x(ns as f64), y(share));
        let is_last = passed == latency.count();
        let (right, up) = (x - last.0, last.1 - y);
        if is_last || right > 1.5 || up > 1.5 {
            if right > 3.0 && last.0.is_finite() {
                let _ = write!(out, "{x:.1},{:.1} ", last.1);
            }
            let _ = write!(out, "{x:.1},{y:.1} ");
            last = (x, y);
        }
        if y <= TOP {
            break;
        }
    }
    out.trim_end().to_owned()
}

fn write_axes(out: &mut String, scale: &Scale) {
    let (right, bottom) = (LEFT + PLOT_WIDTH, TOP + PLOT_HEIGHT);
    for (share, name) in SHARES {
        let y = y(share);
        write_rule(out, (LEFT, y), (right, y));
        write_text(out, "tick end", LEFT - 8.0, y + 4.0, name);
    }
    let decades = scale.to - scale.from;
    for power in scale.from.floor() as i32..=scale.to.ceil() as i32 {
        for step in [1.0, 2.0, 5.0] {
            let ns = step * 10f64.powi(power);
            let is_inside = (scale.from..=scale.to).contains(&ns.log10());
            if !is_inside || (step != 1.0 && decades > 4.2) {
                continue;
            }
            let x = scale.x(ns);
            write_rule(out, (x, TOP), (x, bottom));
            write_text(out, "tick middle", x, bottom + 18.0, &duration(ns));
        }
    }
    let middle = LEFT + PLOT_WIDTH / 2.0;
    let what = "from the send call to the kernel's time stamp at the receiver (log scale)";
    write_text(out, "note middle", middle, bottom + 42.0, what);
}

fn write_legend(out: &mut String, place: usize, look: usize, line: &Line) {
    let x = LEFT + PLOT_WIDTH + 24.0;
    let y = TOP + 12.0 + place as f64 * LEGEND_STEP;
    let _ = writeln!(
        out,
        "<line class=\"line look{look}\" x1=\"{x}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\"/>",
        x + 34.0
    );
    write_text(out, "name", x + 42.0, y + 4.0, &line.name);
    let quantiles = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)].map(|(name, share)| {
        let value = line.latency.quantile(share);
        let value = value.map_or("-".to_owned(), |ns| duration(ns as f64));
        format!("{name} {value}")
    });
    write_text(out, "note", x + 42.0, y + 20.0, &quantiles.join(" · "));
}

/// Three digits and a unit.
fn duration(ns: f64) -> String {
    let (value, unit) = match ns {
        _ if ns < 1e3 => (ns, "ns"),
        _ if ns < 1e6 => (ns / 1e3, "µs"),
        _ if ns < 1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    // A round value needs no decimals.
    let decimals = match value {
        _ if value.fract() == 0.0 || value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$} {unit}")
}

fn write_rule(out: &mut String, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        out,
        "<line class=\"rule\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn write_text(out: &mut String, class: &str, x: f64, y: f64, text: &str) {
    let text = escaped(text);
    let _ = writeln!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn write_style(out: &mut String) {
    out.push_str(
        "<style>\n\
         text { font: 12px system-ui, sans-serif; fill: #1d2330; }\n\
         .title { font-size: 16px; font-weight: 600; }\n\
         .name { font-size: 13px; font-weight: 600; }\n\
         .note { font-size: 11px; fill: #545b68; }\n\
         .tick { fill: #545b68; }\n\
         .end { text-anchor: end; }\n\
         .middle { text-anchor: middle; }\n\
         .paper { fill: #ffffff; }\n\
         .rule { stroke: #dde1e7; stroke-width: 1; }\n\
         .line { fill: none; stroke-width: 2; stroke-linejoin: round; }\n",
    );
    for (look, (light, _, dashes)) in LOOKS.iter().enumerate() {
        let _ = writeln!(
            out,
            ".look{look} {{ stroke: {light}; stroke-dasharray: {dashes}; }}"
        );
    }
    out.push_str(
        "@media (prefers-color-scheme: dark) {\n\
         text { fill: #e8ebf0; }\n\
         .note, .tick { fill: #a4acb9; }\n\
         .paper { fill: #14171c; }\n\
         .rule { stroke: #2c323b; }\n",
    );
    for (look, (_, dark, _)) in LOOKS.iter().enumerate() {
        let _ = writeln!(out, ".look{look} {{ stroke: {dark}; }}");
    }
    out.push_str("}\n</style>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_nine_takes_the_same_height() {
        let step = y(0.9) - y(0.99);
        assert!((y(0.99) - y(0.999) - step).abs() < 1e-6);
        assert_eq!(y(0.0), TOP + PLOT_HEIGHT);
        assert_eq!(y(1.0), TOP);
    }

    #[test]
    fn durations_have_three_digits() {
        assert_eq!(duration(50.0), "50 ns");
        assert_eq!(duration(1_234.0), "1.23 µs");
        assert_eq!(duration(45_600.0), "45.6 µs");
        assert_eq!(duration(200_000_000.0), "200 ms");
        assert_eq!(duration(5e9), "5 s");
    }

    #[test]
    fn a_drawing_names_its_lines_and_stays_on_the_page() {
        let mut latency = Histogram::new();
        for ns in 1..100_000 {
            latency.record(ns * 100);
        }
        let line = |name: &str, latency| Line {
            name: name.to_owned(),
            latency,
        };
        let lines = [line("a & b", latency), line("nothing", Histogram::new())];
        assert!(!svg("title", 1, &lines).contains("rounds"));
        let svg = svg("a <title>", 3, &lines);
        assert!(svg.contains("all 3 rounds together"));
        assert!(svg.contains("a &amp; b") && svg.contains("a &lt;title>"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        let points = svg
            .split("points=\"")
            .nth(1)
            .and_then(|it| it.split('"').next());
        for point in points.expect("a line").split(' ') {
            let (x, y) = point.split_once(',').expect("two numbers");
            let (x, y): (f64, f64) = (x.parse().expect("x"), y.parse().expect("y"));
            assert!((LEFT..=LEFT + PLOT_WIDTH).contains(&x), "{point}");
            assert!((TOP..=TOP + PLOT_HEIGHT).contains(&y), "{point}");
        }
    }
}
