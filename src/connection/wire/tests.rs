//! A connection with TLS on its wire, on a stream in memory whose kernel takes as much as a test lets it.

use super::super::delivery::Contact;
use super::super::{Connection, ReadOutcome};
use super::*;
use crate::tls::tests::{acceptor, client};
use rustls::ClientConnection;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// What came from the client and what went to it, and how much more of that the kernel takes.
struct Line {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    room: usize,
    is_finished: bool,
}

impl Read for Line {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.to_server.is_empty() && !self.is_finished {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = into.len().min(self.to_server.len());
        into[..len].copy_from_slice(&self.to_server[..len]);
        self.to_server.drain(..len);
        Ok(len)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.room);
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room -= len;
        self.to_client.extend(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Line {
    fn unacknowledged(&self) -> Option<usize> {
        None
    }

    fn contact(&self) -> Option<Contact> {
        None
    }

    fn finish(&mut self, _scratch: &mut [u8]) {}

    fn bequeath(&self, _time: Duration) {}
}

/// A server's connection and its client, and what either has come to.
struct Pair {
    server: Connection<Line>,
    client: ClientConnection,
    scratch: Vec<u8>,
    /// Bytes that the wire has said it adds to what is queued.
    answered: usize,
    failure: Option<Ended>,
    has_ended: bool,
    is_encrypted: bool,
    /// What the server has got, and the client.
    heard: Vec<u8>,
    said: Vec<u8>,
}

impl Pair {
    fn new(protocols: &[&[u8]]) -> Self {
        let line = Line {
            to_server: Vec::new(),
            to_client: Vec::new(),
            room: usize::MAX,
            is_finished: false,
        };
        Pair {
            server: Connection::new(line, Instant::now()),
            client: client(protocols),
            scratch: vec![0; crate::limits::INBOUND_BYTES_MAX],
            answered: 0,
            failure: None,
            has_ended: false,
            is_encrypted: false,
            heard: Vec::new(),
            said: Vec::new(),
        }
    }

    /// One that has shaken hands.
    fn ready() -> Self {
        let mut pair = Pair::new(&[]);
        pair.exchange();
        assert!(pair.is_encrypted && !pair.client.is_handshaking());
        pair
    }

    /// The server reads until there is nothing, or no more is to come.
    fn read(&mut self) {
        while self.failure.is_none() && !self.has_ended {
            let before = self.server.queued_bytes();
            let step = match self.server.read(&mut self.scratch).expect("it is no error") {
                ReadOutcome::WouldBlock => break,
                ReadOutcome::Ended => {
                    self.has_ended = true;
                    break;
                }
                ReadOutcome::Begun { speech, len } => {
                    assert_eq!(speech, Speech::Tls);
                    let session = acceptor().begin();
                    self.server.begin_tls(session, len, &mut self.scratch)
                }
                ReadOutcome::Tls(step) => step,
                other => panic!("{other:?} on TLS"),
            };
            assert_eq!(self.server.queued_bytes(), before + step.answered);
            self.answered += step.answered;
            self.is_encrypted |= step.handshake == Some(HandshakeStep::Last);
            self.failure = step.failure;
            while let Some(frame) = self.server.inbound.next_frame() {
                self.heard.extend([frame.id]);
                self.heard.extend(frame.payload);
            }
        }
    }

    /// Both read and write until neither has more to say.
    fn exchange(&mut self) {
        loop {
            while self.client.wants_write() {
                let _ = self.client.write_tls(&mut self.server.stream.to_server);
            }
            let before = self.server.stream.to_client.len();
            self.read();
            self.server.flush().expect("it is no error");
            let came = std::mem::take(&mut self.server.stream.to_client);
            let mut rest = &came[..];
            while !rest.is_empty() {
                self.client.read_tls(&mut rest).expect("it is memory");
                let result = self.client.process_new_packets();
                if result.is_err() || result.is_ok_and(|state| state.peer_has_closed()) {
                    break;
                }
                let mut plain = [0; 20_000];
                while let Ok(len @ 1..) = self.client.reader().read(&mut plain) {
                    self.said.extend(&plain[..len]);
                }
            }
            if came.len() == before && !self.client.wants_write() {
                return;
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let written = self.client.writer().write(bytes).expect("it is memory");
        assert_eq!(written, bytes.len());
    }
}

/// A frame whose payload is so many bytes of one value.
fn frame(value: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![value];
    frame.extend((len as u16).to_be_bytes());
    frame.resize(3 + len, value);
    frame
}

#[test]
fn bytes_come_through_both_ways_however_long() {
    let mut pair = Pair::ready();
    let mut heard = Vec::new();
    for (value, len) in [(1, 0), (2, 1), (3, 4_096), (4, 65_535), (5, 20)] {
        // As much as the client takes at a time.
        for part in frame(value, len).chunks(30_000) {
            pair.write(part);
            pair.exchange();
        }
        heard.resize(heard.len() + 1 + len, value);
    }
    assert_eq!((pair.failure, pair.has_ended), (None, false));
    assert_eq!(pair.heard, heard);
    assert_eq!(pair.server.unhandled_bytes(), 0);
    let mut said = Vec::new();
    for (value, len) in [(1, 1), (2, 16_384), (3, 16_385), (4, 100_000)] {
        let bytes = vec![value; len];
        said.extend(&bytes);
        pair.server.queue(&bytes);
        assert_eq!(pair.server.queued_bytes(), sealed_len(len));
        pair.exchange();
        assert_eq!(pair.server.queued_bytes(), 0);
    }
    assert_eq!(pair.said, said);
}

/// The kernel takes a byte at a time, or half a record: the queue counts what it will get, to the byte.
#[test]
fn what_is_sealed_counts_until_the_kernel_has_it() {
    for room in [1, 7, 8_000, 16_406, 40_000] {
        let mut pair = Pair::ready();
        let taken_before = pair.server.delivery.in_kernel();
        pair.server.queue(&[7; 50_000]);
        let all = pair.server.queued_bytes();
        assert_eq!(all, 50_000 + 4 * RECORD_OVERHEAD_BYTES);
        let mut taken = 0;
        while pair.server.queued_bytes() > 0 {
            pair.server.stream.room = room;
            pair.server.is_writable = true;
            pair.server.flush().expect("it is no error");
            taken += room - pair.server.stream.room;
            assert_eq!(pair.server.queued_bytes(), all - taken, "{room}");
            assert_eq!(pair.server.delivery.in_kernel(), taken_before + taken);
            assert_eq!(pair.server.is_blocked(), pair.server.queued_bytes() > 0);
        }
        pair.server.stream.room = usize::MAX;
        pair.server.is_writable = true;
        pair.exchange();
        assert_eq!(pair.said, [7; 50_000]);
        if room == 1 {
            // More is queued while some waits, sealed or not.
            pair.server.stream.room = 100;
            pair.server.queue(&[8; 300]);
            pair.server.flush().expect("it is no error");
            assert_eq!(pair.server.queued_bytes(), 222);
            pair.server.queue(&[9; 300]);
            assert_eq!(pair.server.queued_bytes(), 222 + 322);
        }
    }
}

#[test]
fn what_a_handshake_answers_is_queued_and_counted() {
    let mut pair = Pair::new(&[]);
    pair.server.stream.room = 0;
    pair.client
        .write_tls(&mut pair.server.stream.to_server)
        .expect("it is memory");
    pair.read();
    assert!(pair.answered > 500, "a certificate is longer");
    pair.server.flush().expect("it is no error");
    assert_eq!(pair.server.queued_bytes(), pair.answered);
    assert!(pair.server.is_blocked(), "it stalls like any other");
    // What is said before the handshake is over is sealed after it.
    pair.server.queue(b"news");
    pair.server.stream.room = usize::MAX;
    pair.server.is_writable = true;
    pair.exchange();
    assert_eq!(pair.said, b"news");
}

/// A client that sends its bytes one by one is served like others.
#[test]
fn a_slow_handshake_comes_to_its_end() {
    let mut pair = Pair::new(&[b"voiceapp/1"]);
    while !pair.is_encrypted {
        let mut flight = Vec::new();
        while pair.client.wants_write() {
            pair.client.write_tls(&mut flight).expect("it is memory");
        }
        assert!(!flight.is_empty(), "{:?}", pair.failure);
        for byte in flight {
            pair.server.stream.to_server.push(byte);
            pair.read();
        }
        pair.exchange();
    }
    assert_eq!(pair.failure, None);
}

/// What a whole conversation of a client is, with the server's answers taken by the client.
fn conversation() -> Vec<Vec<u8>> {
    let mut pair = Pair::new(&[]);
    let mut flights = Vec::new();
    for flight in 0..3 {
        if flight == 2 {
            let frame = frame(1, 100);
            pair.write(&frame);
        }
        let mut bytes = Vec::new();
        while pair.client.wants_write() {
            pair.client.write_tls(&mut bytes).expect("it is memory");
        }
        pair.server.stream.to_server.extend(&bytes);
        if !bytes.is_empty() {
            flights.push(bytes);
        }
        pair.exchange();
    }
    assert_eq!(pair.heard.len(), 101);
    flights
}

/// Sends a client's bytes, as far as it gets: all but one bit of it, or none after this place. The keys are
/// another's where the conversation was another's, so that each is held anew, to that place.
fn send_with(touch: impl Fn(usize, &mut Vec<u8>) -> bool) -> Pair {
    let mut pair = Pair::new(&[]);
    let mut sent = 0;
    let mut has_spoken = false;
    loop {
        let mut bytes = Vec::new();
        while pair.client.wants_write() {
            pair.client.write_tls(&mut bytes).expect("it is memory");
        }
        if bytes.is_empty() && !has_spoken && pair.is_encrypted {
            has_spoken = true;
            let frame = frame(1, 100);
            pair.write(&frame);
            continue;
        }
        if bytes.is_empty() {
            return pair;
        }
        let len = bytes.len();
        let is_over = touch(sent, &mut bytes);
        sent += len;
        pair.server.stream.to_server.extend(bytes);
        pair.server.stream.is_finished = is_over;
        pair.read();
        pair.server.flush().expect("it is no error");
        if is_over || pair.failure.is_some() {
            return pair;
        }
        // The client's answers are taken above.
        let came = std::mem::take(&mut pair.server.stream.to_client);
        let mut rest = &came[..];
        while !rest.is_empty() {
            pair.client.read_tls(&mut rest).expect("it is memory");
            if pair.client.process_new_packets().is_err() {
                // It says so, and will hear nothing more.
                break;
            }
        }
    }
}

#[test]
fn a_truncation_anywhere_is_an_end_by_the_peer_and_gives_nothing_that_was_not_whole() {
    let whole: usize = conversation().iter().map(Vec::len).sum();
    for end in 1..whole {
        let pair = send_with(|sent, bytes| {
            let is_over = sent + bytes.len() >= end;
            bytes.truncate(end - sent);
            is_over
        });
        assert!(pair.has_ended, "{end}");
        assert_eq!(pair.failure, None, "{end}");
        assert_eq!(pair.heard, [], "{end}");
    }
}

#[test]
fn of_a_conversation_with_a_changed_bit_nothing_is_heard() {
    let whole: usize = conversation().iter().map(Vec::len).sum();
    let mut survived = 0;
    for place in 1..whole {
        let bit = 1 << (place % 8);
        let pair = send_with(|sent, bytes| {
            if (sent..sent + bytes.len()).contains(&place) {
                bytes[place - sent] ^= bit;
            }
            false
        });
        // With another length, the rest of a record is waited for.
        let is_heard = pair.heard.len() == 101 && pair.failure.is_none();
        assert!(
            is_heard || pair.heard.is_empty(),
            "{place}: {:?}",
            pair.failure
        );
        survived += usize::from(is_heard);
    }
    // Headers have versions that are not to be looked at (RFC 8446, section 5.1), two bytes for each of some records.
    assert!(survived <= 10, "{survived} of {whole}");
}

#[test]
fn a_protocol_or_a_first_letter_of_http_is_found_out() {
    let mut pair = Pair::new(&[b"http/1.1"]);
    pair.exchange();
    assert_eq!(pair.failure, Some(Ended::Http));
    let mut pair = Pair::ready();
    pair.write(b"GET / HTTP/1.1\r\n\r\n");
    pair.exchange();
    assert_eq!(pair.failure, Some(Ended::Http));
    // Only the first letter.
    let mut pair = Pair::ready();
    pair.write(&frame(6, 8));
    pair.write(&frame(b'G', 8));
    pair.exchange();
    assert_eq!((pair.failure, pair.heard.len()), (None, 18));
    let mut pair = Pair::new(&[b"smtp"]);
    pair.exchange();
    assert_eq!(pair.failure, Some(Ended::TlsHandshake));
    assert!(Speech::of(b'G') == Speech::Http && Speech::of(1) == Speech::Frames);
}

#[test]
fn a_handshake_without_end_is_given_up() {
    let mut pair = Pair::new(&[]);
    // A ClientHello of sixty thousand bytes, in records of one.
    let mut hello = vec![1, 0, 0xea, 0x60];
    hello.resize(60_004, 0);
    for byte in hello {
        pair.server
            .stream
            .to_server
            .extend([0x16, 3, 1, 0, 1, byte]);
    }
    let all = pair.server.stream.to_server.len();
    pair.read();
    assert_eq!(pair.failure, Some(Ended::TlsHandshake));
    let read = all - pair.server.stream.to_server.len();
    assert!(
        (HANDSHAKE_BYTES_MAX..=HANDSHAKE_BYTES_MAX + READ_BYTES).contains(&read),
        "{read}"
    );
}

#[test]
fn an_end_is_said_after_all_else_and_heard_as_one() {
    let mut pair = Pair::ready();
    pair.server.queue(b"last words");
    // Not while something is to be said.
    pair.server.finish();
    pair.exchange();
    pair.server.finish();
    pair.exchange();
    assert_eq!(pair.said, b"last words");
    let state = pair
        .client
        .process_new_packets()
        .expect("it is an end in order");
    assert!(state.peer_has_closed());

    let mut pair = Pair::ready();
    pair.write(&frame(1, 5));
    pair.client.send_close_notify();
    pair.exchange();
    assert_eq!((pair.has_ended, pair.heard.len()), (true, 6));
}

#[test]
fn part_of_a_record_counts_as_unhandled() {
    let mut pair = Pair::ready();
    pair.write(&frame(1, 10_000));
    let mut bytes = Vec::new();
    pair.client.write_tls(&mut bytes).expect("it is memory");
    for part in bytes[..9_000].chunks(1_000) {
        pair.server.stream.to_server.extend(part);
        pair.read();
    }
    assert_eq!(pair.server.unhandled_bytes(), 9_000);
    pair.server.stream.to_server.extend(&bytes[9_000..]);
    pair.read();
    assert_eq!(
        (pair.server.unhandled_bytes(), pair.heard.len()),
        (0, 10_001)
    );
}
