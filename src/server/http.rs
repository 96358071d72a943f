//! The metrics port: a few exchanges over HTTP at a time, each of one small request and one answer,
//! after everything else in a turn.
//!
//! It is for the machine's own collector, and everything is bounded: exchanges, the length of a
//! request, and the time that each may take.

use super::spare::{self, Spare};
use crate::limits::{HTTP_DEADLINE, HTTP_EXCHANGES_MAX, HTTP_REQUEST_BYTES_MAX};
use crate::metrics;
use crate::statistics::Statistics;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};
use std::time::Instant;

/// The tokens of this port: the listener's, and the exchanges' from there downwards.
pub(super) const TOKENS: std::ops::RangeInclusive<usize> = LISTENER - HTTP_EXCHANGES_MAX..=LISTENER;
const LISTENER: usize = usize::MAX - 15;

/// The port and its exchanges.
pub(super) struct HttpPort {
    listener: TcpListener,
    registry: Registry,
    places: [Place; HTTP_EXCHANGES_MAX],
    /// Whether something has become ready since the last attendance.
    pub(super) is_ready: bool,
}

/// Room for one exchange, with a descriptor of its own, so that an operator gets in when clients
/// have taken all others.
struct Place {
    exchange: Option<Exchange>,
    spare: Spare,
}

/// One connection: a request, then its answer.
struct Exchange {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    written: usize,
    deadline: Instant,
}

/// Whether an exchange continues.
#[derive(PartialEq, Eq)]
enum Progress {
    Waits,
    Done,
}

impl HttpPort {
    /// Takes over a bound, non-blocking listener.
    pub(super) fn new(listener: std::net::TcpListener, registry: &Registry) -> io::Result<Self> {
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, Token(LISTENER), Interest::READABLE)?;
        Ok(HttpPort {
            listener,
            registry: registry.try_clone()?,
            places: std::array::from_fn(|_| Place {
                exchange: None,
                spare: Spare::new(),
            }),
            is_ready: true,
        })
    }

    /// When the next exchange times out.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let exchanges = self.places.iter().flat_map(|place| &place.exchange);
        exchanges.map(|exchange| exchange.deadline).min()
    }

    /// Continues every exchange as far as possible without waiting, and closes those that have
    /// timed out. A collector that finds no place waits in the kernel's queue until there is one.
    pub(super) fn attend(&mut self, now: Instant, mut statistics: impl FnMut() -> Statistics) {
        self.is_ready = false;
        for place in &mut self.places {
            place.exchange = place.exchange.take().and_then(|mut running| {
                let is_over = running.deadline <= now
                    || running.go_on(&mut statistics).unwrap_or(Progress::Done) == Progress::Done;
                (!is_over).then_some(running)
            });
            if place.exchange.is_none() {
                place.spare.refill();
            }
        }
        let free = self.places.iter_mut().enumerate();
        for (number, place) in free.filter(|(_, place)| place.exchange.is_none()) {
            let mut accepted = self.listener.accept();
            if accepted.as_ref().is_err_and(spare::are_used_up) {
                place.spare.release();
                accepted = self.listener.accept();
            }
            // Where nothing waits, or accepting fails for now, the next event is soon enough.
            let Ok((mut stream, _)) = accepted else {
                place.spare.refill();
                return;
            };
            let token = Token(LISTENER - 1 - number);
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.registry.register(&mut stream, token, interest).is_ok() {
                place.exchange = Some(Exchange {
                    stream,
                    request: Vec::new(),
                    answer: Vec::new(),
                    written: 0,
                    deadline: now + HTTP_DEADLINE,
                });
                // What came with it is read in the next turn.
                self.is_ready = true;
            }
        }
    }
}

impl Exchange {
    fn go_on(&mut self, statistics: &mut impl FnMut() -> Statistics) -> io::Result<Progress> {
        while self.answer.is_empty() {
            let mut piece = [0; 1_024];
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(Progress::Done),
                Ok(len) => self.request.extend_from_slice(&piece[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Waits);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.answer = answer(&self.request, &mut *statistics).unwrap_or_default();
        }
        while self.written < self.answer.len() {
            match self.stream.write(&self.answer[self.written..]) {
                Ok(0) => return Ok(Progress::Done),
                Ok(len) => self.written += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Waits);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.stream.shutdown(std::net::Shutdown::Write)?;
        Ok(Progress::Done)
    }
}

/// The answer to a request, once all of its head is there.
fn answer(request: &[u8], statistics: impl FnOnce() -> Statistics) -> Option<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut headers);
    const PLAIN: &str = "text/plain; charset=utf-8";
    let (status, media_type, body) = match head.parse(request) {
        Ok(httparse::Status::Partial) if request.len() <= HTTP_REQUEST_BYTES_MAX => return None,
        Ok(httparse::Status::Partial) => (
            "431 Request Header Fields Too Large",
            PLAIN,
            "too long\n".into(),
        ),
        Err(_) => ("400 Bad Request", PLAIN, "not HTTP\n".into()),
        Ok(httparse::Status::Complete(_)) => {
            let path = head.path.unwrap_or_default();
            let path = path.split('?').next().unwrap_or_default();
            match (head.method, path) {
                (Some("GET" | "HEAD"), "/metrics") => (
                    "200 OK",
                    metrics::CONTENT_TYPE,
                    metrics::render(&statistics()),
                ),
                (Some("GET" | "HEAD"), "/healthz") => ("200 OK", PLAIN, "ok\n".into()),
                (Some("GET" | "HEAD"), _) => {
                    let there = "there are /metrics and /healthz\n";
                    ("404 Not Found", PLAIN, there.into())
                }
                _ => ("405 Method Not Allowed", PLAIN, "GET or HEAD\n".into()),
            }
        }
    };
    let allow = match status.starts_with("405") {
        true => "Allow: GET, HEAD\r\n",
        false => "",
    };
    let len = body.len();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len}\r\n{allow}\
         Connection: close\r\n\r\n"
    );
    if head.method != Some("HEAD") {
        answer += &body;
    }
    Some(answer.into_bytes())
}
