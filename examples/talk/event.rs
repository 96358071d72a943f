//! All that a client tells its user, an event a line: in words, and as JSON.

use super::jitter::Counts;
use super::speaker::Arrivals;
use serde::Serialize;
use voiceapp_server::event::UserId;

pub mod words;

/// Someone, as others see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Who {
    pub user_id: u64,
    /// As they chose it. Empty if the server has not told it.
    pub name: String,
    /// Whether someone else here has the same name.
    #[serde(skip)]
    pub has_namesake: bool,
}

/// Someone in the list of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    #[serde(flatten)]
    pub who: Who,
    pub is_you: bool,
    pub in_voice: bool,
    pub is_muted: bool,
}

/// What was heard of a speaker, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heard {
    #[serde(flatten)]
    pub who: Who,
    #[serde(flatten)]
    pub arrivals: Arrivals,
    /// Nothing without `--listen` or `--record`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playout: Option<Playout>,
}

/// What the jitter buffer did, in frames of 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Playout {
    /// Whether there is still something to come of what has arrived.
    pub is_playing: bool,
    pub depth_ms: u32,
    #[serde(flatten)]
    pub counts: Counts,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    // From the server.
    LoggedIn {
        #[serde(flatten)]
        who: Who,
        /// Everyone who is logged in.
        users: usize,
    },
    /// One for each person of the list.
    Here(Listed),
    /// So many more, who are not listed.
    MoreHere {
        count: usize,
    },
    JoinedServer {
        #[serde(flatten)]
        who: Who,
    },
    LeftServer {
        #[serde(flatten)]
        who: Who,
    },
    JoinedVoice {
        #[serde(flatten)]
        who: Who,
    },
    LeftVoice {
        #[serde(flatten)]
        who: Who,
    },
    Muted {
        #[serde(flatten)]
        who: Who,
        is_muted: bool,
    },
    Chat {
        #[serde(flatten)]
        who: Who,
        timestamp_ms: u64,
        message: String,
    },
    ChatRefused {
        message: String,
    },
    /// The server names more than so many people, who are as many as are remembered.
    TooMany {
        people: usize,
    },
    YouJoinedVoice {
        already: bool,
    },
    YouLeftVoice {
        already: bool,
    },
    VoiceChangeRefused {
        wanted: bool,
    },
    VoiceReady {
        address: String,
    },
    VoiceRefused,
    VoiceUnanswered {
        address: String,
        /// Whether it was answered before.
        was_ready: bool,
    },
    VoiceClosed {
        address: String,
    },
    Pong {
        round_trip_ms: f64,
    },
    Unanswered {
        waited_s: u64,
    },
    Speaking {
        #[serde(flatten)]
        who: Who,
    },
    StoppedSpeaking {
        #[serde(flatten)]
        who: Who,
        heard: u64,
        lost: u64,
    },
    UnreadableDatagram {
        bytes: usize,
    },
    Skipped {
        reason: String,
    },
    // Of the connection.
    /// It takes its time.
    Connecting {
        what: String,
    },
    ConnectionLost {
        reason: String,
    },
    Reconnecting {
        after_ms: u64,
    },
    CannotConnect {
        reason: String,
    },
    // What the user asked for.
    YouMuted {
        is_muted: bool,
    },
    SpeechStarted {
        what: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// It starts as soon as it would be heard.
    SpeechWaits {
        what: String,
    },
    SpeechEnded {
        datagrams: u64,
        untaken: u64,
    },
    Recording {
        file: String,
    },
    Recorded {
        file: String,
        seconds: f64,
    },
    ListenerLost {
        reason: String,
    },
    /// One for each speaker.
    Heard(Heard),
    NothingHeard,
    Unreadable {
        datagrams: u64,
    },
    /// More spoke at once than can be heard.
    Unheard {
        datagrams: u64,
    },
    /// Whether what the microphone hears is said.
    Talking {
        is_on: bool,
    },
    /// Standard output did not take it in time.
    SoundLost {
        seconds: f64,
    },
    /// So many events were not told, as those before them were not read.
    Unread {
        count: u64,
    },
    Help {
        line: &'static str,
    },
    /// What cannot be done, and why.
    Refused {
        reason: String,
    },
}

impl Who {
    /// Someone of whom nothing is known but the id.
    pub fn stranger(id: UserId) -> Self {
        Who {
            user_id: id.0,
            name: String::new(),
            has_namesake: false,
        }
    }
}

/// Who comes and goes is only noted; what is wrong stands out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Presence,
    Chat,
    Trouble,
}

impl Event {
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
            Event::ChatRefused { .. }
            | Event::TooMany { .. }
            | Event::VoiceChangeRefused { .. }
            | Event::VoiceRefused
            | Event::VoiceUnanswered { .. }
            | Event::VoiceClosed { .. }
            | Event::Unanswered { .. }
            | Event::UnreadableDatagram { .. }
            | Event::Skipped { .. }
            | Event::Connecting { .. }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_one_line_that_names_its_event() {
        let who = Who {
            user_id: 7,
            name: "b\nb".into(),
            has_namesake: true,
        };
        let table = [
            (
                Event::Chat {
                    who: who.clone(),
                    timestamp_ms: 9,
                    message: "two\nlines \"quoted\"".into(),
                },
                r#"{"event":"chat","user_id":7,"name":"b\nb","timestamp_ms":9,"message":"two\nlines \"quoted\""}"#,
            ),
            (
                Event::ChatRefused {
                    message: "hi".into(),
                },
                r#"{"event":"chat_refused","message":"hi"}"#,
            ),
            (
                Event::Heard(Heard {
                    who,
                    arrivals: Arrivals {
                        lost: 3,
                        ..Arrivals::default()
                    },
                    playout: Some(Playout {
                        is_playing: true,
                        depth_ms: 40,
                        counts: Counts {
                            concealed: 3,
                            ..Counts::default()
                        },
                    }),
                }),
                concat!(
                    r#"{"event":"heard","user_id":7,"name":"b\nb","datagrams":0,"bytes":0,"#,
                    r#""lost":3,"duplicates":0,"reordered":0,"restarts":0,"jitter_ms":0.0,"playout":"#,
                    r#"{"is_playing":true,"depth_ms":40,"played":0,"late":0,"concealed":3,"#,
                    r#""stretched":0,"shortened":0,"dropped":0}}"#
                ),
            ),
        ];
        for (event, json) in table {
            assert_eq!(serde_json::to_string(&event).expect("it has no maps"), json);
        }
    }
}
