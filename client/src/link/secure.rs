//! The handshake on a socket: within its time, and with the reason if there is none. A server that
//! speaks in clear is noticed, and is not spoken to in clear.

use super::tls::Handshake;
use super::{ConnectError, Secured, Server};
use crate::event::Event;
use crate::trust::{Fingerprint, Grounds, Kept, Refusal, Trust, Unfit, file};
use std::fmt::{self, Display, Formatter};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use voiceapp_protocol::Packet;

#[cfg(test)]
mod tests;

/// Under the 10 s after which servers close what has not logged in.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(8);
/// What takes longer is reported.
const TOLD_AFTER: Duration = Duration::from_secs(1);
/// How long a server that speaks in clear may take to say so.
const CLEAR_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a handshake has come to nothing.
#[derive(Debug)]
pub enum HandshakeFailure {
    /// The other end has presented this key, and is not to be trusted with it.
    Untrusted(Fingerprint, Unfit),
    /// Anything else.
    Failed(String),
}

impl Display for HandshakeFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeFailure::Untrusted(presented, _) => {
                write!(f, "the key {presented} is not trusted")
            }
            HandshakeFailure::Failed(reason) => f.write_str(reason),
        }
    }
}

/// Shakes hands with the server, and keeps its key where that is due.
pub fn shake_hands(
    tcp: &mut TcpStream,
    server: &Server,
    trust: &Trust,
    say: &mut impl FnMut(String),
) -> Result<Secured, ConnectError> {
    shake_hands_within(HANDSHAKE_TIMEOUT, tcp, server, trust, say)
}

fn shake_hands_within(
    at_most: Duration,
    tcp: &mut TcpStream,
    server: &Server,
    trust: &Trust,
    say: &mut impl FnMut(String),
) -> Result<Secured, ConnectError> {
    let untrusted = |presented, unfit| {
        ConnectError::Untrusted(Box::new(Refusal {
            server: server.to_string(),
            presented,
            unfit,
            file: file::shown(trust.known_servers.as_deref()),
        }))
    };
    let explain = |failure| match failure {
        HandshakeFailure::Untrusted(presented, unfit) => untrusted(presented, unfit),
        HandshakeFailure::Failed(reason) => failed(server, &reason),
    };
    let address = tcp
        .peer_addr()
        .map_err(|error| failed(server, &error.to_string()))?;
    let handshake = Handshake::start(server, address.ip(), trust);
    let mut handshake = handshake.map_err(|reason| failed(server, &reason))?;
    let mut patience = Patience::new(at_most, || {
        say(format!("waiting for the TLS handshake of {address}"));
    });
    converse(tcp, server, &mut handshake, &mut patience, explain)?;
    tcp.set_read_timeout(None)
        .map_err(|error| failed(server, &error.to_string()))?;
    let (tls, encryption, kept) = handshake.finish().map_err(explain)?;
    let mut events = Vec::new();
    if let Some(kept) = kept {
        match (keep(server, trust, kept), encryption.trusted) {
            // A key that nothing but this file vouches for is trusted only if it is kept.
            (Err(reason), Grounds::FirstUse) => {
                return Err(untrusted(encryption.fingerprint, Unfit::NotKept(reason)));
            }
            // Without such a file nothing is expected of it.
            (Err(_), _) if trust.known_servers.is_none() => {}
            (Err(reason), _) => events.push(Event::KeyNotKept {
                file: file::shown(trust.known_servers.as_deref()),
                reason,
            }),
            (Ok(()), Grounds::FirstUse) => events.push(Event::KeyKept {
                server: server.to_string(),
                fingerprint: encryption.fingerprint,
                file: file::shown(trust.known_servers.as_deref()),
            }),
            (Ok(()), _) => {}
        }
    }
    Ok(Secured {
        tls,
        encryption,
        events,
    })
}

fn keep(server: &Server, trust: &Trust, kept: Kept) -> Result<(), String> {
    file::keep(trust.known_servers.as_deref(), &server.place(), kept)
}

/// Passes bytes on, in both directions, until the handshake is over and its end is sent.
fn converse(
    tcp: &mut TcpStream,
    server: &Server,
    handshake: &mut Handshake,
    patience: &mut Patience<impl FnMut()>,
    explain: impl Fn(HandshakeFailure) -> ConnectError,
) -> Result<(), ConnectError> {
    let mut buffer = [0; 4_096];
    let mut hello = Vec::new();
    let mut has_heard = false;
    loop {
        let outbound = handshake.take_outbound();
        if let Err(error) = tcp.write_all(&outbound) {
            return Err(silent(server, has_heard, &error));
        }
        if handshake.is_over() {
            return Ok(());
        }
        if !has_heard {
            hello.extend(outbound);
        }
        let len = match patience.read(tcp, &mut buffer) {
            Ok(0) => return Err(silent(server, has_heard, &ErrorKind::UnexpectedEof.into())),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::TimedOut && !has_heard => {
                return Err(match speaks_in_clear(tcp, &hello) {
                    true => in_clear(server),
                    false => silent(server, has_heard, &error),
                });
            }
            Err(error) => return Err(silent(server, has_heard, &error)),
        };
        if !has_heard && !is_tls(buffer[0]) {
            return Err(in_clear(server));
        }
        has_heard = true;
        if let Err(failure) = handshake.handle_bytes(&buffer[..len]) {
            // An alert explains the failure to the other end.
            let _ = tcp.write_all(&handshake.take_outbound());
            return Err(explain(failure));
        }
    }
}

/// Whether a server begins a record of TLS with this.
fn is_tls(byte: u8) -> bool {
    (20..24).contains(&byte)
}

/// Whether the other end takes what we speak in clear, after it has said nothing to the handshake. A
/// server that does not know TLS takes the hello for a packet, and waits for the rest of it. It gets
/// zeros for that, and a ping, which reveals nothing.
fn speaks_in_clear(tcp: &mut TcpStream, hello: &[u8]) -> bool {
    let [_, high, low, ..] = *hello else {
        return false;
    };
    let packet_len = 3 + usize::from(u16::from_be_bytes([high, low]));
    let mut rest = vec![0; packet_len.saturating_sub(hello.len())];
    let ping = Packet::PingRequest { request_id: 1 };
    let answer = Packet::PingResponse { request_id: 1 }.id();
    let mut first = [0];
    let is_asked = ping.encode(&mut rest).is_ok() && tcp.write_all(&rest).is_ok();
    let mut patience = Patience::new(CLEAR_TIMEOUT, || {});
    is_asked && patience.read(tcp, &mut first).is_ok_and(|len| len > 0) && first[0] == answer
}

fn in_clear(server: &Server) -> ConnectError {
    ConnectError::NotEncrypted(format!(
        "{server} does not speak TLS, so nothing was sent. --plain connects in clear: anybody on the \
         way can read and hear that then"
    ))
}

fn failed(server: &Server, reason: &str) -> ConnectError {
    ConnectError::Unreachable(format!("the TLS handshake with {server} failed: {reason}"))
}

fn silent(server: &Server, has_heard: bool, error: &io::Error) -> ConnectError {
    let reason = match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "it does not answer",
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            "it closes the connection"
        }
        _ => return failed(server, &error.to_string()),
    };
    if has_heard {
        return failed(server, reason);
    }
    let advice = "it turns us away, or does not speak TLS (then --plain connects in clear)";
    failed(server, &format!("{reason}: {advice}"))
}

/// How long to wait for all that comes, and what to do when that takes long.
struct Patience<F: FnMut()> {
    tell_at: Option<Instant>,
    end_at: Instant,
    tell: F,
}

impl<F: FnMut()> Patience<F> {
    fn new(at_most: Duration, tell: F) -> Self {
        let now = Instant::now();
        Patience {
            tell_at: Some(now + TOLD_AFTER),
            end_at: now + at_most,
            tell,
        }
    }

    /// Reads what comes in time. Many small pieces get no more of it than a large one.
    fn read(&mut self, tcp: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let now = Instant::now();
            if self.tell_at.is_some_and(|at| now >= at) {
                self.tell_at = None;
                (self.tell)();
            }
            let until = self.tell_at.map_or(self.end_at, |at| at.min(self.end_at));
            let wait = until.saturating_duration_since(now);
            if wait.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            tcp.set_read_timeout(Some(wait))?;
            match tcp.read(buffer) {
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                read => return read,
            }
        }
    }
}
