//! The alerts and the dashboard of `packaging/monitoring`: what they ask for is what the server tells.

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use voiceapp_server::{Config, Server, metrics};

const ALERTS: &str = include_str!("../../packaging/monitoring/prometheus-alerts.yml");
const DASHBOARD: &str = include_str!("../../packaging/monitoring/grafana-dashboard.json");
const RUNNING: &str = include_str!("../../docs/running.md");

/// What follows a key on its line, for all lines that have it.
fn values<'a>(key: &str) -> Vec<&'a str> {
    let lines = ALERTS
        .lines()
        .map(|line| line.trim_start_matches([' ', '-']));
    lines.filter_map(|line| line.strip_prefix(key)).collect()
}

/// The samples that a server has told, each with its labels and without its value.
fn samples() -> BTreeSet<String> {
    let config = Config {
        management_port: 0,
        voice_relay_port: 0,
        ..Config::default()
    };
    let server = Server::bind(&config).expect("the system has free ports");
    let page = metrics::render(&server.statistics());
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(sample, _)| sample.to_owned())
        .collect()
}

/// Whether every metric that a query names is told, with the labels that it asks for. What Prometheus
/// itself knows a target by is left out.
fn check(query: &str, samples: &BTreeSet<String>) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut seen = 0;
    for (at, _) in query.match_indices(is_name) {
        if query[..at].ends_with(is_name) {
            continue;
        }
        let rest = &query[at..];
        let len = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(len);
        if !name.starts_with("voiceapp_") && !name.starts_with("process_") {
            continue;
        }
        let labels = behind.strip_prefix('{').and_then(|it| it.split('}').next());
        let labels = labels.unwrap_or_default().split(", ");
        let labels: Vec<_> = labels
            .filter(|label| !label.starts_with("instance=~") && !label.starts_with("job="))
            .collect();
        let is_told = samples.iter().any(|sample| {
            let (told, told_labels) = sample.split_once('{').unwrap_or((sample, ""));
            told == name && labels.iter().all(|label| told_labels.contains(label))
        });
        assert!(is_told, "nobody tells {name} with {labels:?}: {query}");
        seen += 1;
    }
    assert!(
        seen > 0 || query.starts_with("up{"),
        "{query} asks for nothing of the server"
    );
}

#[test]
fn every_metric_in_the_alerts_exists() {
    let samples = samples();
    let queries = values("expr: ");
    assert!(queries.len() > 8, "{queries:?}");
    queries.iter().for_each(|query| check(query, &samples));
}

#[test]
fn every_alert_is_explained_to_whoever_runs_the_server() {
    let alerts: BTreeSet<_> = values("alert: ").into_iter().collect();
    assert_eq!(alerts.len(), values("expr: ").len(), "two have one name");
    let rows = RUNNING
        .lines()
        .filter_map(|line| line.strip_prefix("| `Voice"));
    let explained: BTreeSet<String> = rows
        .filter_map(|row| row.split('`').next())
        .map(|name| format!("Voice{name}"))
        .collect();
    let explained: BTreeSet<_> = explained.iter().map(String::as_str).collect();
    assert_eq!(explained, alerts);
}

#[test]
fn every_metric_on_the_dashboard_exists_and_no_panel_covers_another() {
    let samples = samples();
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("they are a list");
    assert!(panels.len() > 10);
    let (mut ids, mut covered) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().expect("it is text");
        assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is taken");
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("it is a number");
        let (left, top) = (place("x"), place("y"));
        assert!(left + place("w") <= 24, "{title} is too wide");
        for x in left..left + place("w") {
            for y in top..top + place("h") {
                assert!(covered.insert((x, y)), "{title} covers another panel");
            }
        }
        let targets = panel["targets"].as_array().expect("they are a list");
        assert!(!targets.is_empty(), "{title} shows nothing");
        for target in targets {
            check(target["expr"].as_str().expect("it is text"), &samples);
        }
    }
    // The list of servers.
    let servers = &dashboard["templating"]["list"][1]["query"]["query"];
    check(servers.as_str().expect("it is text"), &samples);
}

#[test]
fn prometheus_itself_takes_the_alerts_where_it_is_installed() {
    let folder = env!("CARGO_MANIFEST_DIR");
    for arguments in [
        [
            "check",
            "rules",
            "packaging/monitoring/prometheus-alerts.yml",
        ],
        ["test", "rules", "tests/monitoring/alerts.yml"],
    ] {
        let promtool = Command::new("promtool")
            .args(arguments)
            .current_dir(folder)
            .output();
        let Ok(output) = promtool else {
            println!("promtool is not installed, so that it has not been asked");
            return;
        };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
}
