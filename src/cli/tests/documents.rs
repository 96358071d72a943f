//! One table: help, ranges, README, documents and the files of the package say the same.

use super::*;

#[test]
fn help_shows_every_setting_with_its_default_under_its_group() {
    let help = help();
    let mut parts = Vec::new();
    for group in Group::ALL {
        parts.push(format!("\n{}:\n", group.title()));
        for setting in SETTINGS.iter().filter(|it| it.group == group) {
            let default = (setting.show)(&Config::default());
            parts.push(format!(
                "  --{} {} [default: {default}]\n      {}\n",
                setting.option, setting.value, setting.help
            ));
        }
    }
    assert_eq!(parts.len(), Group::ALL.len() + SETTINGS.len());
    let mut rest = &*help;
    for part in parts {
        let (_, after) = rest
            .split_once(&part)
            .unwrap_or_else(|| panic!("{part} is missing or out of order"));
        rest = after;
    }
    for (option, _) in OTHER_OPTIONS {
        assert!(rest.contains(option), "{option} is missing");
    }
    assert!(help.lines().all(|line| line.len() <= 104), "{help}");
}

/// So that what an application is told and what `--help` says are one thing.
#[test]
fn ranges_are_as_wide_as_they_are_said_to_be() {
    let mut seen = 0;
    for setting in SETTINGS {
        let Some((_, range)) = setting.expected.split_once("from ") else {
            continue;
        };
        let mut numbers = range
            .split([' ', ','])
            .filter_map(|word| word.parse::<u64>().ok());
        let (least, most) = (numbers.next().expect("one"), numbers.next().expect("two"));
        let is_taken = |number: i128| {
            let mut config = Config::default();
            set(&mut config, setting, &number.to_string()).is_ok()
        };
        let (least, most) = (i128::from(least), i128::from(most));
        assert!(is_taken(least) && is_taken(most), "{}", setting.option);
        let is_wider = is_taken(least - 1) || is_taken(most + 1);
        // "or 0 for none" is one more.
        let has_none = setting.expected.ends_with("or 0 for none");
        assert_eq!(is_wider, has_none, "{}", setting.option);
        seen += 1;
    }
    assert!(seen >= 24, "only {seen} have a range");
}

/// Errors and reports find settings by the names of fields.
#[test]
fn every_setting_is_a_field_of_its_own() {
    let shown = format!("{:?}", Config::default());
    let mut fields: Vec<_> = SETTINGS.iter().map(|setting| setting.field).collect();
    for field in &fields {
        let name = field.rsplit('.').next().expect("there is one");
        assert!(shown.contains(&format!("{name}: ")), "there is no {field}");
    }
    fields.sort_unstable();
    fields.dedup();
    assert_eq!(fields.len(), SETTINGS.len());
}

#[test]
fn the_readme_has_the_essential_settings_in_a_table_and_the_others_by_name() {
    let readme = include_str!("../../../README.md");
    let part = readme.split("\n## Configure it\n").nth(1);
    let part = part.and_then(|rest| rest.split("\n## ").next());
    let part = part.expect("it has a part of its own");
    // However its lines are broken.
    let words: String = part.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = &*words;
    let mut options = 0;
    for group in Group::ALL {
        if group != Group::Essential {
            let at = rest.find(&format!("- **{}.** ", group.title()));
            rest = &rest[at.unwrap_or_else(|| panic!("{group:?} is missing"))..];
        }
        for setting in SETTINGS.iter().filter(|it| it.group == group) {
            let default = (setting.show)(&Config::default());
            let entry = match group {
                Group::Essential => {
                    format!("| `--{}` | {default} | {} |", setting.option, setting.help)
                }
                _ => format!(" `--{}` ({default})", setting.option),
            };
            let at = rest.find(&entry);
            rest = &rest[at.unwrap_or_else(|| panic!("{entry} is missing, or out of order"))..];
            options += 1;
        }
    }
    assert_eq!(options, SETTINGS.len());
}

#[test]
fn the_document_of_the_settings_has_every_setting_with_its_variable_default_and_range() {
    let document = include_str!("../../../docs/settings.md");
    let mut rest = document;
    for group in Group::ALL {
        let title = format!("\n## {}\n", group.title());
        let at = rest
            .find(&title)
            .unwrap_or_else(|| panic!("{title} is missing"));
        rest = &rest[at + 1..];
        for setting in SETTINGS.iter().filter(|it| it.group == group) {
            let entry = format!(
                "\n### `{}`\n\n`{}`, {}; default {}.\n",
                setting.option,
                setting.variable(),
                setting.expected,
                (setting.show)(&Config::default()),
            );
            let at = rest
                .find(&entry)
                .unwrap_or_else(|| panic!("{entry} is missing"));
            rest = &rest[at + 1..];
        }
    }
    assert_eq!(document.matches("\n### `").count(), SETTINGS.len());
}

#[test]
fn the_package_s_file_has_every_setting_in_words_and_with_its_default() {
    let file = include_str!("../../../packaging/config.toml");
    let bans = "/etc/voiceapp-server/bans";
    let with_bans = Config {
        ban_file: Some(bans.into()),
        ..Config::default()
    };
    let mut rest = file;
    for setting in SETTINGS {
        let (option, help) = (setting.option, setting.help);
        let expected = match setting.kind {
            Kind::YesNo => "true or false",
            _ => setting.expected,
        };
        let value = in_file(setting, &(setting.show)(&with_bans));
        // The package brings a list of bans, and nothing else that is not the default.
        let mark = if option == "ban-file" { "" } else { "#" };
        let block = format!("\n\n# {help}\n# {expected}\n{mark}{option} = {value}\n");
        let at = rest
            .find(&block)
            .unwrap_or_else(|| panic!("{block} is missing"));
        rest = &rest[at + 1..];
    }
    assert_eq!(file.matches(" = ").count(), SETTINGS.len());
    for group in Group::ALL {
        assert!(
            file.contains(&format!("\n# {}\n", group.title())),
            "{group:?}"
        );
    }
    assert_eq!(config_of_file(file), with_bans);
    let in_force: String = file
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.contains(" = ") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(
        config_of_file(&in_force),
        with_bans,
        "all of it can be in force"
    );
    let list = include_str!("../../../packaging/bans");
    assert_eq!(crate::BanList::parse(list), Ok(crate::BanList::default()));
}

#[test]
fn the_file_for_measuring_has_no_limit_that_can_be_left_out() {
    let config = config_of_file(include_str!("../../../benches/unlimited.toml"));
    let unlimited = crate::Limits {
        users: 12_000,
        ..crate::Limits::UNLIMITED
    };
    assert_eq!(config.limits, unlimited);
}

#[test]
fn an_instance_s_unit_is_the_unit_but_for_its_name_and_settings() {
    let one = include_str!("../../../packaging/voiceapp-server.service");
    let template = include_str!("../../../packaging/voiceapp-server@.service");
    let shared = template
        .lines()
        .map(|line| line.replace("/%i.toml", "/config.toml"))
        .map(|line| line.replace(" %i", "").replace("/%i", ""));
    let settings = |line: &String| !line.starts_with('#');
    let command = "ExecStart=/usr/bin/voiceapp-server --config /etc/voiceapp-server/config.toml";
    assert!(one.lines().any(|line| line == command));
    // A variable would beat the file.
    assert!(!one.contains("\nEnvironment"));
    let one: Vec<_> = one.lines().map(String::from).filter(settings).collect();
    assert_eq!(shared.filter(settings).collect::<Vec<_>>(), one);
}
