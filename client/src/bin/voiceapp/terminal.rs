//! A terminal with a line to edit at its bottom, and the output above it. The terminal's own line
//! editing is off meanwhile, and is restored at the end.

use crate::console::Output;
use crate::editing::screen::Screen;
use crate::line::Line;
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{
    InputFlags, LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCONT, SIGWINCH};
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::{Duration, Instant};
use terminal_size::{Width, terminal_size_of};

/// Where the width is not known.
const COLUMNS: usize = 80;

/// The terminal and its former mode, while that is changed.
static BEFORE: Mutex<Option<(File, Termios)>> = Mutex::new(None);

pub struct Terminal {
    shared: Arc<Shared>,
}

struct Shared {
    output: Output,
    /// None once it is closed.
    screen: Mutex<Option<Screen>>,
}

impl Terminal {
    /// Uses standard input as a terminal, or the controlling terminal if that is sound, and this
    /// output for the same one. `deliver` receives the typed lines.
    pub fn open(
        input_is_sound: bool,
        output: Output,
        stays: fn(&str) -> bool,
        deliver: impl Fn(Line) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let keyboard = match input_is_sound {
            true => File::open("/dev/tty")?,
            false => io::stdin().as_fd().try_clone_to_owned()?.into(),
        };
        let before_us = tcgetattr(&keyboard)?;
        *before() = Some((keyboard.try_clone()?, before_us));
        edit()?;
        let screen = Screen::new(columns(output), stays);
        let shared = Arc::new(Shared {
            output,
            screen: Mutex::new(Some(screen)),
        });
        shared.with_screen(Screen::show)?;
        let signals = Signals::new([SIGWINCH, SIGCONT])?;
        let watched = shared.clone();
        thread::spawn(move || watched.follow_window(signals));
        let read = shared.clone();
        thread::spawn(move || read.read_keys(keyboard, deliver));
        Ok(Terminal { shared })
    }

    /// A function that writes to the terminal from another thread.
    pub fn printer(&self) -> impl FnMut(String) -> io::Result<()> + Send + 'static {
        let shared = self.shared.clone();
        move |text| shared.with_screen(|screen| screen.print(&text))
    }

    /// Asks for a secret below this notice.
    pub fn ask(&self, notice: &str, prompt: String) -> io::Result<()> {
        self.shared.with_screen(|screen| screen.ask(notice, prompt))
    }

    /// Goes back to the line, if a secret was asked for.
    pub fn stop_asking(&self) -> io::Result<()> {
        self.shared.with_screen(Screen::stop_asking)
    }

    /// Restores the terminal. It waits at most this long for a thread that is stuck writing.
    pub fn close(&self, at_most: Duration) {
        let screen = self.shared.lock_within(at_most);
        if let Some(mut screen) = screen.and_then(|mut it| it.take()) {
            let _ = self.shared.output.write(&screen.hide());
        }
        restore();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

fn before() -> MutexGuard<'static, Option<(File, Termios)>> {
    BEFORE.lock().expect("nobody panics with it")
}

/// Restores the terminal's former mode, if it was changed. Errors of a terminal that is gone do not
/// matter.
pub fn restore() {
    if let Some((terminal, before)) = &*before() {
        let _ = tcsetattr(terminal, SetArg::TCSANOW, before);
    }
}

/// Makes the terminal pass on each key at once, without echo.
fn edit() -> io::Result<()> {
    let before = before();
    let (terminal, before) = before.as_ref().ok_or(ErrorKind::NotFound)?;
    let mut raw = before.clone();
    raw.input_flags &= !(InputFlags::BRKINT
        | InputFlags::ICRNL
        | InputFlags::INLCR
        | InputFlags::IGNCR
        | InputFlags::INPCK
        | InputFlags::ISTRIP
        | InputFlags::IXON);
    raw.local_flags &=
        !(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::IEXTEN | LocalFlags::ISIG);
    raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
    raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    Ok(tcsetattr(terminal, SetArg::TCSANOW, &raw)?)
}

fn columns(output: Output) -> usize {
    let size = match output {
        Output::Stdout => terminal_size_of(io::stdout()),
        Output::Stderr => terminal_size_of(io::stderr()),
    };
    size.map_or(COLUMNS, |(Width(columns), _)| columns.into())
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Screen>> {
        self.screen.lock().expect("nobody panics with it")
    }

    fn lock_within(&self, at_most: Duration) -> Option<MutexGuard<'_, Option<Screen>>> {
        let deadline = Instant::now() + at_most;
        loop {
            match self.screen.try_lock() {
                Ok(screen) => return Some(screen),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(_) => return None,
            }
        }
    }

    /// Writes the output of this change, while nothing else writes.
    fn with_screen(&self, change: impl FnOnce(&mut Screen) -> String) -> io::Result<()> {
        match &mut *self.lock() {
            Some(screen) => self.output.write(&change(screen)),
            None => Ok(()),
        }
    }

    /// Reads until there is nothing to read from, or nothing takes the lines.
    fn read_keys(&self, mut keyboard: File, deliver: impl Fn(Line) -> bool) {
        let mut bytes = [0; 4_096];
        loop {
            let read = match keyboard.read(&mut bytes) {
                Ok(0) => Err(Line::Ended),
                Ok(len) => Ok(&bytes[..len]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(Line::unreadable(&error, true)),
            };
            let is_taken = match read {
                Ok(bytes) => self.handle_bytes(bytes, &deliver),
                Err(last) => {
                    deliver(last);
                    false
                }
            };
            if !is_taken {
                return;
            }
        }
    }

    /// Returns whether anything takes what is typed.
    fn handle_bytes(&self, bytes: &[u8], deliver: &impl Fn(Line) -> bool) -> bool {
        let mut guard = self.lock();
        let Some(screen) = &mut *guard else {
            return false;
        };
        let typed = screen.handle_bytes(bytes);
        // The next write has the error as well, and reports it.
        let _ = self.output.write(&typed.output);
        if typed.wants_suspension {
            let _ = self.output.write(&screen.hide());
            restore();
        }
        drop(guard);
        let is_taken = typed.lines.into_iter().all(deliver);
        if typed.wants_suspension {
            // Stops the whole job, as the terminal itself would. A signal also brings it back.
            let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
        }
        is_taken
    }

    /// Follows changes of the window, and sets the terminal up again after a stop.
    fn follow_window(&self, mut signals: Signals) {
        for signal in signals.forever() {
            let mut guard = self.lock();
            let Some(screen) = &mut *guard else {
                return;
            };
            let output = match signal {
                SIGCONT => {
                    let _ = edit();
                    screen.show()
                }
                _ => screen.resize(columns(self.output)),
            };
            let _ = self.output.write(&output);
        }
    }
}
