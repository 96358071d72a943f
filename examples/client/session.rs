//! One session with a server, from login to end: who is here, what was asked and what is answered.
//! It owns the TCP connection and, in [`Voice`], the UDP half, and waits for nothing but its inbox.

use crate::voice::{ProofState, Voice};
use crate::{End, Input};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use voiceapp_server::event::{UserId, VoiceToken};
use voiceapp_server::protocol::{Frame, FrameBuffer, Packet, Participant};

const COMMANDS: &str = "\
Commands:
  /join            enter the voice channel
  /leave           leave it
  /mute, /unmute   stop being heard, and be heard again
  /tone [SECONDS]  speak for some seconds (default 3) while you go on typing
  /stats           what was heard, by speaker
  /who             who is here
  /ping            the round trip to the server and back
  /wait SECONDS    read no more commands for a while (for scripts)
  /quit            leave the server
Anything else is said to everyone; a message that starts with a slash is typed with two.";
/// What `/tone` speaks if it isn't told otherwise.
const TONE_LENGTH: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// People listed after the login; `/who` lists all of them.
const PEOPLE_SHOWN: usize = 20;

/// The whole state of the client.
pub struct Session {
    tcp: TcpStream,
    voice: Voice,
    line_wanted: Sender<()>,
    hold: Hold,
    me: UserId,
    people: BTreeMap<UserId, Person>,
    last_request_id: u64,
}

/// What the next line of input waits for.
enum Hold {
    /// Nothing: it can be asked for.
    Nothing,
    /// It was asked for.
    Line,
    /// The answer to this request; for a chat message, the message itself as everyone gets it.
    Answer { request_id: u64, sent_at: Instant },
    /// The proof of our voice address, for a tone of this length.
    Proof(Duration),
    /// The end of a `/wait`.
    Until(Instant),
    /// There will be none.
    Ended,
}

#[derive(Default)]
struct Person {
    /// Fit to be shown.
    name: String,
    in_voice: bool,
    is_muted: bool,
}

impl Session {
    /// A session over these sockets. It sends `()` whenever it wants to be told the next line.
    pub fn new(tcp: TcpStream, voice: Voice, line_wanted: Sender<()>) -> Self {
        Session {
            tcp,
            voice,
            line_wanted,
            hold: Hold::Nothing,
            me: UserId(0),
            people: BTreeMap::new(),
            last_request_id: 0,
        }
    }

    /// Logs in and stays until something ends it.
    pub fn run(mut self, username: &str, inbox: &Receiver<Input>) -> Result<(), End> {
        self.request(|request_id| Packet::LoginRequest {
            request_id,
            username,
        })?;
        if matches!(self.hold, Hold::Nothing) {
            return Err(End::Failed("the name does not fit into a login".to_owned()));
        }
        let mut inbound = FrameBuffer::new();
        loop {
            self.voice.speak(Instant::now())?;
            match self.hold {
                Hold::Proof(length) if self.voice.proof_state() != ProofState::Asking => {
                    self.hold = Hold::Nothing;
                    self.start_tone(length)?;
                }
                Hold::Ended if !self.voice.is_speaking() => return Err(End::Quit),
                _ => {}
            }
            if matches!(self.hold, Hold::Nothing) {
                self.ask_for_line();
            }
            let wait = self.wake_at().map_or(Duration::MAX, |at| {
                at.saturating_duration_since(Instant::now())
            });
            match inbox.recv_timeout(wait) {
                Ok(Input::Line(line)) => self.handle_line(&line)?,
                Ok(Input::LinesEnded) if io::stdin().is_terminal() => return Err(End::Quit),
                Ok(Input::LinesEnded) => self.hold = Hold::Ended,
                Ok(Input::Received(bytes, at)) => {
                    inbound.extend(&bytes);
                    while let Some(frame) = inbound.next_frame() {
                        self.handle_frame(frame, at)?;
                    }
                }
                Ok(Input::Datagram(bytes, at)) => {
                    let people = &self.people;
                    self.voice
                        .handle_datagram(&bytes, at, |id| name(people, id))?;
                }
                Ok(Input::ConnectionLost(error)) => return Err(connection_lost(&error)),
                Ok(Input::VoiceLost(error)) => return Err(self.voice.lost(&error)),
                // Only now is it silent: what came while we were busy has been looked at.
                Err(RecvTimeoutError::Timeout) => self.handle_silence(Instant::now())?,
                Err(RecvTimeoutError::Disconnected) => return Err(End::Quit),
            }
        }
    }

    fn ask_for_line(&mut self) {
        self.hold = match self.line_wanted.send(()) {
            Ok(()) => Hold::Line,
            Err(_) => Hold::Ended,
        };
    }

    /// When something is due next if nothing is received.
    fn wake_at(&self) -> Option<Instant> {
        let held_until = match self.hold {
            Hold::Answer { sent_at, .. } => Some(sent_at + ANSWER_TIMEOUT),
            Hold::Until(at) => Some(at),
            _ => None,
        };
        held_until.into_iter().chain(self.voice.wake_at()).min()
    }

    /// Does what is due when nothing was received for a while.
    fn handle_silence(&mut self, now: Instant) -> Result<(), End> {
        match self.hold {
            Hold::Answer { sent_at, .. } if now >= sent_at + ANSWER_TIMEOUT => {
                let silence = format!("no answer from the server for {ANSWER_TIMEOUT:?}");
                if self.me == UserId(0) {
                    return Err(End::Failed(silence));
                }
                self.hold = Hold::Nothing;
                say!("{silence}")?;
            }
            Hold::Until(at) if now >= at => self.hold = Hold::Nothing,
            _ => {}
        }
        self.voice.handle_silence(now)
    }

    // What the user says.

    fn handle_line(&mut self, line: &str) -> Result<(), End> {
        self.hold = Hold::Nothing;
        let (command, argument) = match line.split_once(char::is_whitespace) {
            Some((command, argument)) => (command, argument.trim()),
            None => (line, ""),
        };
        if !line.starts_with('/') || line.starts_with("//") {
            let message = line.strip_prefix('/').unwrap_or(line);
            if message.is_empty() {
                return Ok(());
            }
            return self.request(|request_id| Packet::ChatMessageRequest {
                request_id,
                message,
            });
        }
        match command {
            "/join" => {
                if self.voice.proof_state() == ProofState::Failed {
                    self.voice.prove(Instant::now())?;
                }
                self.request(|request_id| Packet::JoinVoiceChannelRequest { request_id })
            }
            "/leave" => self.request(|request_id| Packet::LeaveVoiceChannelRequest { request_id }),
            "/ping" => self.request(|request_id| Packet::PingRequest { request_id }),
            "/mute" => self.mute(true),
            "/unmute" => self.mute(false),
            "/tone" if argument.is_empty() => self.start_tone(TONE_LENGTH),
            "/tone" => match parse_seconds(argument) {
                Some(length) => self.start_tone(length),
                None => say!("usage: /tone [SECONDS], up to 3600"),
            },
            "/wait" => match parse_seconds(argument) {
                Some(length) => {
                    self.hold = Hold::Until(Instant::now() + length);
                    Ok(())
                }
                None => say!("usage: /wait SECONDS, up to 3600"),
            },
            "/who" => self.show_people(usize::MAX),
            "/stats" => self.voice.show_stats(),
            "/help" => say!("{COMMANDS}"),
            "/quit" => Err(End::Quit),
            _ => say!("there is no command {}: see /help", printable(command)),
        }
    }

    /// Sends a request, and holds the next line until it is answered.
    fn request<'p>(&mut self, packet: impl FnOnce(u64) -> Packet<'p>) -> Result<(), End> {
        self.last_request_id += 1;
        let request_id = self.last_request_id;
        let sent_at = Instant::now();
        if self.send(&packet(request_id))? {
            self.hold = Hold::Answer {
                request_id,
                sent_at,
            };
        }
        Ok(())
    }

    /// Sends a packet over TCP, unless it is too long for any.
    fn send(&mut self, packet: &Packet<'_>) -> Result<bool, End> {
        let mut frame = Vec::new();
        if let Err(error) = packet.encode(&mut frame) {
            say!("not sent: {error}")?;
            return Ok(false);
        }
        match self.tcp.write_all(&frame) {
            Ok(()) => Ok(true),
            Err(error) => Err(connection_lost(&error)),
        }
    }

    /// Mutes or unmutes. The server doesn't answer this.
    fn mute(&mut self, is_muted: bool) -> Result<(), End> {
        self.send(&Packet::UserMuteState {
            user_id: self.me,
            is_muted,
        })?;
        self.myself().is_muted = is_muted;
        if is_muted {
            self.voice.stop_tone()?;
        }
        let not = if is_muted { "" } else { "not " };
        say!("you are {not}muted")
    }

    fn myself(&mut self) -> &mut Person {
        self.people.entry(self.me).or_default()
    }

    fn show_people(&self, at_most: usize) -> Result<(), End> {
        say!("{} here:", self.people.len())?;
        for (&id, person) in self.people.iter().take(at_most) {
            let you = if id == self.me { " (you)" } else { "" };
            let voice = if person.in_voice { ", in voice" } else { "" };
            let muted = if person.is_muted { ", muted" } else { "" };
            say!("  {id:>3} {}{you}{voice}{muted}", person.name)?;
        }
        match self.people.len().saturating_sub(at_most) {
            0 => Ok(()),
            more => say!("  and {more} more: /who shows them all"),
        }
    }

    fn start_tone(&mut self, length: Duration) -> Result<(), End> {
        let me = self.myself();
        if !me.in_voice {
            return say!("you are not in voice: /join first");
        }
        if me.is_muted {
            return say!("you are muted: /unmute first");
        }
        if self.voice.proof_state() == ProofState::Asking {
            self.hold = Hold::Proof(length);
            return Ok(());
        }
        self.voice.start_tone(Instant::now(), length)
    }

    // What the server says over TCP.

    fn handle_frame(&mut self, frame: Frame<'_>, at: Instant) -> Result<(), End> {
        let packet = match frame.parse() {
            Ok(packet) => packet,
            Err(error) => return say!("skipped a packet from the server: {error}"),
        };
        match packet {
            Packet::LoginResponse {
                id,
                voice_token,
                participants,
                request_id,
            } => {
                if id == UserId(0) {
                    let why = "it is full, the name is not 1 to 32 bytes of plain text, or too many log in from here";
                    return Err(End::Failed(format!("the server refused the login: {why}")));
                }
                self.settle(request_id);
                self.handle_login(id, voice_token, participants.iter())
            }
            Packet::JoinVoiceChannelResponse {
                request_id,
                success,
            } => {
                self.settle(request_id);
                self.handle_voice_changed(success, true)
            }
            Packet::LeaveVoiceChannelResponse {
                request_id,
                success,
            } => {
                self.settle(request_id);
                self.handle_voice_changed(success, false)
            }
            // After a yes, the message itself settles it.
            Packet::ChatMessageResponse { success: true, .. } => Ok(()),
            Packet::ChatMessageResponse { request_id, .. } => {
                self.settle(request_id);
                say!(
                    "the server refused the message: it is too long, or came too soon after others"
                )
            }
            Packet::PingResponse { request_id } => match self.settle(request_id) {
                Some(sent_at) => say!("answered in {:.1?}", at.duration_since(sent_at)),
                None => Ok(()),
            },
            Packet::UserSentMessage {
                user_id, message, ..
            } => {
                if user_id == self.me {
                    self.settle(self.last_request_id);
                }
                say!("<{}> {}", name(&self.people, user_id), printable(message))
            }
            _ => self.handle_presence(packet),
        }
    }

    /// Takes note of an answer, so that the next line can come. If it is the one that is waited
    /// for, tells when the question was sent.
    fn settle(&mut self, answered_id: u64) -> Option<Instant> {
        match self.hold {
            Hold::Answer {
                request_id,
                sent_at,
            } if request_id == answered_id => {
                self.hold = Hold::Nothing;
                Some(sent_at)
            }
            _ => None,
        }
    }

    fn handle_login<'p>(
        &mut self,
        id: UserId,
        token: VoiceToken,
        participants: impl Iterator<Item = Participant<'p>>,
    ) -> Result<(), End> {
        self.me = id;
        self.people = participants
            .map(|it| (it.user_id, Person::new(&it)))
            .collect();
        let name = name(&self.people, id);
        say!("logged in as {name}, user {id}; /help shows the commands")?;
        self.show_people(PEOPLE_SHOWN)?;
        self.voice.handle_login(Instant::now(), token)
    }

    fn handle_voice_changed(&mut self, success: bool, in_voice: bool) -> Result<(), End> {
        let what = if in_voice { "in voice" } else { "not in voice" };
        if !success {
            return say!("the server refused: you are not {what}");
        }
        let me = self.myself();
        if me.in_voice == in_voice {
            return say!("you are {what} already");
        }
        (me.in_voice, me.is_muted) = (in_voice, false);
        self.voice.expect_gaps();
        self.voice.stop_tone()?;
        say!("you are {what}")
    }

    /// Events about people. An event that changes nothing is no news: a newcomer is told again what
    /// the list has said.
    fn handle_presence(&mut self, packet: Packet<'_>) -> Result<(), End> {
        let (user_id, what) = match packet {
            Packet::UserJoinedServer(newcomer) => {
                let person = Person::new(&newcomer);
                self.people.insert(newcomer.user_id, person);
                (newcomer.user_id, "joined the server")
            }
            Packet::UserLeftServer { user_id } => {
                say!("* {} left the server", name(&self.people, user_id))?;
                self.people.remove(&user_id);
                return Ok(());
            }
            Packet::UserJoinedVoice { user_id } => {
                let person = self.people.entry(user_id).or_default();
                if std::mem::replace(&mut person.in_voice, true) {
                    return Ok(());
                }
                person.is_muted = false;
                (user_id, "joined voice")
            }
            Packet::UserLeftVoice { user_id } => {
                let person = self.people.entry(user_id).or_default();
                (person.in_voice, person.is_muted) = (false, false);
                (user_id, "left voice")
            }
            Packet::UserMuteState { user_id, is_muted } => {
                let person = self.people.entry(user_id).or_default();
                if std::mem::replace(&mut person.is_muted, is_muted) == is_muted {
                    return Ok(());
                }
                (user_id, if is_muted { "muted" } else { "unmuted" })
            }
            _ => {
                return say!(
                    "skipped a packet that servers do not send: {:#04x}",
                    packet.id()
                );
            }
        };
        self.voice.expect_gap(user_id);
        say!("* {} {what}", name(&self.people, user_id))
    }
}

impl Person {
    fn new(participant: &Participant<'_>) -> Self {
        Person {
            name: printable(participant.username),
            in_voice: participant.in_voice,
            is_muted: participant.is_muted,
        }
    }
}

/// The name to show, with the id behind it if someone else here has the same name.
fn name(people: &BTreeMap<UserId, Person>, id: UserId) -> String {
    let Some(person) = people.get(&id).filter(|it| !it.name.is_empty()) else {
        return format!("user {id}");
    };
    let is_namesake = |(&other, it): (&UserId, &Person)| other != id && it.name == person.name;
    if people.iter().any(is_namesake) {
        format!("{}#{id}", person.name)
    } else {
        person.name.clone()
    }
}

/// What others wrote, with everything escaped that would act on a terminal or turn its text around.
fn printable(text: &str) -> String {
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

fn parse_seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    (0.0..=3_600.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

fn connection_lost(error: &io::Error) -> End {
    End::Failed(match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => {
            "the server closed the connection".into()
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "the server no longer answers".into(),
        _ => format!("the connection to the server broke: {error}"),
    })
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
    fn namesakes_are_told_apart() {
        let person = |name: &str| Person {
            name: name.to_owned(),
            ..Person::default()
        };
        let people = [(1, "ann"), (2, "bob"), (3, "bob")].map(|(id, it)| (UserId(id), person(it)));
        let people = BTreeMap::from(people);
        let shown = [1, 2, 3, 4].map(|id| name(&people, UserId(id)));
        assert_eq!(shown, ["ann", "bob#2", "bob#3", "user 4"]);
    }

    #[test]
    fn seconds_are_numbers_of_sane_size() {
        assert_eq!(parse_seconds("0.5"), Some(Duration::from_millis(500)));
        for text in ["", "-1", "NaN", "inf", "3601", "three"] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
    }
}
