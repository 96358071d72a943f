//! Connecting to a host that may have many addresses, not all of which need work: they are tried
//! side by side, each with a head start over the next, as in RFC 8305, so that an address that
//! swallows everything costs only a moment.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// Before the next address is tried, if the one before it has not failed earlier.
const HEAD_START: Duration = Duration::from_millis(250);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What takes longer is reported.
const TOLD_AFTER: Duration = Duration::from_secs(1);

/// Connects to the first address that answers. If that takes long, `say` receives once what is
/// being done.
pub fn connect(host: &str, port: u16, mut say: impl FnMut(String)) -> Result<TcpStream, String> {
    let start = Instant::now();
    let addresses = look_up(host, port, start, &mut say)?;
    let dial = |address: &SocketAddr| TcpStream::connect_timeout(address, CONNECT_TIMEOUT);
    race(addresses, start, Arc::new(dial), &mut say)
}

/// In a thread of its own, as the system can take its time for it.
fn look_up(
    host: &str,
    port: u16,
    start: Instant,
    say: &mut impl FnMut(String),
) -> Result<Vec<SocketAddr>, String> {
    let (sender, receiver) = channel();
    let owned = host.to_owned();
    thread::spawn(move || {
        let addresses = (owned.as_str(), port).to_socket_addrs();
        let _ = sender.send(addresses.map(Iterator::collect));
    });
    let found: io::Result<Vec<SocketAddr>> = receive(&receiver, start + TOLD_AFTER, || {
        say(format!("looking for the address of {host}"));
    });
    let mut addresses = found.map_err(|error| format!("cannot find {host}: {error}"))?;
    if addresses.is_empty() {
        return Err(format!("{host} has no address"));
    }
    take_turns(&mut addresses);
    Ok(addresses)
}

/// Waits for a message, and calls `on_late` if it has not come by then.
fn receive<T>(from: &Receiver<T>, by: Instant, on_late: impl FnOnce()) -> T {
    let wait = by.saturating_duration_since(Instant::now());
    let received = match from.recv_timeout(wait) {
        Err(RecvTimeoutError::Timeout) => {
            on_late();
            from.recv().ok()
        }
        received => received.ok(),
    };
    received.expect("who sends does so before it ends")
}

/// Puts the families in turns, beginning with that of the first: one of them may not work at all.
fn take_turns(addresses: &mut Vec<SocketAddr>) {
    let is_first_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let all = std::mem::take(addresses);
    let (first, second): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|address| address.is_ipv6() == is_first_ipv6);
    let mut second = second.into_iter();
    for address in first {
        addresses.push(address);
        addresses.extend(second.next());
    }
    addresses.extend(second);
}

type Outcome<T> = (SocketAddr, io::Result<T>);
type Dial<T> = dyn Fn(&SocketAddr) -> io::Result<T> + Send + Sync;

/// Dials one address after the other, each at most a head start after the one before, and returns
/// the result of the first that answers.
fn race<T: Send + 'static>(
    addresses: Vec<SocketAddr>,
    start: Instant,
    dial: Arc<Dial<T>>,
    say: &mut impl FnMut(String),
) -> Result<T, String> {
    let (sender, outcomes): (Sender<Outcome<T>>, _) = channel();
    let mut untried = addresses.into_iter();
    let mut trying = Vec::new();
    let mut failures = Vec::new();
    let mut next_at = Instant::now();
    let mut tell_at = Some(start + TOLD_AFTER);
    loop {
        let now = Instant::now();
        if now >= next_at {
            if let Some(address) = untried.next() {
                trying.push(address);
                next_at = now + HEAD_START;
                let (sender, dial) = (sender.clone(), dial.clone());
                thread::spawn(move || {
                    // Nothing may wait for it any more.
                    let _ = sender.send((address, dial(&address)));
                });
            } else if trying.is_empty() {
                return Err(failures.join(", "));
            }
        }
        if tell_at.is_some_and(|at| now >= at) {
            tell_at = None;
            let trying: Vec<String> = trying.iter().map(SocketAddr::to_string).collect();
            say(format!("trying to connect to {}", trying.join(" and ")));
        }
        let next_at_if_any = (untried.len() > 0 || trying.is_empty()).then_some(next_at);
        let wake_at = next_at_if_any.into_iter().chain(tell_at).min();
        let wait = wake_at.map_or(CONNECT_TIMEOUT, |at| at.saturating_duration_since(now));
        match outcomes.recv_timeout(wait) {
            Ok((_, Ok(connection))) => return Ok(connection),
            Ok((address, Err(error))) => {
                trying.retain(|it| *it != address);
                failures.push(explain(&address, &error));
                // An address that has failed needs no head start.
                next_at = Instant::now();
            }
            Err(_) => {}
        }
    }
}

fn explain(address: &SocketAddr, error: &io::Error) -> String {
    let advice = match address {
        SocketAddr::V6(it) if it.ip().is_unicast_link_local() && it.scope_id() == 0 => {
            let ip = it.ip();
            format!(": it is a link-local address, which needs its interface, as in {ip}%eth0")
        }
        _ => String::new(),
    };
    format!("cannot connect to {address}: {error}{advice}")
}
