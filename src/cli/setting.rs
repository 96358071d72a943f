//! What a setting is: its names, its place in [`Config`], and its texts.

use crate::config::Config;

/// One setting, named by its option. It has the same name in the file.
#[derive(Clone, Copy)]
pub struct Setting {
    /// The option, without the dashes.
    pub option: &'static str,
    /// Where it is in [`Config`].
    pub field: &'static str,
    /// Its purpose.
    pub group: Group,
    /// Its type in the file.
    pub kind: Kind,
    /// The placeholder for its value in `--help`.
    pub value: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// What a valid value is, in words.
    pub expected: &'static str,
    /// Sets a value if it is valid. [`Config`] checks the range.
    pub(super) set: fn(&mut Config, &str) -> Option<()>,
    /// The value as an option would be written.
    pub show: fn(&Config) -> String,
}

/// The purposes of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Every operator looks at these.
    Essential,
    /// Logins: passwords and names, and what newcomers read.
    Access,
    /// What clients may do. The defaults are for some hundred people.
    Limits,
    /// The last microseconds on a machine of its own.
    BareMetal,
    /// For comparisons.
    Measuring,
}

impl Group {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Group; 5] = [
        Group::Essential,
        Group::Access,
        Group::Limits,
        Group::BareMetal,
        Group::Measuring,
    ];

    /// The heading above its settings.
    pub fn title(self) -> &'static str {
        match self {
            Group::Essential => "Essential",
            Group::Access => "Access",
            Group::Limits => "Limits",
            Group::BareMetal => "Bare metal",
            Group::Measuring => "For measuring",
        }
    }
}

/// The type of a value in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// `true` or `false`; `yes` or `no` elsewhere.
    YesNo,
    /// A string.
    Text,
    /// A string that is shown nowhere.
    Secret,
    /// A number, or a string instead of one.
    NumberOrWord,
}

impl Setting {
    /// The environment variable that the option beats.
    pub fn variable(&self) -> String {
        match self.option {
            // Platforms and container files know these two only by these names.
            "management-port" | "voice-relay-port" => self.unprefixed_variable(),
            _ => format!("VOICEAPP_{}", self.unprefixed_variable()),
        }
    }

    /// A variable that somebody may mistake for this setting's. It has no effect.
    pub(super) fn mistaken_variable(&self) -> Option<String> {
        match self.option {
            // The service manager's own.
            "state-directory" => None,
            _ if self.variable().starts_with("VOICEAPP_") => Some(self.unprefixed_variable()),
            _ => Some(format!("VOICEAPP_{}", self.unprefixed_variable())),
        }
    }

    fn unprefixed_variable(&self) -> String {
        self.option.to_uppercase().replace('-', "_")
    }
}
