//! What the user types, and what the user sees: a terminal with a line to edit, or lines for a
//! program, as text or as JSON.
//!
//! It knows nothing of servers. Lines come through a channel of their own, so that a terminal never
//! waits for the network.

use crate::line::{Line, Parsed, parse};
use crate::terminal::Terminal;
use crate::variables::variable;
use crate::{End, wait_for};
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::cell::Cell;
use std::fmt::{Display, Write as _};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use voiceapp_client::event::words::acts_on_terminals;
use voiceapp_client::event::{Event, Tone};

/// A longer line is cut into several: no message is as long.
const LINE_BYTES_MAX: u64 = 65_536;
/// Events that may wait to be read.
const UNREAD_MAX: usize = 4_096;

/// Where output goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
}

pub struct Console {
    has_colour: bool,
    is_json: bool,
    /// A person types, and expects an answer at once.
    pub is_typed: bool,
    /// The same person also reads.
    pub is_terminal: bool,
    pub lines: Receiver<Line>,
    line_wanted: Sender<()>,
    /// A thread writes the output: a reader that does not read delays nothing else.
    writer: Option<Writer>,
    /// Events that there was no room for.
    unread: Cell<u64>,
    /// Where lines are edited, if they are.
    terminal: Option<Terminal>,
}

struct Writer {
    texts: SyncSender<String>,
    thread: JoinHandle<()>,
    /// Why the writer ended early.
    failure: Arc<OnceLock<String>>,
}

/// How standard input and output are used.
#[derive(Clone, Copy)]
pub struct Use {
    pub is_json: bool,
    /// Standard input is sound, and has no lines.
    pub input_is_sound: bool,
    /// Standard output is sound, and what is to be read goes to standard error.
    pub output_is_sound: bool,
    /// There is a key to talk, typed at the terminal even if standard input is not one.
    pub has_talk_key: bool,
}

impl Console {
    /// `wake` is called whenever a line has come.
    pub fn open(usage: Use, wake: impl Fn() + Send + 'static) -> Result<Self, End> {
        let (line_sender, lines) = channel();
        let (line_wanted, wanted) = channel();
        let deliver = move |line| {
            let is_taken = line_sender.send(line).is_ok();
            wake();
            is_taken
        };
        let output = usage.output();
        let (mut terminal, mut writer) = (None, None);
        if cfg!(unix) && usage.is_interactive() && !is_dumb() {
            let stays = |line: &str| matches!(parse(line), Parsed::Command(..));
            let opened = Terminal::open(usage.input_is_sound, output, stays, deliver)
                .map_err(|error| End::Failed(format!("cannot use the terminal: {error}")))?;
            writer = Some(Writer::start(opened.printer()));
            terminal = Some(opened);
        } else if usage.input_is_sound {
            deliver(Line::Ended);
        } else {
            thread::spawn(move || read_lines(&wanted, deliver));
        }
        let writer = writer.unwrap_or_else(|| Writer::start(move |text| output.write(&text)));
        Ok(Console {
            has_colour: usage.has_colour(),
            is_json: usage.is_json,
            is_typed: usage.is_typed(),
            is_terminal: usage.is_interactive(),
            lines,
            line_wanted,
            writer: Some(writer),
            unread: Cell::new(0),
            terminal,
        })
    }

    /// Asks for the next line. None is read before that, except where lines are edited: a script
    /// runs in order.
    pub fn want_line(&self) {
        // If nothing reads any more, the end of the lines has been delivered.
        let _ = self.line_wanted.send(());
    }

    pub fn edits_lines(&self) -> bool {
        self.terminal.is_some()
    }

    /// Asks for a secret, below these notices. Only where lines are edited can its answer be hidden.
    pub fn ask(&self, notices: &[&str], prompt: String) -> Result<(), End> {
        let mut text = String::new();
        for notice in notices {
            text += &paint(notice, Tone::Trouble, self.has_colour);
            text.push('\n');
        }
        let asked = self.terminal.as_ref().map(|it| it.ask(&text, prompt));
        asked
            .transpose()
            .map_err(|error| unwritten(&error.to_string()))?;
        Ok(())
    }

    /// Shows the line again, if a secret was asked for.
    pub fn stop_asking(&self) -> Result<(), End> {
        let stopped = self.terminal.as_ref().map(Terminal::stop_asking);
        stopped
            .transpose()
            .map_err(|error| unwritten(&error.to_string()))?;
        Ok(())
    }

    /// Waits, at most this long, until the output is written, and restores the terminal.
    pub fn close(&mut self, at_most: Duration) -> Result<(), End> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        drop(writer.texts);
        wait_for(&writer.thread, at_most);
        if let Some(terminal) = self.terminal.take() {
            terminal.close(at_most);
        }
        match writer.failure.get() {
            Some(reason) => Err(unwritten(reason)),
            None => Ok(()),
        }
    }

    /// Never waits for a reader: events that find no room are counted, and reported later.
    pub fn tell(&self, event: &Event) -> Result<(), End> {
        if self.unread.get() > 0 {
            let count = self.unread.take();
            if !self.try_tell(&Event::Unread { count })? {
                self.unread.set(count + 1);
                return Ok(());
            }
        }
        let is_told = self.try_tell(event)?;
        self.unread.set(u64::from(!is_told));
        Ok(())
    }

    fn try_tell(&self, event: &Event) -> Result<bool, End> {
        let Some(writer) = &self.writer else {
            return Ok(false);
        };
        let text = match self.is_json {
            true => json(event),
            false => paint(event, event.tone(), self.has_colour),
        };
        match writer.texts.try_send(text + "\n") {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Disconnected(_)) => {
                let reason = writer.failure.get().map_or("it is gone", String::as_str);
                Err(unwritten(reason))
            }
        }
    }
}

fn unwritten(reason: &str) -> End {
    End::Failed(format!("cannot write what is to be read: {reason}"))
}

impl Writer {
    fn start(mut write: impl FnMut(String) -> io::Result<()> + Send + 'static) -> Self {
        let (texts, unwritten) = sync_channel(UNREAD_MAX);
        let failure = Arc::new(OnceLock::new());
        let noted = failure.clone();
        let thread = thread::spawn(move || {
            for text in unwritten {
                if let Err(error) = write(text) {
                    let _ = noted.set(error.to_string());
                    return;
                }
            }
        });
        Writer {
            texts,
            thread,
            failure,
        }
    }
}

impl Use {
    fn output(&self) -> Output {
        match self.output_is_sound {
            true => Output::Stderr,
            false => Output::Stdout,
        }
    }

    /// Whether a person types. The terminal may be another than standard input, if it has a key.
    fn is_typed(&self) -> bool {
        match self.input_is_sound {
            true => self.has_talk_key,
            false => io::stdin().is_terminal(),
        }
    }

    /// Whether the same person reads.
    fn is_interactive(&self) -> bool {
        self.is_seen() && self.is_typed() && !self.is_json
    }

    fn has_colour(&self) -> bool {
        let choice = match self.output() {
            Output::Stderr => AutoStream::choice(&io::stderr()),
            Output::Stdout => AutoStream::choice(&io::stdout()),
        };
        choice != ColorChoice::Never && !(self.is_seen() && is_dumb())
    }

    fn is_seen(&self) -> bool {
        match self.output() {
            Output::Stderr => io::stderr().is_terminal(),
            Output::Stdout => io::stdout().is_terminal(),
        }
    }
}

/// Whether the terminal can only show text, as far as the environment says.
fn is_dumb() -> bool {
    let terminal = variable("TERM").ok().flatten();
    matches!(
        terminal.as_deref(),
        None | Some("dumb" | "cons25" | "emacs")
    )
}

impl Output {
    pub fn write(self, text: &str) -> io::Result<()> {
        if self == Output::Stderr {
            return io::stderr().write_all(text.as_bytes());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

fn paint(words: impl Display, tone: Tone, has_colour: bool) -> String {
    let style = match tone {
        _ if !has_colour => Style::new(),
        Tone::Plain => Style::new(),
        Tone::Presence => Style::new().dimmed(),
        Tone::Chat => AnsiColor::Cyan.on_default(),
        Tone::Trouble => AnsiColor::Yellow.on_default(),
    };
    format!("{style}{words}{style:#}")
}

/// The event with the time, in milliseconds since the Unix epoch.
fn json(event: &Event) -> String {
    #[derive(Serialize)]
    struct Timed<'a> {
        time_ms: u64,
        #[serde(flatten)]
        event: &'a Event,
    }
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let time_ms = since_epoch.map_or(0, |since| since.as_millis() as u64);
    let text = serde_json::to_string(&Timed { time_ms, event });
    let text = text.expect("no event has anything in it that JSON has no form for");
    // All that is not ASCII is in strings, where it may be escaped.
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if acts_on_terminals(c) {
            let _ = write!(plain, "\\u{:04x}", u32::from(c));
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Reads one line whenever one is wanted.
fn read_lines(wanted: &Receiver<()>, deliver: impl Fn(Line) -> bool) {
    let mut stdin = io::stdin().lock();
    let is_terminal = stdin.is_terminal();
    while wanted.recv().is_ok() {
        let mut bytes = Vec::new();
        let read = (&mut stdin)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut bytes);
        let line = match read {
            Ok(0) => Line::Ended,
            Ok(_) => Line::Typed(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
            Err(error) => Line::unreadable(&error, is_terminal),
        };
        let is_last = !matches!(line, Line::Typed(_));
        if !deliver(line) || is_last {
            return;
        }
    }
}
