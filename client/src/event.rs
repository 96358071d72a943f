//! Everything that a client shows its user, one event a line: in words, and as JSON.

use super::trust::Fingerprint;
use serde::Serialize;

mod parts;
#[cfg(test)]
mod tests;
mod tone;
pub mod words;

pub use parts::{ConnectionState, Heard, Listed, Playout, Who};
pub use tone::Tone;

/// Something that a client shows its user.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    // From the server.
    /// The server accepted the login.
    LoggedIn {
        /// The client itself, by the name that the server uses.
        #[serde(flatten)]
        who: Who,
        /// Everyone who is logged in.
        users: usize,
    },
    /// The server's description of itself, after a login.
    Welcome {
        /// What it is called, or nothing.
        server: String,
        /// What it has to say, or nothing.
        text: String,
    },
    /// An entry of the list of people.
    Here(Listed),
    /// So many more people, who are not listed.
    MoreHere {
        /// How many more.
        count: usize,
    },
    /// Someone logged in.
    JoinedServer {
        /// The user.
        #[serde(flatten)]
        who: Who,
    },
    /// A user is no longer logged in.
    LeftServer {
        /// The user.
        #[serde(flatten)]
        who: Who,
    },
    /// A user joined voice.
    JoinedVoice {
        /// The user.
        #[serde(flatten)]
        who: Who,
    },
    /// A user left voice.
    LeftVoice {
        /// The user.
        #[serde(flatten)]
        who: Who,
    },
    /// A user muted or unmuted.
    Muted {
        /// The user.
        #[serde(flatten)]
        who: Who,
        /// Whether the user is muted.
        is_muted: bool,
    },
    /// A user sent a message to everyone.
    Chat {
        /// The author.
        #[serde(flatten)]
        who: Who,
        /// When, by the server's clock, in milliseconds since 1970.
        timestamp_ms: u64,
        /// The message.
        message: String,
    },
    /// The server did not pass a message on.
    ChatRefused {
        /// The message.
        message: String,
        /// Why, if the server says so: a number of the protocol.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<u8>,
    },
    /// The server names more people than the client remembers.
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
        /// Whether the client wanted to join.
        wanted: bool,
    },
    /// The server knows the client's address for voice.
    VoiceReady {
        /// Where the client sends voice.
        address: String,
    },
    /// The server does not know the client's token.
    VoiceRefused,
    /// The server does not answer over UDP. The client keeps asking.
    VoiceUnanswered {
        /// The address that was asked.
        address: String,
        /// Whether it was answered before.
        was_ready: bool,
    },
    /// Nothing listens for voice at the address.
    VoiceClosed {
        /// The address.
        address: String,
    },
    /// The server answered a ping.
    Pong {
        /// How long that took.
        round_trip_ms: f64,
    },
    /// The server did not answer a request.
    Unanswered {
        /// How long the client waited.
        waited_s: u64,
    },
    /// A user begins to talk.
    Speaking {
        /// The user.
        #[serde(flatten)]
        who: Who,
    },
    /// A user has stopped talking.
    StoppedSpeaking {
        /// The user.
        #[serde(flatten)]
        who: Who,
        /// Datagrams of the talk that came.
        heard: u64,
        /// Datagrams of the talk that did not come.
        lost: u64,
    },
    /// A datagram came that no server sends. Only the first is shown.
    UnreadableDatagram {
        /// Its length.
        bytes: usize,
    },
    /// Something that came cannot be read, and was skipped.
    Skipped {
        /// What it was.
        reason: String,
    },
    /// The server closes the connection, and says why.
    Ended {
        /// A number of the protocol.
        reason: u8,
        /// The same in words.
        text: String,
    },
    // Of the connection.
    /// There is one, and this much of it is encrypted.
    Connected(ConnectionState),
    /// The same when the user asks for it, with all that is known.
    Status(ConnectionState),
    /// The server's key is the first of this server. It is trusted, and kept.
    KeyKept {
        /// The host and the port.
        server: String,
        /// The fingerprint of the key.
        fingerprint: Fingerprint,
        /// Where it is kept.
        file: String,
    },
    /// The server's key is trusted, but could not be kept.
    KeyNotKept {
        /// Where it should be kept.
        file: String,
        /// Why it could not be.
        reason: String,
    },
    /// The server's key is not trusted, and nothing was said to it.
    Untrusted {
        /// The host and the port.
        server: String,
        /// The fingerprint of the key that it should have, if there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        expected: Option<Fingerprint>,
        /// The fingerprint of the key that it presents.
        presented: Fingerprint,
        /// What is wrong, and what to do about it.
        reason: String,
    },
    /// Connecting takes its time.
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
    /// A speech begins.
    SpeechStarted {
        /// What is spoken.
        what: String,
        /// How long it is, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// A speech starts as soon as it would be heard.
    SpeechWaits {
        /// What waits.
        what: String,
    },
    /// A speech has ended.
    SpeechEnded {
        /// Datagrams that were sent.
        datagrams: u64,
        /// Datagrams that the network did not take.
        untaken: u64,
    },
    /// The received sound is recorded.
    Recording {
        /// Where to.
        file: String,
    },
    /// A recording is complete.
    Recorded {
        /// Where it is.
        file: String,
        /// How long it is.
        seconds: f64,
    },
    /// Nothing takes the received sound any more.
    ListenerLost {
        /// Why.
        reason: String,
    },
    /// What was received of one speaker.
    Heard(Heard),
    /// Nothing was received of any speaker.
    NothingHeard,
    /// Datagrams came that no server sends.
    Unreadable {
        /// How many.
        datagrams: u64,
    },
    /// More speakers at once than can be heard.
    Unheard {
        /// How many were not heard.
        datagrams: u64,
    },
    /// Whether the microphone is sent.
    Talking {
        /// Whether it is.
        is_on: bool,
    },
    /// Standard output did not take sound in time.
    SoundLost {
        /// How much of it is lost.
        seconds: f64,
    },
    /// So many events were not shown, as those before them were not read.
    Unread {
        /// How many.
        count: u64,
    },
    /// A line of the help.
    Help {
        /// What it says.
        line: &'static str,
    },
    /// Something that cannot be done, and why.
    Refused {
        /// Why it cannot be done.
        reason: String,
    },
}
