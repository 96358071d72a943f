//! All that a client tells its user, an event a line: in words, and as JSON.

use super::jitter::Counts;
use super::speaker::Arrivals;
use serde::Serialize;
use voiceapp_protocol::UserId;

pub mod words;

/// Someone, as others see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Who {
    /// The id that the server gave them.
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
    /// Who it is.
    #[serde(flatten)]
    pub who: Who,
    /// Whether it is the client itself.
    pub is_you: bool,
    /// Whether they are in voice.
    pub in_voice: bool,
    /// Whether they are muted.
    pub is_muted: bool,
}

/// What was heard of a speaker, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Heard {
    /// Whom it is of.
    #[serde(flatten)]
    pub who: Who,
    /// What arrived.
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
    /// How much sound it holds back, so that what is late is not missed.
    pub depth_ms: u32,
    /// What became of the datagrams.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Something that the user of a client is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    // From the server.
    /// The server took the login.
    LoggedIn {
        /// Oneself, by the name that the server knows.
        #[serde(flatten)]
        who: Who,
        /// Everyone who is logged in.
        users: usize,
    },
    /// One for each person of the list.
    Here(Listed),
    /// So many more, who are not listed.
    MoreHere {
        /// How many more.
        count: usize,
    },
    /// Someone logged in.
    JoinedServer {
        /// Who did.
        #[serde(flatten)]
        who: Who,
    },
    /// Someone is no longer logged in.
    LeftServer {
        /// Who it is.
        #[serde(flatten)]
        who: Who,
    },
    /// Someone joined voice.
    JoinedVoice {
        /// Who did.
        #[serde(flatten)]
        who: Who,
    },
    /// Someone left voice.
    LeftVoice {
        /// Who did.
        #[serde(flatten)]
        who: Who,
    },
    /// Someone muted or unmuted themselves.
    Muted {
        /// Who did.
        #[serde(flatten)]
        who: Who,
        /// Whether they are muted.
        is_muted: bool,
    },
    /// Someone said something to everyone.
    Chat {
        /// Who said it.
        #[serde(flatten)]
        who: Who,
        /// When, by the server's clock, in milliseconds since 1970.
        timestamp_ms: u64,
        /// What they said.
        message: String,
    },
    /// The server did not pass on what was said.
    ChatRefused {
        /// What was said.
        message: String,
    },
    /// The server names more than so many people, who are as many as are remembered.
    TooMany {
        /// How many are remembered.
        people: usize,
    },
    /// The client is in voice.
    YouJoinedVoice {
        /// Whether it was before.
        already: bool,
    },
    /// The client is not in voice.
    YouLeftVoice {
        /// Whether it was not before.
        already: bool,
    },
    /// The server refused to let the client join or leave voice.
    VoiceChangeRefused {
        /// Whether it was to join.
        wanted: bool,
    },
    /// The server knows where the client's voice comes from and goes to.
    VoiceReady {
        /// Where the client sends voice.
        address: String,
    },
    /// The server does not know the client's token.
    VoiceRefused,
    /// The server does not answer over UDP. The client goes on to ask.
    VoiceUnanswered {
        /// Where it was asked.
        address: String,
        /// Whether it was answered before.
        was_ready: bool,
    },
    /// Nothing listens for voice.
    VoiceClosed {
        /// Where nothing does.
        address: String,
    },
    /// The server answered a ping.
    Pong {
        /// How long that took.
        round_trip_ms: f64,
    },
    /// The server did not answer a request.
    Unanswered {
        /// How long it was waited for.
        waited_s: u64,
    },
    /// Someone begins to talk.
    Speaking {
        /// Who does.
        #[serde(flatten)]
        who: Who,
    },
    /// Someone has stopped talking.
    StoppedSpeaking {
        /// Who has.
        #[serde(flatten)]
        who: Who,
        /// Datagrams of it that came.
        heard: u64,
        /// Datagrams of it that did not.
        lost: u64,
    },
    /// A datagram came that no server sends, the first of them.
    UnreadableDatagram {
        /// Its length.
        bytes: usize,
    },
    /// Something that came cannot be read, and was left out.
    Skipped {
        /// What it was.
        reason: String,
    },
    // Of the connection.
    /// It takes its time.
    Connecting {
        /// What is being done.
        what: String,
    },
    /// The connection is lost.
    ConnectionLost {
        /// Why.
        reason: String,
    },
    /// The client waits, and connects again.
    Reconnecting {
        /// How long it waits.
        after_ms: u64,
    },
    /// There was no connection.
    CannotConnect {
        /// Why.
        reason: String,
    },
    // What the user asked for.
    /// The client muted or unmuted itself.
    YouMuted {
        /// Whether it is muted.
        is_muted: bool,
    },
    /// Sound is being said.
    SpeechStarted {
        /// What is said.
        what: String,
        /// How long it is, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// It starts as soon as it would be heard.
    SpeechWaits {
        /// What waits.
        what: String,
    },
    /// All of the sound has been said.
    SpeechEnded {
        /// Datagrams that were sent.
        datagrams: u64,
        /// Datagrams that the network did not take.
        untaken: u64,
    },
    /// What is heard is recorded.
    Recording {
        /// Where to.
        file: String,
    },
    /// A recording is whole.
    Recorded {
        /// Where it is.
        file: String,
        /// How long it is.
        seconds: f64,
    },
    /// Nobody takes the sound that is heard.
    ListenerLost {
        /// Why.
        reason: String,
    },
    /// One for each speaker.
    Heard(Heard),
    /// There is no speaker to tell of.
    NothingHeard,
    /// Datagrams came that no server sends.
    Unreadable {
        /// How many.
        datagrams: u64,
    },
    /// More spoke at once than can be heard.
    Unheard {
        /// How many were not heard.
        datagrams: u64,
    },
    /// Whether what the microphone hears is said.
    Talking {
        /// Whether it is.
        is_on: bool,
    },
    /// Standard output did not take it in time.
    SoundLost {
        /// How much of it is lost.
        seconds: f64,
    },
    /// So many events were not told, as those before them were not read.
    Unread {
        /// How many.
        count: u64,
    },
    /// A line of the help.
    Help {
        /// What it says.
        line: &'static str,
    },
    /// What cannot be done, and why.
    Refused {
        /// Why it cannot be done.
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
    /// What was asked for, and the like.
    Plain,
    /// Someone comes, goes or changes.
    Presence,
    /// Someone says something.
    Chat,
    /// Something is wrong.
    Trouble,
}

impl Event {
    /// In what way a terminal shows it.
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
