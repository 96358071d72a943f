//! The choices that options offer, and the roles in which a process of this program can be started.
//!
//! Plain values, each with the word that stands for it.

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Payload {
    Bytes(usize),
    Opus,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pattern {
    Even,
    Together,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Receivers {
    Read,
    Ignore,
}

/// Whether the users are on TLS, with their voice sealed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Secure {
    No,
    Yes,
    /// Some are, and as many are not. Only one kind is in voice at a time.
    Both,
}

impl Secure {
    /// The kinds of users that there are.
    pub fn sides(self) -> &'static [Side] {
        match self {
            Secure::No => &[Side::Server],
            Secure::Yes => &[Side::Sealed],
            Secure::Both => &[Side::Server, Side::Sealed],
        }
    }
}

/// What a user's datagrams can go through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Side {
    /// The server, in clear.
    Server,
    /// The server, sealed.
    Sealed,
    Floor,
}

impl Side {
    const EACH: [(Side, &str); 3] = [
        (Side::Server, "server"),
        (Side::Sealed, "sealed"),
        (Side::Floor, "floor"),
    ];

    /// Its name in commands and reports.
    pub fn name(self) -> &'static str {
        name_of(&Self::EACH, self)
    }

    pub fn parse(name: &str) -> Result<Self, String> {
        named(&Self::EACH, name).ok_or_else(|| format!("{name:?} is not a side"))
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Storm {
    None,
    Chat,
    Logins,
    SlowReaders,
    HalfOpen,
    Junk,
    Voice,
    Tls,
    All,
}

impl Storm {
    pub const EACH: [(Storm, &str); 9] = [
        (Storm::None, "none"),
        (Storm::Chat, "chat"),
        (Storm::Logins, "logins"),
        (Storm::SlowReaders, "slow-readers"),
        (Storm::HalfOpen, "half-open"),
        (Storm::Junk, "junk"),
        (Storm::Voice, "voice"),
        (Storm::Tls, "tls"),
        (Storm::All, "all"),
    ];

    pub fn name(self) -> &'static str {
        name_of(&Self::EACH, self)
    }

    pub fn parse(name: &str) -> Result<Self, String> {
        named(&Self::EACH, name).ok_or_else(|| format!("{name:?} is not a storm"))
    }
}

/// The role of a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Starts the others, and reports.
    Parent,
    /// Simulates some of the users.
    Worker {
        first: usize,
        count: usize,
        in_flight: usize,
        floor_port: u16,
        run: u32,
    },
    Storm(Storm),
    Floor,
}

impl Role {
    /// As an argument.
    pub fn argument(self) -> String {
        match self {
            Role::Parent => "parent".to_owned(),
            Role::Floor => "floor".to_owned(),
            Role::Worker {
                first,
                count,
                in_flight,
                floor_port,
                run,
            } => format!("worker:{first}:{count}:{in_flight}:{floor_port}:{run}"),
            Role::Storm(storm) => format!("storm:{}", storm.name()),
        }
    }

    /// The opposite of [`argument`](Self::argument).
    pub fn parse(argument: &str) -> Option<Self> {
        let (kind, rest) = argument.split_once(':').unwrap_or((argument, ""));
        let mut numbers = rest.split(':').map(str::parse::<usize>);
        match kind {
            "parent" => Some(Role::Parent),
            "floor" => Some(Role::Floor),
            "worker" => Some(Role::Worker {
                first: numbers.next()?.ok()?,
                count: numbers.next()?.ok()?,
                in_flight: numbers.next()?.ok()?,
                floor_port: numbers.next()?.ok()?.try_into().ok()?,
                run: numbers.next()?.ok()?.try_into().ok()?,
            }),
            "storm" => Storm::parse(rest).ok().map(Role::Storm),
            _ => None,
        }
    }
}

fn name_of<T: PartialEq>(each: &[(T, &'static str)], one: T) -> &'static str {
    let found = each.iter().find(|(it, _)| *it == one);
    found.map_or("", |(_, name)| name)
}

fn named<T: Copy>(each: &[(T, &'static str)], name: &str) -> Option<T> {
    let found = each.iter().find(|(_, it)| *it == name);
    found.map(|&(it, _)| it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_survives_its_argument() {
        let worker = Role::Worker {
            first: 5_000,
            count: 4_999,
            in_flight: 32,
            floor_port: 40_000,
            run: u32::MAX,
        };
        for role in [
            Role::Parent,
            worker,
            Role::Floor,
            Role::Storm(Storm::SlowReaders),
        ] {
            assert_eq!(Role::parse(&role.argument()), Some(role));
        }
        assert_eq!(Role::parse("worker:1:2:3:70000:1"), None);
        assert_eq!(Role::parse("worker:1:2:3:4"), None);
    }
}
