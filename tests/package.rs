//! What the Debian package brings: a manual page with every setting in the words of `--help`, a
//! changelog for this version, and files that are there.

use std::path::Path;
use std::process::Command;
use voiceapp_server::config;

const MANUAL: &str = include_str!("../packaging/voiceapp-server.8");
const CHANGELOG: &str = include_str!("../packaging/changelog");
const README: &str = include_str!("../README.md");
const MANIFEST: &str = include_str!("../Cargo.toml");

/// As it must be written so that a hyphen is shown as the one that can be typed.
fn escaped(text: &str) -> String {
    text.replace('-', "\\-")
}

/// What the manual must have of an entry of `--help`, which is three lines.
fn entry(option: &str, help: &str, expected: &str) -> String {
    let (name, rest) = option.trim().split_once(' ').expect("it has a value");
    let (value, variable) = rest.split_once(" (or ").expect("it has a variable");
    format!(
        ".TP\n\\fB{}\\fR \\fI{}\\fR (or \\fB{}\\fR)\n{}\n.br\n{}\n",
        escaped(name),
        escaped(value),
        escaped(variable.trim_end_matches(')')),
        escaped(help.trim()),
        escaped(expected.trim()),
    )
}

#[test]
fn the_manual_has_every_setting_and_no_other() {
    let help = config::help();
    let lines: Vec<&str> = help.lines().collect();
    let mut expected = String::new();
    for (place, line) in lines.iter().enumerate() {
        if line.starts_with("  --") && line.contains(" (or ") {
            expected += &entry(line, lines[place + 1], lines[place + 2]);
        }
    }
    assert!(expected.lines().count() > 100, "{expected}");
    assert!(
        MANUAL.contains(&expected),
        "these entries belong into packaging/voiceapp-server.8:\n{expected}"
    );
    assert_eq!(
        MANUAL.matches("(or \\fB").count(),
        expected.matches("(or ").count()
    );
    for other in ["--check-config", "--help", "--version", "-h", "-V"] {
        let name = format!("\\fB{}\\fR", escaped(other));
        assert!(MANUAL.contains(&name), "{other} is missing");
    }
}

#[test]
fn the_manual_and_the_package_are_for_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let title = format!("\"voiceapp\\-server {version}\"");
    assert!(MANUAL.contains(&title), "{title} is missing");
    let newest = format!("voiceapp-server ({version}-1) ");
    assert!(CHANGELOG.starts_with(&newest), "{newest} is missing");
}

#[test]
fn whoever_made_the_package_is_named_by_an_address_that_can_be_one() {
    let line = MANIFEST.lines().find(|it| it.starts_with("maintainer = "));
    let maintainer = line
        .and_then(|line| line.split('"').nth(1))
        .expect("it is named");
    let host = maintainer
        .split(['@', '>'])
        .nth(1)
        .expect("it has an address");
    assert!(host.contains('.'), "{host}");
    assert!(CHANGELOG.contains(&format!("\n -- {maintainer}  ")));
}

/// The library's and the binary's own harness would take Criterion's options for theirs, and fail.
#[test]
fn benchmarks_are_criterion_s_alone() {
    for target in [
        "[lib]\n",
        "[[bin]]\nname = \"voiceapp-server\"\npath = \"src/main.rs\"\n",
    ] {
        let line = format!("\n{target}bench = false\n");
        assert!(MANIFEST.contains(&line), "{line} is missing");
    }
}

#[test]
fn the_readme_wants_the_rust_that_is_needed_and_installs_what_is_locked() {
    let version = MANIFEST.split("\nrust-version = \"").nth(1);
    let version = version
        .and_then(|rest| rest.split('"').next())
        .expect("it is set");
    assert!(README.contains(&format!("{version} or later")), "{version}");
    for command in README.split("cargo install ").skip(1) {
        assert!(
            command.starts_with("--locked"),
            "cargo install {command:.30}"
        );
    }
}

#[test]
fn what_the_package_takes_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let assets = MANIFEST.split("\nassets = [").nth(1);
    let assets = assets.and_then(|rest| rest.split("\n]").next());
    let sources = assets
        .expect("they are listed")
        .lines()
        .filter_map(|line| line.split('"').nth(1));
    let mut seen = Vec::new();
    for source in sources.filter(|source| !source.starts_with("target/")) {
        let file = source.trim_end_matches("*.md").trim_end_matches('*');
        assert!(root.join(file).exists(), "{source} is missing");
        seen.push(source);
    }
    assert!(seen.contains(&"packaging/voiceapp-server.8"), "{seen:?}");
}

#[test]
fn the_manual_is_well_formed_where_there_is_groff() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/voiceapp-server.8");
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-z", file]);
    let Ok(output) = groff.output() else {
        println!("groff is not installed, so that it has not been asked");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
