//! The events in words.

use super::{ConnectionState, Event, Listed, Playout, Who};
use crate::jitter::Counts;
use crate::session::Said;
use crate::speaker::Arrivals;
use std::fmt::{self, Display, Formatter, Write as _};
use std::time::Duration;
use voiceapp_protocol::Reason;

#[cfg(test)]
mod tests;

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Event::LoggedIn { who, users } => {
                let id = who.user_id;
                write!(f, "logged in as {who}, user {id}, of {users} here; ")?;
                f.write_str("/help shows the commands")
            }
            Event::Welcome { server, text } => match (server.is_empty(), text.is_empty()) {
                (false, false) => write!(f, "{}: {}", printable(server), printable(text)),
                (false, true) => write!(f, "this is {}", printable(server)),
                (true, _) => f.write_str(&printable(text)),
            },
            Event::Ended { reason, text } => {
                let (reason, text) = (Reason::from_number(*reason), text.clone());
                write!(
                    f,
                    "the server closes the connection: {}",
                    Said { reason, text }
                )
            }
            Event::Here(listed) => Display::fmt(listed, f),
            Event::MoreHere { count } => write!(f, "  and {count} more: /who shows them all"),
            Event::JoinedServer { who } => write!(f, "* {who} joined the server"),
            Event::LeftServer { who } => write!(f, "* {who} left the server"),
            Event::JoinedVoice { who } => write!(f, "* {who} joined voice"),
            Event::LeftVoice { who } => write!(f, "* {who} left voice"),
            Event::Muted { who, is_muted } => {
                write!(f, "* {who} {}muted", if *is_muted { "" } else { "un" })
            }
            Event::Chat { who, message, .. } => write!(f, "<{who}> {}", printable(message)),
            Event::ChatRefused { message, reason } => {
                f.write_str("the server refused this: ")?;
                f.write_str(match reason.map(Reason::from_number) {
                    Some(Reason::TooOften) => "it came too soon after others",
                    Some(Reason::NotAllowed) => "it is empty or too long",
                    _ => "it is too long, or came too soon after others",
                })?;
                write!(f, ": {}", printable(message))
            }
            Event::TooMany { people } => {
                write!(
                    f,
                    "the server names more than {people} people: the rest are "
                )?;
                f.write_str("not shown")
            }
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
            Event::VoiceUnanswered {
                address,
                was_ready: true,
            } => {
                write!(f, "voice is lost: {address} no longer answers over UDP. ")?;
                f.write_str("You are not heard and hear nobody (asking again)")
            }
            Event::VoiceUnanswered { address, .. } => {
                write!(f, "no voice: {address} does not answer over UDP. ")?;
                f.write_str("You are not heard and hear nobody (asking again). ")?;
                f.write_str("Check --voice-port, and whether a firewall here, at the server or ")?;
                f.write_str("between blocks UDP")
            }
            Event::VoiceClosed { address } => {
                write!(f, "nothing listens on UDP {address}: the server is gone, ")?;
                f.write_str("--voice-port is wrong, or a firewall turns UDP away")
            }
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
            Event::Connected(ConnectionState {
                server, protection, ..
            }) => write!(f, "connected to {server}: {protection}"),
            Event::Status(state) => Display::fmt(state, f),
            Event::KeyKept {
                server,
                fingerprint,
                file,
            } => {
                write!(
                    f,
                    "new server {server}: its key is trusted from now on, and kept in "
                )?;
                write!(f, "{file}; its fingerprint: sha256={fingerprint}")
            }
            Event::KeyNotKept { file, reason } => {
                write!(f, "cannot keep the server's key in {file}: {reason}")
            }
            Event::Untrusted { reason, .. } => f.write_str(reason),
            Event::ConnectionLost { reason } => f.write_str(reason),
            Event::Reconnecting { after_ms } => {
                let after_s = Duration::from_millis(*after_ms).as_secs_f64();
                write!(f, "connecting again in {after_s:.1} s")
            }
            Event::Connecting { what } => write!(f, "still {what}"),
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
            Event::SpeechWaits { what } => {
                write!(f, "{what} waits for voice to be ready (/stop forgets it)")
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
            Event::Heard(heard) => {
                write!(f, "{}: {}", heard.who, heard.arrivals)?;
                match &heard.playout {
                    Some(playout) => write!(f, "; {playout}"),
                    None => Ok(()),
                }
            }
            Event::NothingHeard => f.write_str("nothing was heard yet"),
            Event::Unreadable { datagrams } => {
                write!(f, "{datagrams} datagrams could not be read")
            }
            Event::Unheard { datagrams } => write!(
                f,
                "{datagrams} datagrams were not played: more spoke at once than can be heard"
            ),
            Event::Talking { is_on: true } => {
                f.write_str("the others hear you, until the next Ctrl-T or /talk")
            }
            Event::Talking { is_on: false } => f.write_str("the others do not hear you"),
            Event::SoundLost { seconds } => {
                write!(
                    f,
                    "standard output did not take {seconds:.2} s of sound in time"
                )
            }
            Event::Unread { count } => write!(f, "{count} lines were not read in time"),
            Event::Help { line } => f.write_str(line),
            Event::Refused { reason } => f.write_str(reason),
        }
    }
}

fn voice_changed(f: &mut Formatter<'_>, what: &str, already: bool) -> fmt::Result {
    let already = if already { " already" } else { "" };
    write!(f, "you are {what}{already}")
}

impl Display for ConnectionState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.protection)?;
        match &self.encryption {
            Some(encryption) => write!(f, "; {encryption}"),
            None => Ok(()),
        }
    }
}

impl Display for Listed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let you = if self.is_you { " (you)" } else { "" };
        let voice = if self.in_voice { ", in voice" } else { "" };
        let muted = if self.is_muted { ", muted" } else { "" };
        let encrypted = if self.is_encrypted { ", encrypted" } else { "" };
        let proved = if self.name_is_proved { ", proved" } else { "" };
        let (id, name) = (self.who.user_id, Name(&self.who.name));
        write!(f, "  {id:>3} {name}{you}{voice}{muted}{encrypted}{proved}")
    }
}

impl Display for Who {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let id = self.user_id;
        match (self.name.as_str(), self.has_namesake) {
            ("", _) => write!(f, "user {id}"),
            (name, true) => write!(f, "{}#{id}", Name(name)),
            (name, false) => Name(name).fmt(f),
        }
    }
}

/// A name that a user chose. A name of more than one word is in quotes, so that nothing in it can
/// pass for a part of the sentence.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_of_words = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.0.chars().all(is_of_words) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if acts_on_terminals(c) => write!(f, "{}", c.escape_default())?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
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
            dropped,
        } = self.counts;
        write!(f, "jitter buffer {} ms: {played} played", self.depth_ms)?;
        write!(f, ", {late} late, {concealed} concealed")?;
        write!(f, ", {stretched} to wait, {shortened} to catch up")?;
        match dropped {
            0 => Ok(()),
            count => write!(f, ", {count} dropped"),
        }
    }
}

/// Whether a character acts on a terminal, or turns text around or breaks it.
pub fn acts_on_terminals(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What others wrote, with everything escaped that would act on a terminal or turn its text around.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts_on_terminals(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
