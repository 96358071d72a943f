//! What the user types, and what the user sees: a terminal with a line to edit, or lines for a
//! program, as text or as JSON.
//!
//! It knows nothing of servers. Lines come by a channel of their own, so that a terminal that waits
//! for its turn never waits for the network.

use crate::talk::event::{Event, Tone};
use crate::{End, wait_for};
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Behavior, Config, Editor, ExternalPrinter};
use serde::Serialize;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

const PROMPT: &str = "> ";

/// A line of input, or none any more.
pub enum Line {
    Typed(String),
    Ended,
}

pub struct Console {
    output: Output,
    pub is_terminal: bool,
    pub lines: Receiver<Line>,
    line_wanted: Sender<()>,
    /// Holds what the terminal was like, as long as lines are edited on it.
    guard: Option<TerminalGuard>,
}

struct Output {
    /// Where a line is being edited, lines go above it.
    above: Option<(Sender<String>, JoinHandle<()>)>,
    to_stderr: bool,
    has_colour: bool,
    is_json: bool,
}

/// How standard input and output are used.
#[derive(Clone, Copy)]
pub struct Use {
    pub is_json: bool,
    /// Standard input is sound, and has no lines.
    pub input_is_sound: bool,
    /// Standard output is sound, and what is to be read goes to standard error.
    pub output_is_sound: bool,
}

impl Console {
    /// `wake` is called whenever a line has come.
    pub fn open(usage: Use, wake: impl Fn() + Send + 'static) -> Self {
        let (line_sender, lines) = channel();
        let (line_wanted, wanted) = channel();
        let deliver = move |line| {
            let is_taken = line_sender.send(line).is_ok();
            wake();
            is_taken
        };
        let mut console = Console {
            output: Output {
                above: None,
                to_stderr: usage.output_is_sound,
                has_colour: usage.has_colour(),
                is_json: usage.is_json,
            },
            is_terminal: false,
            lines,
            line_wanted,
            guard: None,
        };
        let editor = usage.is_interactive().then(|| line_editor(usage));
        if usage.input_is_sound {
            deliver(Line::Ended);
        } else if let Some(Some((editor, printer))) = editor {
            let (above, shown) = channel();
            console.is_terminal = true;
            console.guard = Some(TerminalGuard::new());
            let showing = thread::spawn(move || show_lines(printer, &shown));
            console.output.above = Some((above, showing));
            thread::spawn(move || edit_lines(editor, &wanted, deliver));
        } else {
            thread::spawn(move || read_lines(&wanted, deliver));
        }
        console
    }

    /// Asks for the next line. None is read before: a script runs in order, and a terminal can be left
    /// as it was.
    pub fn want_line(&self) {
        // If nobody reads any more, the end of the lines has been delivered.
        let _ = self.line_wanted.send(());
    }

    /// Leaves the terminal as it was. What is told from now on is told below the line that was edited.
    pub fn close(&mut self) {
        if let Some((sender, showing)) = self.output.above.take() {
            drop(sender);
            wait_for(&showing);
        }
        if self.guard.take().is_some() {
            // The prompt goes away with what was typed. Who cannot be told so is not told anything.
            let _ = self.output.write("\r\x1b[K");
        }
    }

    pub fn tell(&self, event: &Event) -> Result<(), End> {
        let text = match self.output.is_json {
            true => json(event),
            false => styled(event, self.output.has_colour),
        };
        self.output
            .write(&(text + "\n"))
            .map_err(|error| End::Failed(format!("cannot write what is to be read: {error}")))
    }
}

impl Use {
    /// Whether a person types and reads.
    fn is_interactive(&self) -> bool {
        let is_seen = match self.output_is_sound {
            true => io::stderr().is_terminal(),
            false => io::stdout().is_terminal(),
        };
        is_seen && io::stdin().is_terminal() && !self.input_is_sound && !self.is_json
    }

    fn has_colour(&self) -> bool {
        let choice = match self.output_is_sound {
            true => AutoStream::choice(&io::stderr()),
            false => AutoStream::choice(&io::stdout()),
        };
        choice != ColorChoice::Never
    }
}

impl Output {
    fn write(&self, text: &str) -> io::Result<()> {
        if let Some((above, _)) = &self.above {
            let sent = above.send(text.to_owned());
            return sent.map_err(|_| io::ErrorKind::BrokenPipe.into());
        }
        if self.to_stderr {
            return io::stderr().write_all(text.as_bytes());
        }
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
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
    serde_json::to_string(&Timed { time_ms, event }).unwrap_or_else(|error| {
        // No event has anything in it that JSON has no form for.
        unreachable!("{error}")
    })
}

type LineEditor = Editor<(), MemHistory>;

/// None for a terminal that is none, such as `TERM=dumb`.
fn line_editor(usage: Use) -> Option<(LineEditor, impl ExternalPrinter)> {
    let behavior = match usage.output_is_sound {
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

fn show_lines(mut printer: impl ExternalPrinter, lines: &Receiver<String>) {
    for line in lines {
        // The editor's own thread finds out when the terminal is gone.
        let _ = printer.print(line);
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
        let line = match stdin.read_until(b'\n', &mut bytes) {
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
struct TerminalGuard(Option<nix::sys::termios::Termios>);

#[cfg(unix)]
impl TerminalGuard {
    fn new() -> Self {
        TerminalGuard(nix::sys::termios::tcgetattr(io::stdin()).ok())
    }
}

#[cfg(unix)]
impl Drop for TerminalGuard {
    fn drop(&mut self) {
        use nix::sys::termios::{SetArg, tcsetattr};
        if let Some(before) = &self.0 {
            // A terminal that is gone needs no care.
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, before);
        }
    }
}

/// Elsewhere the shell sees to it.
#[cfg(not(unix))]
struct TerminalGuard;

#[cfg(not(unix))]
impl TerminalGuard {
    fn new() -> Self {
        TerminalGuard
    }
}
