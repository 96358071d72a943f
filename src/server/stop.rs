//! The stop in order: what is queued is flushed within a bound, and the connections are closed.

use super::{Server, sockets};
use crate::cause::Ended;
use crate::connection::Stream;
use crate::event::ConnectionId;
use crate::limits::{INBOUND_BYTES_MAX, POLL_EVENTS, STOP_DEADLINE};
use crate::statistics::Statistics;
use mio::Events;
use std::io;
use std::time::Instant;

/// Stops accepting, and offers the kernel what is queued until it has taken all, the time is up, or
/// a further signal demands to stop at once.
pub(super) fn flush(server: &mut Server) {
    let _ = server
        .poll
        .registry()
        .deregister(&mut server.core.door.listener.listener);
    server.core.say_goodbye();
    for connection in server.core.connections.iter_mut() {
        if connection.queued_bytes() > 0 {
            sockets::make_room(&connection.stream, connection.queued_bytes());
            connection.is_writable = true;
        }
    }
    let deadline = Instant::now() + STOP_DEADLINE;
    let mut events = Events::with_capacity(POLL_EVENTS);
    loop {
        let is_waiting = server.core.connections.flush_all();
        let left = deadline.saturating_duration_since(Instant::now());
        if !is_waiting || left.is_zero() {
            return;
        }
        match server.poll.poll(&mut events, Some(left)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            Err(_) => return,
            Ok(()) => {}
        }
        for event in &events {
            let id = ConnectionId(event.token().0 as u32);
            let connection = server.core.connections.get(id);
            if let Some(connection) = connection.filter(|_| event.is_writable()) {
                connection.is_writable = true;
            }
        }
        #[cfg(all(unix, feature = "cli"))]
        if server.take_signals_of_stop() {
            return;
        }
    }
}

/// Closes everything.
pub(super) fn close(mut server: Server) -> Statistics {
    let mut scratch = vec![0; INBOUND_BYTES_MAX];
    for id in server.core.connections.ids() {
        server.core.connections.finish(id);
    }
    for connection in server.core.connections.iter_mut() {
        server.core.counters.count(Ended::ServerStopped);
        connection.stream.finish(&mut scratch);
    }
    server.core.connections.leave_to_kernel();
    server.statistics()
}
