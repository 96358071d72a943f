//! All that a client tells its user: in words, one line an event but for lists, and as JSON, always
//! one line.

use super::jitter::Counts;
use super::speaker::Arrivals;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;
use voiceapp_server::event::UserId;

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

/// A line of the list of people.
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
        people: Vec<Listed>,
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
    ChatRefused,
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
    People {
        people: Vec<Listed>,
    },
    Stats {
        speakers: Vec<Heard>,
        unreadable: u64,
        /// Frames that standard output did not take in time.
        untaken: u64,
    },
    Help {
        text: &'static str,
    },
    /// What cannot be done, and why.
    Refused {
        reason: String,
    },
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
            Event::ChatRefused
            | Event::VoiceChangeRefused { .. }
            | Event::VoiceRefused
            | Event::VoiceUnanswered { .. }
            | Event::VoiceClosed { .. }
            | Event::Unanswered { .. }
            | Event::UnreadableDatagram { .. }
            | Event::Skipped { .. }
            | Event::ConnectionLost { .. }
            | Event::Reconnecting { .. }
            | Event::CannotConnect { .. }
            | Event::ListenerLost { .. }
            | Event::Refused { .. } => Tone::Trouble,
            _ => Tone::Plain,
        }
    }
}

/// People listed after the login; a list that was asked for has all of them.
const LISTED_AT_LOGIN: usize = 20;

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Event::LoggedIn { who, people } => {
                let id = who.user_id;
                writeln!(f, "logged in as {who}, user {id}; /help shows the commands")?;
                list(f, people, LISTED_AT_LOGIN)
            }
            Event::JoinedServer { who } => write!(f, "* {who} joined the server"),
            Event::LeftServer { who } => write!(f, "* {who} left the server"),
            Event::JoinedVoice { who } => write!(f, "* {who} joined voice"),
            Event::LeftVoice { who } => write!(f, "* {who} left voice"),
            Event::Muted { who, is_muted } => {
                write!(f, "* {who} {}muted", if *is_muted { "" } else { "un" })
            }
            Event::Chat { who, message, .. } => write!(f, "<{who}> {}", printable(message)),
            Event::ChatRefused => f.write_str(
                "the server refused the message: it is too long, or came too soon after others",
            ),
            Event::YouJoinedVoice { already } => voice_changed(f, "in voice", *already),
            Event::YouLeftVoice { already } => voice_changed(f, "not in voice", *already),
            Event::VoiceChangeRefused { wanted } => {
                let not = if *wanted { "not " } else { "" };
                write!(f, "the server refused: you are {not}in voice")
            }
            Event::VoiceReady { address } => write!(f, "voice is ready, over UDP to {address}"),
            Event::VoiceRefused => f.write_str(
                "the server refused the proof of our voice address: no voice (/join tries again)",
            ),
            Event::VoiceUnanswered { address } => write!(
                f,
                "no answer from {address} over UDP: chat works, voice does not (/join tries again)"
            ),
            Event::VoiceClosed { address } => write!(
                f,
                "nothing listens on UDP {address}: the server is gone, or --voice-port is wrong"
            ),
            Event::Pong { round_trip_ms } => write!(f, "answered in {round_trip_ms:.2} ms"),
            Event::Unanswered { waited_s } => {
                write!(f, "no answer from the server for {waited_s} s")
            }
            Event::Speaking { who } => write!(f, "* {who} is speaking"),
            Event::StoppedSpeaking { who, heard, lost } => {
                write!(f, "* {who} stopped speaking: {heard} heard, {lost} lost")
            }
            Event::UnreadableDatagram { bytes } => write!(
                f,
                "a datagram of {bytes} bytes cannot be read: other clients would end on it"
            ),
            Event::Skipped { reason } => write!(f, "skipped a packet from the server: {reason}"),
            Event::ConnectionLost { reason } => f.write_str(reason),
            Event::Reconnecting { after_ms } => {
                let after = Duration::from_millis(*after_ms);
                write!(f, "connecting again in {after:.1?}")
            }
            Event::CannotConnect { reason } => f.write_str(reason),
            Event::YouMuted { is_muted } => {
                write!(f, "you are {}muted", if *is_muted { "" } else { "not " })
            }
            Event::SpeechStarted { what, seconds } => {
                write!(f, "speaking: {what}")?;
                match seconds {
                    Some(seconds) => write!(f, ", {seconds:.1} s"),
                    None => Ok(()),
                }
            }
            Event::SpeechEnded {
                datagrams,
                untaken: 0,
            } => write!(f, "spoke {datagrams} datagrams"),
            Event::SpeechEnded { datagrams, untaken } => write!(
                f,
                "spoke {datagrams} datagrams, {untaken} of which the network did not take"
            ),
            Event::Recording { file } => write!(f, "recording to {file}"),
            Event::Recorded { file, seconds } => write!(f, "recorded {seconds:.2} s to {file}"),
            Event::ListenerLost { reason } => {
                write!(f, "standard output takes no more sound: {reason}")
            }
            Event::People { people } => list(f, people, usize::MAX),
            Event::Stats {
                speakers,
                unreadable,
                untaken,
            } => stats(f, speakers, *unreadable, *untaken),
            Event::Help { text } => f.write_str(text),
            Event::Refused { reason } => f.write_str(reason),
        }
    }
}

fn voice_changed(f: &mut Formatter<'_>, what: &str, already: bool) -> fmt::Result {
    let already = if already { " already" } else { "" };
    write!(f, "you are {what}{already}")
}

fn list(f: &mut Formatter<'_>, people: &[Listed], at_most: usize) -> fmt::Result {
    write!(f, "{} here:", people.len())?;
    for it in people.iter().take(at_most) {
        let you = if it.is_you { " (you)" } else { "" };
        let voice = if it.in_voice { ", in voice" } else { "" };
        let muted = if it.is_muted { ", muted" } else { "" };
        let name = printable(&it.who.name);
        write!(f, "\n  {:>3} {name}{you}{voice}{muted}", it.who.user_id)?;
    }
    match people.len().saturating_sub(at_most) {
        0 => Ok(()),
        more => write!(f, "\n  and {more} more: /who shows them all"),
    }
}

fn stats(f: &mut Formatter<'_>, speakers: &[Heard], unreadable: u64, untaken: u64) -> fmt::Result {
    if speakers.is_empty() {
        f.write_str("nothing was heard yet")?;
    }
    for (place, heard) in speakers.iter().enumerate() {
        let line = if place > 0 { "\n" } else { "" };
        write!(f, "{line}{}: {}", heard.who, heard.arrivals)?;
        if let Some(playout) = heard.playout {
            write!(f, "\n  {playout}")?;
        }
    }
    if unreadable > 0 {
        write!(f, "\n{unreadable} datagrams could not be read")?;
    }
    if untaken > 0 {
        let lost = super::FRAME * untaken.min(u64::from(u32::MAX)) as u32;
        write!(
            f,
            "\nstandard output did not take {lost:.2?} of sound in time"
        )?;
    }
    Ok(())
}

impl Display for Who {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let id = self.user_id;
        match (self.name.as_str(), self.has_namesake) {
            ("", _) => write!(f, "user {id}"),
            (name, true) => write!(f, "{}#{id}", printable(name)),
            (name, false) => f.write_str(&printable(name)),
        }
    }
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

impl Display for Arrivals {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Arrivals {
            datagrams,
            bytes,
            lost,
            duplicates,
            reordered,
            restarts,
            jitter_ms,
        } = self;
        write!(f, "{datagrams} datagrams, {bytes} bytes, {lost} lost")?;
        write!(f, ", {duplicates} duplicate, {reordered} reordered")?;
        write!(f, ", {restarts} restarts, jitter {jitter_ms:.2} ms")
    }
}

impl Display for Playout {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Counts {
            played,
            late,
            concealed,
            stretched,
            shortened,
            crowded_out,
        } = self.counts;
        write!(f, "jitter buffer {} ms: {played} played", self.depth_ms)?;
        write!(f, ", {late} late, {concealed} concealed")?;
        write!(f, ", {stretched} to wait, {shortened} to catch up")?;
        match crowded_out {
            0 => Ok(()),
            count => write!(f, ", {count} crowded out"),
        }
    }
}

/// What others wrote, with everything escaped that would act on a terminal or turn its text around.
pub fn printable(text: &str) -> String {
    let acts =
        |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_act_on_the_terminal() {
        let table = [
            ("grüße 👩\u{200d}🚀", "grüße 👩\u{200d}🚀"),
            ("\x1b[2Jgone", "\\u{1b}[2Jgone"),
            ("two\r\nlines\x07", "two\\r\\nlines\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
        ];
        for (text, shown) in table {
            assert_eq!(printable(text), shown);
        }
    }

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
            (Event::ChatRefused, r#"{"event":"chat_refused"}"#),
            (
                Event::Stats {
                    speakers: vec![Heard {
                        who,
                        arrivals: Arrivals {
                            lost: 3,
                            ..Arrivals::default()
                        },
                        playout: Some(Playout {
                            depth_ms: 40,
                            counts: Counts {
                                concealed: 3,
                                ..Counts::default()
                            },
                        }),
                    }],
                    unreadable: 0,
                    untaken: 2,
                },
                concat!(
                    r#"{"event":"stats","speakers":[{"user_id":7,"name":"b\nb","datagrams":0,"bytes":0,"#,
                    r#""lost":3,"duplicates":0,"reordered":0,"restarts":0,"jitter_ms":0.0,"playout":"#,
                    r#"{"depth_ms":40,"played":0,"late":0,"concealed":3,"stretched":0,"shortened":0,"#,
                    r#""crowded_out":0}}],"unreadable":0,"untaken":2}"#
                ),
            ),
        ];
        for (event, json) in table {
            assert_eq!(serde_json::to_string(&event).expect("it has no maps"), json);
        }
    }
}
