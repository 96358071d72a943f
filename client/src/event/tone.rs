//! How a terminal shows an event.

use super::Event;

/// How much attention an event deserves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Answers, and the like.
    Plain,
    /// A user comes, goes or changes.
    Presence,
    /// A user says something.
    Chat,
    /// Something is wrong.
    Trouble,
}

impl Event {
    /// How a terminal shows it.
    pub fn tone(&self) -> Tone {
        match self {
            Event::JoinedServer { .. }
            | Event::LeftServer { .. }
            | Event::JoinedVoice { .. }
            | Event::LeftVoice { .. }
            | Event::Muted { .. }
            | Event::Speaking { .. }
            | Event::StoppedSpeaking { .. } => Tone::Presence,
            Event::Chat { .. } => Tone::Chat,
            Event::Connected(state) if !state.protection.is_tcp_encrypted => Tone::Trouble,
            Event::ChatRefused { .. }
            | Event::TooMany { .. }
            | Event::VoiceChangeRefused { .. }
            | Event::VoiceRefused
            | Event::VoiceUnanswered { .. }
            | Event::VoiceClosed { .. }
            | Event::Unanswered { .. }
            | Event::UnreadableDatagram { .. }
            | Event::Skipped { .. }
            | Event::KeyNotKept { .. }
            | Event::Untrusted { .. }
            | Event::Connecting { .. }
            | Event::Ended { .. }
            | Event::SpeechWaits { .. }
            | Event::ConnectionLost { .. }
            | Event::Reconnecting { .. }
            | Event::CannotConnect { .. }
            | Event::ListenerLost { .. }
            | Event::Unread { .. }
            | Event::Refused { .. } => Tone::Trouble,
            _ => Tone::Plain,
        }
    }
}
