//! Checks that the manual page has every option and command in the words of `--help` and `/help`,
//! and that the package has this version.

use crate::commands::COMMANDS;
use crate::options::USAGE;
use std::process::Command;

const MANUAL: &str = include_str!("../../../packaging/voiceapp.1");
const CHANGELOG: &str = include_str!("../../../packaging/changelog");
const MANIFEST: &str = include_str!("../../../Cargo.toml");

/// Escaped so that a hyphen is shown as the one that can be typed.
fn escaped(text: &str) -> String {
    text.replace('-', "\\-")
}

/// The entries of a list whose names begin at the third column and whose descriptions begin at this
/// one, over one or more lines.
fn entries(list: &str, text_at: usize) -> String {
    let mut entries = String::new();
    for line in list.lines() {
        if line.starts_with("  -") || line.starts_with("  /") {
            let (names, text) = line.split_at(text_at);
            let names = names.trim().split(", ").map(|name| {
                let (name, value) = name.split_once(' ').unwrap_or((name, ""));
                let value = match value {
                    "" => String::new(),
                    value => format!(" \\fI{}\\fR", escaped(value)),
                };
                format!("\\fB{}\\fR{value}", escaped(name))
            });
            let names = names.collect::<Vec<_>>().join(", ");
            entries += &format!(".TP\n{names}\n{}\n", escaped(text));
        } else if line.starts_with(&" ".repeat(text_at)) {
            entries.pop();
            entries += &format!(" {}\n", escaped(line.trim_start()));
        }
    }
    entries
}

#[test]
fn the_manual_has_every_option_and_command_and_no_other() {
    let lists = [
        ("OPTIONS\n", entries(USAGE, 24)),
        (
            "COMMANDS\nA line that starts with a slash is a command:\n",
            entries(COMMANDS, 19),
        ),
    ];
    let mut expected_count = 0;
    for (heading, expected) in &lists {
        assert!(expected.lines().count() > 30, "{expected}");
        assert!(
            MANUAL.contains(&format!(".SH {heading}{expected}.")),
            "these entries belong into client/packaging/voiceapp.1:\n{expected}"
        );
        expected_count += expected.matches(".TP\n").count();
    }
    let (listed, _) = MANUAL.split_once(".SH TERMINAL").expect("it is there");
    assert_eq!(listed.matches(".TP\n").count(), expected_count);
}

#[test]
fn the_manual_and_the_package_are_for_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let title = format!("\"voiceapp\\-client {version}\"");
    assert!(MANUAL.contains(&title), "{title} is missing");
    let newest = format!("voiceapp-client ({version}-1) ");
    assert!(CHANGELOG.starts_with(&newest), "{newest} is missing");
    let line = MANIFEST.lines().find(|it| it.starts_with("maintainer = "));
    let maintainer = line.and_then(|line| line.split('"').nth(1));
    let maintainer = maintainer.expect("it is named");
    assert!(CHANGELOG.contains(&format!("\n -- {maintainer}  ")));
}

#[test]
fn the_manual_is_well_formed_where_there_is_groff() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/voiceapp.1");
    let mut groff = Command::new("groff");
    groff.args(["-man", "-ww", "-z", file]);
    let Ok(output) = groff.output() else {
        println!("groff is not installed, so that it has not been asked");
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
