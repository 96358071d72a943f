//! The log's way to standard error, which must never stop the server: a paused terminal, or a pipe
//! that nobody reads, would otherwise block everyone's voice.
//!
//! Lines go to a thread of their own through a bounded queue. Lines that do not fit are dropped and
//! counted.

use log::LevelFilter;
use simplelog::{ConfigBuilder, WriteLogger};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// Lines that may wait: at debug level, some seconds of a busy server.
const LINES_MAX: usize = 4_096;

/// How long the log waits at the end for its last lines to be written.
const FLUSH_PATIENCE: Duration = Duration::from_millis(500);

enum Message {
    Line(Vec<u8>),
    /// Everything before this has been written when the sender receives it.
    Flush(Sender<()>),
}

/// Sends what the server logs to standard error, at this level, which SIGUSR2 steps to another and
/// back. It is for the binary, once: the log belongs to the whole process.
pub fn start_log(level: LevelFilter) {
    let format = ConfigBuilder::new()
        .set_time_format_rfc3339()
        .set_target_level(LevelFilter::Off)
        .set_thread_level(LevelFilter::Off)
        .add_filter_allow_str("voiceapp_server")
        .build();
    // The logger passes every level on. The level that counts can change later.
    WriteLogger::init(LevelFilter::Trace, format, LogWriter::start())
        .expect("nothing else has started a log");
    log::set_max_level(level);
    #[cfg(unix)]
    super::log_level::step_on_signal(level);
}

/// Takes log lines, and never blocks on writing them.
struct LogWriter {
    line: Vec<u8>,
    queue: SyncSender<Message>,
    left_out: u64,
}

impl LogWriter {
    /// Starts the thread that writes to standard error.
    fn start() -> Self {
        let (queue, messages) = sync_channel(LINES_MAX);
        thread::spawn(move || write_all(&messages, io::stderr()));
        LogWriter {
            line: Vec::new(),
            queue,
            left_out: 0,
        }
    }

    fn send_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        if self.left_out > 0 {
            line.splice(
                0..0,
                format!("({} lines left out)\n", self.left_out).into_bytes(),
            );
        }
        match self.queue.try_send(Message::Line(line)) {
            Ok(()) => self.left_out = 0,
            Err(_) => self.left_out += 1,
        }
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        // A record is written in pieces, the last of which ends its line.
        if bytes.ends_with(b"\n") {
            self.send_line();
        }
        Ok(bytes.len())
    }

    /// Waits until everything is written, for a bounded time.
    fn flush(&mut self) -> io::Result<()> {
        let (written, is_written) = channel();
        if self.queue.try_send(Message::Flush(written)).is_ok() {
            // If nobody reads, the time runs out, and nobody misses the lines.
            let _ = is_written.recv_timeout(FLUSH_PATIENCE);
        }
        Ok(())
    }
}

fn write_all(messages: &Receiver<Message>, mut out: impl Write) {
    for message in messages {
        match message {
            // There is no place to report a log that cannot be written.
            Message::Line(line) => drop(out.write_all(&line)),
            Message::Flush(written) => drop(written.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(room: usize) -> (LogWriter, Receiver<Message>) {
        let (queue, messages) = sync_channel(room);
        let writer = LogWriter {
            line: Vec::new(),
            queue,
            left_out: 0,
        };
        (writer, messages)
    }

    #[test]
    fn lines_are_whole_however_they_are_written() {
        let (mut log, messages) = writer(10);
        for piece in ["one", " line", "\n", "two\n"] {
            log.write_all(piece.as_bytes()).expect("it never fails");
        }
        drop(log);
        let mut out = Vec::new();
        write_all(&messages, &mut out);
        assert_eq!(out, b"one line\ntwo\n");
    }

    #[test]
    fn what_nobody_takes_is_left_out_and_told_later() {
        let (mut log, messages) = writer(2);
        for number in 0..5 {
            writeln!(log, "{number}").expect("it never fails");
        }
        log.flush().expect("it never fails");
        let mut taken = messages.try_iter().count();
        assert_eq!(taken, 2);
        writeln!(log, "later").expect("it never fails");
        drop(log);
        let mut out = Vec::new();
        write_all(&messages, &mut out);
        taken += 1;
        assert_eq!((out, taken), (b"(3 lines left out)\nlater\n".to_vec(), 3));
    }
}
