//! What a setting is: its names, its place in [`Config`], and its words.

use crate::config::Config;

/// One setting, by the name of its option, which it has in the file as well.
pub struct Setting {
    /// The option, without the dashes.
    pub option: &'static str,
    /// Where it is in [`Config`].
    pub field: &'static str,
    /// What it is there for.
    pub group: Group,
    /// What it is in the file.
    pub kind: Kind,
    /// What stands for the value in `--help`.
    pub value: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// What a value must be, in words.
    pub expected: &'static str,
    /// Takes a value over if it is one. Whether it is in its range is [`Config`]'s to say.
    pub(super) set: fn(&mut Config, &str) -> Option<()>,
    /// The value as an option has it.
    pub show: fn(&Config) -> String,
}

/// What settings are there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Whoever runs a server looks at these.
    Essential,
    /// What clients may do. The defaults are for some hundred people.
    Limits,
    /// The last microseconds.
    BareMetal,
    /// To compare by.
    Measuring,
}

impl Group {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Group; 4] = [
        Group::Essential,
        Group::Limits,
        Group::BareMetal,
        Group::Measuring,
    ];

    /// What is written over its settings.
    pub fn title(self) -> &'static str {
        match self {
            Group::Essential => "Essential",
            Group::Limits => "Limits",
            Group::BareMetal => "Bare metal",
            Group::Measuring => "For measuring",
        }
    }
}

/// What a value is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// `true` or `false`; `yes` or `no` elsewhere.
    YesNo,
    /// A string.
    Text,
    /// A number, or a string instead of one.
    NumberOrWord,
}

impl Setting {
    /// The environment variable that the option beats.
    pub fn variable(&self) -> String {
        match self.option {
            // Platforms and container files know these two by their names alone.
            "management-port" | "voice-relay-port" => self.unprefixed_variable(),
            _ => format!("VOICEAPP_{}", self.unprefixed_variable()),
        }
    }

    /// A variable that somebody may think sets this, and that is not looked at.
    pub(super) fn mistaken_variable(&self) -> String {
        match self.variable().starts_with("VOICEAPP_") {
            true => self.unprefixed_variable(),
            false => format!("VOICEAPP_{}", self.unprefixed_variable()),
        }
    }

    fn unprefixed_variable(&self) -> String {
        self.option.to_uppercase().replace('-', "_")
    }
}
