//! What the Debian package brings: a manual page with every setting in the words of `--help`, a
//! changelog for this version, and files that are there.

#![cfg(feature = "cli")]

use std::path::Path;
use std::process::Command;
use voiceapp_server::Config;
use voiceapp_server::cli::{Group, SETTINGS, Setting};

const MANUAL: &str = include_str!("../packaging/voiceapp-server.8");
const CHANGELOG: &str = include_str!("../packaging/changelog");
const README: &str = include_str!("../README.md");
const MANIFEST: &str = include_str!("../Cargo.toml");

/// As it must be written so that a hyphen is shown as the one that can be typed.
fn escaped(text: &str) -> String {
    text.replace('-', "\\-")
}

/// What the manual must have of a setting.
fn entry(setting: &Setting) -> String {
    let default = (setting.show)(&Config::default());
    format!(
        ".TP\n\\fB\\-\\-{}\\fR \\fI{}\\fR\n{}\n.br\n{} [default: {}]\n",
        escaped(setting.option),
        escaped(setting.value),
        escaped(setting.help),
        escaped(setting.expected),
        escaped(&default),
    )
}

#[test]
fn the_manual_has_every_setting_and_no_other() {
    let mut expected = String::new();
    for group in Group::ALL {
        expected += &format!(".SS {}\n", group.title());
        let settings = SETTINGS.iter().filter(|it| it.group == group);
        expected.extend(settings.map(entry));
    }
    assert!(expected.lines().count() > 100, "{expected}");
    assert!(
        MANUAL.contains(&expected),
        "these entries belong into packaging/voiceapp-server.8:\n{expected}"
    );
    assert_eq!(
        MANUAL.matches(".TP\n\\fB\\-\\-").count(),
        SETTINGS.len() + 4,
        "four are no settings"
    );
    for other in [
        "--config",
        "--check-config",
        "--help",
        "--version",
        "-h",
        "-V",
    ] {
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

/// `cargo run` at the root starts the server: of all packages there, one names a program to run.
#[test]
fn the_server_is_what_is_run() {
    let members = MANIFEST
        .lines()
        .find(|it| it.starts_with("default-members = "));
    let members = members.expect("they are listed").split('"');
    let members: Vec<_> = members.skip(1).step_by(2).collect();
    assert!(members.len() > 3, "{members:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for member in members {
        let manifest = root.join(member).join("Cargo.toml");
        let manifest = std::fs::read_to_string(manifest).expect("it is a package");
        let is_run = manifest.contains("\ndefault-run = ");
        assert_eq!(is_run, member == ".", "{member}");
    }
    assert!(MANIFEST.contains("\ndefault-run = \"voiceapp-server\"\n"));
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
