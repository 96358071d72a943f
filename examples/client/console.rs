//! What the user types, and what the user sees: a terminal with a line to edit, or lines for a
//! program, as text or as JSON.
//!
//! It knows nothing of servers. Lines come by a channel of their own, so that a terminal that waits
//! for its turn never waits for the network.

use crate::talk::event::words::acts_on_terminals;
use crate::talk::event::{Event, Tone};
use crate::{End, wait_for};
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Behavior, Cmd, ConditionalEventHandler, Config, Editor, Event as KeyEvents};
use rustyline::{EventContext, EventHandler, ExternalPrinter, KeyEvent, RepeatCount};
use serde::Serialize;
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PROMPT: &str = "> ";
/// A longer line is taken for several: nothing that can be said is as long.
const LINE_BYTES_MAX: u64 = 65_536;
/// Events that may wait to be read.
const UNREAD_MAX: usize = 4_096;
/// How long the line editor takes to show what it was given.
const SHOWN_WITHIN: Duration = Duration::from_millis(50);

/// A line of input, or none any more.
pub enum Line {
    Typed(String),
    /// No line, but the key that lets the others hear or not hear.
    TalkKey,
    Ended,
}

pub struct Console {
    has_colour: bool,
    is_json: bool,
    pub is_terminal: bool,
    pub lines: Receiver<Line>,
    line_wanted: Sender<()>,
    /// What is to be read is written by a thread: who does not read holds up nobody else.
    writer: Option<Writer>,
    /// Events that there was no room for.
    unread: Cell<u64>,
    /// Holds what the terminal was like, as long as lines are edited on it.
    guard: Option<TerminalGuard>,
}

struct Writer {
    texts: SyncSender<String>,
    thread: JoinHandle<()>,
    /// Why it has ended before its time.
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
    /// There is a key to talk, typed at the terminal even if standard input is none.
    pub has_talk_key: bool,
}

impl Console {
    /// `wake` is called whenever a line has come.
    pub fn open(usage: Use, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let (line_sender, lines) = channel();
        let (line_wanted, wanted) = channel();
        let deliver = Arc::new(move |line| {
            let is_taken = line_sender.send(line).is_ok();
            wake();
            is_taken
        });
        let editor = usage.is_interactive().then(|| line_editor(usage)).flatten();
        if usage.input_is_sound && editor.is_none() {
            deliver(Line::Ended);
        }
        let is_terminal = editor.is_some();
        let guard = is_terminal.then(|| TerminalGuard::new(usage.input_is_sound));
        let writer = match editor {
            Some((mut editor, mut printer)) => {
                if usage.has_talk_key {
                    let key = Box::new(TalkKey(deliver.clone()));
                    editor.bind_sequence(KeyEvent::ctrl('T'), EventHandler::Conditional(key));
                }
                let deliver = move |line| deliver(line);
                thread::spawn(move || edit_lines(editor, &wanted, deliver));
                Writer::start(move |text| {
                    // It fails when no line is edited any more, which its own thread has told.
                    let _ = printer.print(text);
                    Ok(())
                })
            }
            None => {
                let deliver = move |line| deliver(line);
                if !usage.input_is_sound {
                    thread::spawn(move || read_lines(&wanted, deliver));
                }
                Writer::start(move |text| write_to(usage.output_is_sound, &text))
            }
        };
        Console {
            has_colour: usage.has_colour(),
            is_json: usage.is_json,
            is_terminal,
            lines,
            line_wanted,
            writer: Some(writer),
            unread: Cell::new(0),
            guard,
        }
    }

    /// Asks for the next line. None is read before: a script runs in order, and a terminal can be left
    /// as it was.
    pub fn want_line(&self) {
        // If nobody reads any more, the end of the lines has been delivered.
        let _ = self.line_wanted.send(());
    }

    /// Waits so long for what was told to be written, and leaves the terminal as it was.
    pub fn close(&mut self, at_most: Duration) -> Result<(), End> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        drop(writer.texts);
        if self.guard.is_none() {
            wait_for(&writer.thread, at_most);
        } else {
            // The editor shows what it is given in a thread of its own, and not if it is not editing.
            wait_for(&writer.thread, SHOWN_WITHIN);
            thread::sleep(SHOWN_WITHIN);
            self.guard = None;
            // The prompt goes away with what was typed.
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
        match writer.failure.get() {
            Some(reason) => Err(unwritten(reason)),
            None => Ok(()),
        }
    }

    /// Never waits for a reader: what there is no room for is counted, and that is told later.
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
            false => styled(event, self.has_colour),
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
    /// Whether a person types and reads.
    fn is_interactive(&self) -> bool {
        let is_seen = match self.output_is_sound {
            true => io::stderr().is_terminal(),
            false => io::stdout().is_terminal(),
        };
        let is_typed_at = match self.input_is_sound {
            true => self.has_talk_key,
            false => io::stdin().is_terminal(),
        };
        is_seen && is_typed_at && !self.is_json
    }

    fn has_colour(&self) -> bool {
        let choice = match self.output_is_sound {
            true => AutoStream::choice(&io::stderr()),
            false => AutoStream::choice(&io::stdout()),
        };
        choice != ColorChoice::Never
    }
}

fn write_to(stderr: bool, text: &str) -> io::Result<()> {
    if stderr {
        return io::stderr().write_all(text.as_bytes());
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn styled(event: &Event, has_colour: bool) -> String {
    let style = match event.tone() {
        _ if !has_colour => Style::new(),
        Tone::Plain => Style::new(),
        Tone::Presence => Style::new().dimmed(),
        Tone::Chat => AnsiColor::Cyan.on_default(),
        Tone::Trouble => AnsiColor::Yellow.on_default(),
    };
    format!("{style}{event}{style:#}")
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
    // All that is not plain is in strings, where it may as well be escaped.
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

type LineEditor = Editor<(), MemHistory>;

/// None for a terminal that is none, such as `TERM=dumb`.
fn line_editor(usage: Use) -> Option<(LineEditor, impl ExternalPrinter)> {
    let behavior = match usage.output_is_sound || usage.input_is_sound {
        true => Behavior::PreferTerm,
        false => Behavior::Stdio,
    };
    let config = Config::builder()
        .behavior(behavior)
        .auto_add_history(true)
        .build();
    let mut editor = Editor::with_history(config, MemHistory::new()).ok()?;
    let printer = editor.create_external_printer().ok()?;
    Some((editor, printer))
}

/// Tells of the key, and leaves the line that is typed as it is.
struct TalkKey<D>(Arc<D>);

impl<D: Fn(Line) -> bool + Send + Sync> ConditionalEventHandler for TalkKey<D> {
    fn handle(&self, _: &KeyEvents, _: RepeatCount, _: bool, _: &EventContext) -> Option<Cmd> {
        (self.0)(Line::TalkKey);
        Some(Cmd::Noop)
    }
}

fn edit_lines(mut editor: LineEditor, wanted: &Receiver<()>, deliver: impl Fn(Line) -> bool) {
    while wanted.recv().is_ok() {
        let line = match editor.readline(PROMPT) {
            Ok(line) => Line::Typed(line.trim_end().to_owned()),
            // The size of the window has changed.
            Err(ReadlineError::Signal(_)) => Line::Typed(String::new()),
            Err(_) => Line::Ended,
        };
        let is_last = matches!(line, Line::Ended);
        if !deliver(line) || is_last {
            return;
        }
    }
}

/// Reads one line whenever one is wanted. Input that cannot be read has ended: a terminal that was
/// hung up says so by an error.
fn read_lines(wanted: &Receiver<()>, deliver: impl Fn(Line) -> bool) {
    let mut stdin = io::stdin().lock();
    while wanted.recv().is_ok() {
        let mut bytes = Vec::new();
        let line = match (&mut stdin)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut bytes)
        {
            Ok(0) | Err(_) => Line::Ended,
            Ok(_) => Line::Typed(String::from_utf8_lossy(&bytes).trim_end().to_owned()),
        };
        let is_last = matches!(line, Line::Ended);
        if !deliver(line) || is_last {
            return;
        }
    }
}

/// Leaves the terminal as it was: the client can end while a line is being edited.
#[cfg(unix)]
struct TerminalGuard {
    terminal: Option<std::os::fd::OwnedFd>,
    before: Option<nix::sys::termios::Termios>,
}

#[cfg(unix)]
impl TerminalGuard {
    /// Standard input may be sound, and the terminal the one that started us.
    fn new(input_is_sound: bool) -> Self {
        use std::os::fd::{AsFd, OwnedFd};
        let terminal = match input_is_sound {
            true => std::fs::File::open("/dev/tty").map(OwnedFd::from),
            false => io::stdin().as_fd().try_clone_to_owned(),
        };
        let terminal = terminal.ok();
        let before = terminal.as_ref();
        TerminalGuard {
            before: before.and_then(|it| nix::sys::termios::tcgetattr(it).ok()),
            terminal,
        }
    }
}

#[cfg(unix)]
impl Drop for TerminalGuard {
    fn drop(&mut self) {
        use nix::sys::termios::{SetArg, tcsetattr};
        if let (Some(terminal), Some(before)) = (&self.terminal, &self.before) {
            // A terminal that is gone needs no care.
            let _ = tcsetattr(terminal, SetArg::TCSADRAIN, before);
        }
    }
}

/// Elsewhere the shell sees to it.
#[cfg(not(unix))]
struct TerminalGuard;

#[cfg(not(unix))]
impl TerminalGuard {
    fn new(_: bool) -> Self {
        TerminalGuard
    }
}
