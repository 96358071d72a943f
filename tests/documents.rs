//! What `docs/` says is held together with the code: examples, names, defaults and figures.

#![cfg(feature = "cli")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;
use voiceapp_server::cli::{self, OTHER_OPTIONS, SETTINGS};
use voiceapp_server::figures::{self, Kind};
use voiceapp_server::protocol::{
    Asked, Frame, Granted, Greeting, Packet, Participant, Password, Program, Reason, Refusal,
};
use voiceapp_server::{Cause, Config, Server, metrics};

const PROTOCOL: &str = include_str!("../docs/protocol.md");
const RUNNING: &str = include_str!("../docs/running.md");
const DOCUMENT_OF_SETTINGS: &str = include_str!("../docs/settings.md");

/// The lines of all fenced blocks of a kind, with an empty line after each block.
fn fenced<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let mut lines = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        if let Some(opened) = line.strip_prefix("```") {
            if std::mem::take(&mut is_inside) {
                lines.push("");
            } else {
                is_inside = opened == kind;
            }
        } else if is_inside {
            lines.push(line);
        }
    }
    lines
}

/// The cells of the rows of all tables.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter_map(|line| {
        let cells = line.strip_prefix('|')?.strip_suffix('|')?;
        Some(cells.split('|').map(str::trim).collect())
    })
}

/// What is named in code in the first cells of all tables.
fn named_in_rows(text: &str) -> BTreeSet<&str> {
    rows(text)
        .flat_map(|cells| cells[0].split('`').skip(1).step_by(2).collect::<Vec<_>>())
        .collect()
}

/// One packet of the examples, and its bytes as they are written there.
struct Example {
    packet: String,
    bytes: String,
}

fn examples() -> Vec<Example> {
    let lines = fenced(PROTOCOL, "hex");
    let parts = lines.split(|line| line.is_empty());
    let examples = parts.filter(|part| !part.is_empty()).map(|part| {
        let (bytes, packet): (Vec<&str>, _) = part.iter().partition(|line| line.starts_with(' '));
        Example {
            packet: packet.join(" "),
            bytes: bytes.join(" "),
        }
    });
    examples.collect()
}

/// Bytes from hexadecimal digits in groups.
fn bytes_of(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
    pairs
        .map(|pair| byte(pair).unwrap_or_else(|error| panic!("{text:?}: {error}")))
        .collect()
}

/// A packet as the examples name it: ids as numbers, data in hexadecimal, and everyone in a list.
fn describe(packet: &Packet<'_>) -> String {
    let participant = |it: &Participant<'_>| {
        let Participant {
            user_id,
            username,
            in_voice,
            is_muted,
        } = it;
        format!(
            "{{ user_id: {user_id}, username: {username:?}, in_voice: {in_voice}, is_muted: {is_muted} }}"
        )
    };
    match packet {
        Packet::VoiceAuthRequest {
            request_id,
            voice_token,
        } => format!(
            "VoiceAuthRequest {{ request_id: {request_id}, voice_token: {:#018x} }}",
            voice_token.0
        ),
        Packet::LoginResponse {
            request_id,
            id,
            voice_token,
            participants,
            granted,
        } => {
            let all: Vec<_> = participants
                .iter()
                .map(|it| format!("Participant {}", participant(&it)))
                .collect();
            let all = match all.is_empty() {
                true => "[]".into(),
                false => format!("[ {}]", all.join(", ")),
            };
            format!(
                "LoginResponse {{ request_id: {request_id}, id: {id}, voice_token: {:#018x}, participants: {all}{} }}",
                voice_token.0,
                granted.map(describe_granted).unwrap_or_default()
            )
        }
        Packet::UserJoinedServer { participant: who } => {
            format!("UserJoinedServer {}", participant(who))
        }
        Packet::VoiceData {
            user_id,
            sequence,
            timestamp,
            data,
        } => {
            let data: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
            format!(
                "VoiceData {{ user_id: {user_id}, sequence: {sequence}, timestamp: {timestamp}, data: {data} }}"
            )
        }
        Packet::Sealed {
            key_id,
            counter,
            sealed,
        } => {
            let sealed: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("Sealed {{ key_id: 0x{key_id}, counter: {counter}, sealed: {sealed} }}")
        }
        Packet::LoginRequest {
            request_id,
            username,
            asked,
        } => {
            let asked = asked.map(describe_asked).unwrap_or_default();
            format!("LoginRequest {{ request_id: {request_id}, username: {username:?}{asked} }}")
        }
        Packet::UserFlags { user_id, flags } => {
            format!("UserFlags {{ user_id: {user_id}, flags: {} }}", flags.0)
        }
        Packet::Ended { reason, text } => {
            let reason = reason.number();
            format!("Ended {{ reason: {reason}, text: {text:?} }}")
        }
        Packet::ChatMessageResponse {
            request_id,
            success,
            reason: Some(reason),
        } => {
            let reason = reason.number();
            format!(
                "ChatMessageResponse {{ request_id: {request_id}, success: {success}, reason: {reason} }}"
            )
        }
        // What is left has numbers, strings and truth values, and user ids as `UserId(1)`.
        other => format!("{other:?}")
            .replace("UserId(", "")
            .replace("),", ",")
            .replace(") }", " }")
            .replace(", reason: None", ""),
    }
}

fn describe_asked(asked: Asked<'_>) -> String {
    let mut said = format!(", caps: {}", asked.caps.0);
    if let Some(Password(password)) = asked.password {
        said += &format!(", password: {password:?}");
    }
    if let Some(Program { name, version }) = asked.client {
        said += &format!(", client: {name:?} {version:?}");
    }
    said
}

fn describe_granted(granted: Granted<'_>) -> String {
    let mut said = format!(", caps: {}", granted.caps.0);
    if let Some(Refusal { reason, text }) = granted.refusal {
        said += &format!(", refusal: {} {text:?}", reason.number());
    }
    if let Some(Greeting { name, welcome }) = granted.server {
        said += &format!(", server: {name:?} {welcome:?}");
    }
    if let Some(port) = granted.voice_port {
        said += &format!(", voice_port: {port}");
    }
    if let Some(flags) = granted.flags {
        said += &format!(", flags: {}", flags.0);
    }
    said
}

/// The table of reasons has each that there is, in its words.
#[test]
fn reasons_in_the_protocol_are_those_of_the_code() {
    for reason in &Reason::ALL[1..] {
        let entry = format!("| {} | {reason} |", reason.number());
        assert!(PROTOCOL.contains(&entry), "there is no {entry}");
    }
}

#[test]
fn every_example_of_the_protocol_is_the_packet_that_it_is_said_to_be() {
    let mut seen = BTreeMap::new();
    for Example { packet, bytes } in examples() {
        // Behind a bar is what follows the frame, and in brackets what follows the known fields.
        let (frame_text, after) = bytes.split_once('|').unwrap_or((&bytes, ""));
        let (known_text, later) = frame_text.split_once('[').unwrap_or((frame_text, ""));
        let (known, later) = (
            bytes_of(known_text),
            bytes_of(later.trim_end().trim_end_matches(']')),
        );
        let whole = [known.clone(), later.clone(), bytes_of(after)].concat();
        let frame = Frame::first_of(&whole).unwrap_or_else(|error| panic!("{packet}: {error}"));
        assert_eq!(frame.wire_len(), known.len() + later.len(), "{packet}");
        let parsed = frame
            .parse()
            .unwrap_or_else(|error| panic!("{packet}: {error}"));
        assert_eq!(describe(&parsed), packet);

        let mut encoded = Vec::new();
        parsed.encode(&mut encoded).expect("it has been read");
        if later.is_empty() {
            assert_eq!(encoded, known, "{packet}");
        } else {
            assert_eq!(encoded[3..], known[3..], "{packet}");
        }
        let name = packet.split(' ').next().expect("it has a name").to_owned();
        seen.insert(frame.id, name);
    }
    // Each packet has its example, and its row with the same id.
    let known: BTreeSet<u8> = (0..=255)
        .filter(|&id| voiceapp_server::protocol::id::is_known(id))
        .collect();
    assert_eq!(seen.keys().copied().collect::<BTreeSet<_>>(), known);
    for (id, name) in seen {
        let row = format!("| {id:#04x} | {name} |");
        assert!(PROTOCOL.contains(&row), "there is no row {row}");
    }
}

#[test]
fn limits_in_the_protocol_have_the_defaults_of_the_settings() {
    let mut seen = 0;
    for cells in rows(PROTOCOL).filter(|cells| cells[0].starts_with("`--")) {
        let option = cells[0].trim_matches('`').trim_start_matches("--");
        let setting = SETTINGS.iter().find(|it| it.option == option);
        let setting = setting.unwrap_or_else(|| panic!("there is no option {option}"));
        let default = (setting.show)(&Config::default());
        assert_eq!(cells[1], default, "{option}");
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} limits have a row");
}

/// The names of settings that these texts may speak of: options, and variables.
#[test]
fn options_and_variables_in_the_documents_exist() {
    let is_option = |option: &str| {
        let others = OTHER_OPTIONS
            .iter()
            .flat_map(|(it, _)| it.split([' ', ',']));
        SETTINGS
            .iter()
            .any(|it| option == format!("--{}", it.option))
            || others.into_iter().any(|it| it == option)
    };
    let readme = include_str!("../README.md");
    for text in [PROTOCOL, RUNNING, DOCUMENT_OF_SETTINGS] {
        // In code, and not in the middle of another program's command.
        for code in text.split('`').filter(|code| code.starts_with("--")) {
            let option = code.split([' ', '=']).next().expect("it has a start");
            assert!(is_option(option), "{option}");
        }
    }
    for text in [PROTOCOL, RUNNING, DOCUMENT_OF_SETTINGS, readme] {
        for word in text.split(|c: char| !(c.is_ascii_uppercase() || c == '_')) {
            let is_variable = |word: &str| SETTINGS.iter().any(|it| it.variable() == word);
            if word.len() > "VOICEAPP_".len() && word.starts_with("VOICEAPP_") {
                assert!(is_variable(word) || word == "VOICEAPP_CONFIG", "{word}");
            } else if word != "MAX_USERS" || text != DOCUMENT_OF_SETTINGS {
                // One is there as an example of a variable that sets nothing. These two are words of their own, and the
                // service manager's.
                let looks_so = !["TLS", "STATE_DIRECTORY"].contains(&word)
                    && SETTINGS
                        .iter()
                        .any(|it| word == it.option.to_uppercase().replace('-', "_"));
                assert!(!looks_so || is_variable(word), "{word}");
            }
        }
    }
}

#[test]
fn every_cause_is_explained_to_whoever_runs_the_server() {
    let named = named_in_rows(RUNNING);
    for cause in Cause::ALL {
        assert!(named.contains(cause.name()), "{} is missing", cause.name());
    }
    let is_cause = |name: &str| {
        let starts = [
            "voice_",
            "datagram_",
            "login_",
            "chat_",
            "frame_",
            "refused_",
            "closed_",
        ];
        starts.iter().any(|start| name.starts_with(start))
    };
    for name in named.iter().filter(|name| is_cause(name)) {
        assert!(
            Cause::ALL.iter().any(|it| it.name() == *name),
            "{name} is no cause"
        );
    }
}

#[test]
fn every_line_of_the_statistics_page_is_explained() {
    let named = named_in_rows(RUNNING);
    let labels = figures::page().into_iter().map(|(line, _)| line.label);
    // The causes have rows of their own.
    let labels: Vec<_> = labels.filter(|label| !label.is_empty()).collect();
    assert!(labels.len() > 15, "{labels:?}");
    for label in labels {
        assert!(named.contains(label.trim_start()), "{label:?} is missing");
    }
}

#[test]
fn metrics_in_the_documents_exist() {
    let metrics: BTreeMap<_, _> = figures::FIGURES
        .iter()
        .filter_map(|figure| figure.metric)
        .map(|metric| (metric.name, metric.kind))
        .collect();
    let exists = |word: &str| {
        let parts = ["_bucket", "_count", "_sum"];
        let of = parts.iter().find_map(|part| word.strip_suffix(part));
        metrics.contains_key(word)
            || of.is_some_and(|name| metrics.get(name) == Some(&Kind::Histogram))
    };
    let words = RUNNING.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| {
        let starts = ["voiceapp_", "process_"];
        starts.iter().any(|start| word.starts_with(start)) && !word.ends_with("_nat")
    };
    let named: BTreeSet<_> = words.filter(is_metric).collect();
    assert!(named.len() > 4, "{named:?}");
    for metric in named {
        assert!(exists(metric), "there is no {metric}");
    }
}

/// The page and the metrics of a server have what the table says, and nothing else.
#[test]
fn page_and_metrics_are_the_table_of_figures() {
    let config = Config {
        management_port: 0,
        voice_relay_port: 0,
        ..Config::default()
    };
    let server = Server::bind(&config).expect("the system has free ports");
    let mut statistics = server.statistics();
    for &cause in Cause::ALL {
        statistics.counters.count(cause);
    }
    // What not every system tells.
    (statistics.memory_bytes, statistics.cpu_time) = (Some(1), Some(Duration::ZERO));
    (statistics.open_descriptors, statistics.descriptor_limit) = (Some(1), Some(1));
    // What only an application asks for.
    statistics.events_lost = Some(0);

    let rendered = metrics::render(&statistics);
    let mut types: Vec<_> = figures::FIGURES
        .iter()
        .filter_map(|figure| figure.metric)
        .map(|metric| format!("# TYPE {} {}", metric.name, metric.kind.name()))
        .collect();
    types.dedup();
    let told: Vec<_> = rendered
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .collect();
    assert_eq!(told, types);

    let page = statistics.to_string();
    let line_of = |label: &str| {
        page.lines()
            .filter(move |line| line.contains(label))
            .count()
    };
    let labels = figures::page().into_iter().map(|(line, _)| line.label);
    let labels: Vec<_> = labels.filter(|label| !label.is_empty()).collect();
    assert!(labels.iter().all(|label| line_of(label) > 0), "{page}");
    let heading = 1;
    assert_eq!(
        page.lines().count(),
        labels.len() + Cause::ALL.len() + heading
    );
}

/// A source file with strings that go over several lines put together.
fn source(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text =
        fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut pieces = text.split("\\\n");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |whole, piece| whole + piece.trim_start())
}

#[test]
fn warnings_are_quoted_as_they_are_written() {
    for (path, words) in [
        (
            "src/server/sockets.rs",
            "this machine has no IPv6, listening on IPv4 alone: ",
        ),
        ("src/server/sockets.rs", "the voice socket's buffers are "),
        (
            "src/server/sockets.rs",
            ", and a burst can be lost: raise the sysctls net.core.rmem_max and net.core.wmem_max to ",
        ),
        ("src/server/sockets.rs", " users and those who log in need "),
        (
            "src/server/sockets.rs",
            ": further clients have to wait (raise it with ulimit -n)",
        ),
        (
            "src/server/accept.rs",
            "cannot accept connections, trying again every ",
        ),
        (
            "src/server/sockets.rs",
            "sent one by one, voice leaves a machine with several addresses from the one that its routes choose, and clients that dialled another hear nothing: bind to one address (bind_address)",
        ),
        (
            "src/udp/linux/outbound.rs",
            "the system refuses several datagrams in one message, sending each by itself: ",
        ),
        ("src/server/turn.rs", "the ban file was read again: "),
        ("src/server/bind.rs", "the bans stay as they are"),
        (
            "src/server/turn.rs",
            "connections can be encrypted; invitation: ",
        ),
        (
            "src/server/turn.rs",
            "the certificate was read again, for new connections: sha256 ",
        ),
        ("src/server/bind.rs", "the certificate stays as it is"),
        ("src/tls.rs", "it has no CERTIFICATE section"),
        ("src/management/journal.rs", "left out of the log in "),
        ("src/management/journal.rs", " logged in as "),
        ("src/management/journal.rs", " was closed: "),
        (
            "src/cli/log_level.rs",
            " from now on, and by the next SIGUSR2 ",
        ),
        (
            "src/bans.rs",
            " is neither an address nor a network such as 192.0.2.0/24 or 2001:db8::/32",
        ),
    ] {
        assert!(
            source(path).contains(words),
            "{path} does not say {words:?}"
        );
        assert!(RUNNING.contains(words), "{words:?} is not quoted");
    }
}

/// Wherever it is promised, it is the same promise, and the one that the server keeps.
#[test]
fn an_outage_that_disconnects_nobody_is_as_long_everywhere() {
    let limits = Config::default().limits;
    assert_eq!(limits.outage(), limits.dead_peer_timeout * 5 / 12);
    assert_eq!(limits.outage().as_secs(), 25);
    let readme = source("README.md");
    let package = source("packaging/config.toml");
    for text in [
        &readme,
        PROTOCOL,
        DOCUMENT_OF_SETTINGS,
        &package,
        &cli::help(),
    ] {
        let promises: Vec<_> = text
            .lines()
            .filter(|line| line.contains("outage"))
            .collect();
        // The README may leave it to the document of the settings.
        assert!(!promises.is_empty() || text == readme);
        for promise in promises {
            let is_said = promise.contains("up to five twelfths of it");
            assert!(
                is_said && promise.contains("disconnects nobody"),
                "{promise}"
            );
        }
    }
}

/// A number with commas between its thousands, and so many decimals.
fn shown(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[test]
fn the_table_of_capacity_is_what_its_formula_gives() {
    let (ipv4, ipv6) = (240 + 19 + 28, 240 + 19 + 48);
    let megabits = |datagrams: u32, bytes: u32| f64::from(datagrams * bytes) * 8.0 / 1e6;
    let number = |cell: &str| cell.replace(',', "").parse::<u32>().ok();
    let mut seen = 0;
    for cells in rows(RUNNING).filter(|cells| cells.len() == 9) {
        let (Some(users), Some(speakers)) = (number(cells[0]), number(cells[1])) else {
            continue;
        };
        let (come, go) = (speakers * 50, speakers * (users - 1) * 50);
        let figures = [
            shown(come.into(), 0),
            shown(go.into(), 0),
            shown(megabits(come, ipv4), 2),
            shown(megabits(go, ipv4), 1),
            shown(megabits(go, ipv6), 1),
            shown(megabits(come, ipv4), 2),
        ];
        assert_eq!(cells[2..8], figures, "{users} users, {speakers} speakers");
        seen += 1;
    }
    assert!(seen > 5, "the table is not where it was");
}

#[test]
fn links_lead_to_files_and_headings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in [
        "docs/protocol.md",
        "docs/running.md",
        "docs/settings.md",
        "CHANGELOG.md",
    ] {
        let text = fs::read_to_string(root.join(file)).expect("it is there");
        let folder = root
            .join(file)
            .parent()
            .expect("it is in a folder")
            .to_owned();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.starts_with("https:") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                text.clone()
            } else {
                fs::read_to_string(folder.join(path))
                    .unwrap_or_else(|error| panic!("{file}: {link}: {error}"))
            };
            let slug = |line: &str| {
                let title = line
                    .trim_start_matches('#')
                    .trim()
                    .to_lowercase()
                    .replace(' ', "-");
                title.replace(|c: char| !c.is_alphanumeric() && c != '-', "")
            };
            let has_heading = target
                .lines()
                .any(|line| line.starts_with('#') && slug(line) == heading);
            assert!(heading.is_empty() || has_heading, "{file}: {link}");
        }
    }
}

/// Adds the rules that a text cites: those in a list after the word, and the one in a function's name.
fn add_cited(text: &str, cited: &mut BTreeSet<String>) {
    let is_rule = |word: &str| {
        let number = word.trim_end_matches(|c: char| c.is_ascii_lowercase());
        !number.is_empty()
            && word.len() <= number.len() + 1
            && number.bytes().all(|it| it.is_ascii_digit())
    };
    let mut is_list = false;
    for word in text
        .split_whitespace()
        .filter(|word| !word.starts_with("//"))
    {
        if let Some((_, name)) = word.split_once("rule_")
            && let Some((rule, _)) = name.split_once('_')
            && is_rule(rule)
        {
            cited.insert(rule.into());
        }
        let end = word.trim_end_matches([',', '.', ':', ';', ')']);
        is_list = match end.trim_start_matches('(') {
            "Rule" | "Rules" | "rule" | "rules" => true,
            "and" => is_list,
            rule if is_list && is_rule(rule) => {
                cited.insert(rule.into());
                end.len() == word.len() || word.ends_with(',')
            }
            _ => false,
        };
    }
}

/// Calls `visit` with every Rust file in a folder of this workspace.
fn visit_sources(folder: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("it is readable").path();
        if path.is_dir() {
            visit_sources(&path, visit);
        } else if path.extension().is_some_and(|it| it == "rs") {
            visit(&path);
        }
    }
}

/// Each rule has a test and code that cite it, and nothing cites a rule that is not there.
#[test]
fn rules_are_cited_by_code_and_tests() {
    let part = PROTOCOL.split("\n## Rules\n").nth(1);
    let part = part.and_then(|rest| rest.split("\n## ").next());
    let rules_text = part.expect("the rules have a part of their own");
    let numbers = rules_text.lines().filter_map(|line| {
        let number = line.strip_prefix("- **")?.split_once(".** ")?.0;
        Some(number.to_owned())
    });
    let numbers: Vec<_> = numbers.collect();
    let rules: BTreeSet<_> = numbers.iter().cloned().collect();
    assert_eq!(rules.len(), numbers.len(), "a number is used twice");
    assert!(rules.len() > 40, "{rules:?}");
    let headings = rules_text
        .lines()
        .filter_map(|line| line.strip_prefix("### "));
    let headings: BTreeSet<_> = headings.filter_map(|it| it.split(' ').next()).collect();

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut by_code, mut by_tests) = (BTreeSet::new(), BTreeSet::new());
    for folder in ["src", "protocol", "client", "tests", "sim"] {
        visit_sources(&root.join(folder), &mut |path| {
            let mut parts = path.strip_prefix(root).expect("it is below").iter();
            let is_test = parts.any(|part| {
                ["tests", "tests.rs", "sim", "simulation"].contains(&&*part.to_string_lossy())
            });
            let text = fs::read_to_string(path).expect("it is text");
            add_cited(&text, if is_test { &mut by_tests } else { &mut by_code });
        });
    }
    // A part whose code is still to come is cited nowhere: one citation makes it whole.
    let part_of = |rule: &str| rule.trim_end_matches(char::is_alphabetic).to_owned();
    let begun: BTreeSet<_> = by_code.iter().map(|rule| part_of(rule)).collect();
    let rules = rules.into_iter().filter(|it| begun.contains(&part_of(it)));
    let rules: BTreeSet<_> = rules.collect();
    for (cited, by) in [(by_code, "code"), (by_tests, "tests")] {
        // A citation may also be of all rules under a heading.
        let cited = cited.into_iter().filter(|it| !headings.contains(&**it));
        assert_eq!(cited.collect::<BTreeSet<_>>(), rules, "cited by {by}");
    }
}
