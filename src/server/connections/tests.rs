//! The table of connections, on the kernel's streams.

use super::*;
use crate::limits::HOLD_BACK;
use mio::net::TcpStream;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream as StdStream};

/// Nobody yet, and at most so many bytes queued for each.
fn bounded(outbound_bytes_max: usize) -> Connections<TcpStream> {
    let mut connections = Connections::new(Instant::now(), Limits::default());
    connections.outbound_bytes_max = outbound_bytes_max;
    connections
}

/// A connection, and its client's end.
fn connect(connections: &mut Connections<TcpStream>) -> (ConnectionId, StdStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let address = listener.local_addr().expect("it is bound");
    let client = StdStream::connect(address).expect("it listens");
    let (stream, _) = listener.accept().expect("somebody has connected");
    stream.set_nonblocking(true).expect("it is connected");
    let id = connections.next_id();
    connections.insert(TcpStream::from_std(stream));
    (id, client)
}

#[test]
fn an_end_meant_for_one_never_meets_the_next_in_its_place() {
    let mut connections = bounded(1_000);
    let (first, _client) = connect(&mut connections);
    connections.end(first, Ended::Broken);
    connections.remove(first);
    let (second, _client) = connect(&mut connections);
    assert_eq!(second, first, "the place is used again");
    assert_eq!(connections.next_to_end(), None);

    connections.end(second, Ended::TooSlow);
    connections.end(second, Ended::Broken);
    assert_eq!(connections.next_to_end(), Some(second));
    let ended = connections.remove(second).expect("it is there");
    assert_eq!(ended.ending, Some(Ended::TooSlow), "the first counts");
    assert_eq!(connections.next_to_end(), None);
}

#[test]
fn who_reads_as_fast_as_others_talk_is_not_too_slow() {
    let mut connections = bounded(1_000);
    let (id, mut client) = connect(&mut connections);
    let mut heard = [0; 600];
    // Nobody has flushed yet, and the two together are over the bound.
    for byte in [1, 2, 3] {
        connections.deliver(id, &[byte; 600]);
        assert_eq!(connections.next_to_end(), None);
    }
    for byte in [1, 2] {
        client.read_exact(&mut heard).expect("it was sent");
        assert_eq!(heard, [byte; 600]);
    }
}

#[test]
fn who_does_not_read_is_too_slow_when_the_bound_is_reached() {
    let mut connections = bounded(100_000);
    let (id, _client) = connect(&mut connections);
    let mut queued = 0;
    // The kernel's buffers fill up first.
    while connections.next_to_end().is_none() {
        assert!(queued < 64 * 1_024 * 1_024, "the queue has no end");
        connections.deliver(id, &[0; 10_000]);
        queued += 10_000;
        let connection = connections.get(id).expect("nobody has removed it");
        assert!(connection.queued_bytes() <= 100_000);
    }
    let ending = connections.get(id).and_then(|it| it.ending);
    assert_eq!(ending, Some(Ended::TooSlow));
}

#[test]
fn what_the_end_flushes_is_accounted_for() {
    let mut connections = bounded(100_000);
    let all = [connect(&mut connections), connect(&mut connections)];
    for (id, _) in &all {
        connections.deliver(*id, &[1; 600]);
    }
    assert_eq!(connections.outbound_total(), 1_200);
    assert!(!connections.flush_all(), "the kernel has room for it");
    let waiting = |connections: &mut Connections<TcpStream>, id| {
        let connection = connections.get(id).expect("nobody has removed it");
        (connection.queued_bytes(), connection.outbound_bytes())
    };
    let [one, other] = [0, 1].map(|place| waiting(&mut connections, all[place].0));
    assert_eq!((one.0, other.0), (0, 0));
    assert_eq!(connections.outbound_total(), one.1 + other.1);
    // More than the kernel takes is left, and counted.
    let (id, mut client) = all.into_iter().next().expect("there are two");
    while !connections.flush_all() {
        connections.deliver(id, &[2; 50_000]);
    }
    let left = waiting(&mut connections, id);
    assert!(left.0 > 0, "{left:?}");
    assert_eq!(connections.outbound_total(), left.1 + other.1);
    let reader = std::thread::spawn(move || {
        let mut heard = vec![0; 64 * 1_024];
        while client.read(&mut heard).is_ok_and(|len| len > 0) {}
    });
    while connections.flush_all() {
        // What tells of room is the poll's part.
        connections.note_writable(id);
        std::thread::yield_now();
    }
    // Until its machine has said so, the kernel keeps what was sent.
    while connections.outbound_total() > other.1 {
        connections.note_delivered(id);
        std::thread::yield_now();
    }
    drop(connections);
    reader.join().expect("it reads to the end");
}

#[test]
fn answers_go_before_what_many_are_told_and_few_do_not_wait() {
    let mut connections = bounded(100_000);
    let all: Vec<_> = (0..HELD_BACK_MIN + 2)
        .map(|_| connect(&mut connections))
        .collect();
    for (id, _) in &all {
        connections.announce(*id, b"news");
    }
    let (last, _) = all.last().expect("there are some");
    connections.deliver(*last, b"answer");
    assert_eq!(connections.next_to_flush(), Some(*last));
    assert_eq!(connections.next_to_flush(), None, "more than a few wait");
    connections.now += HOLD_BACK;
    let due = std::iter::from_fn(|| connections.next_to_flush());
    assert_eq!(due.count(), all.len(), "and all of them go when it is time");
    for (id, _) in &all[..HELD_BACK_MIN] {
        connections.flush(*id).expect("somebody is there");
        connections.announce(*id, b"news");
    }
    assert_eq!(
        connections.next_to_flush(),
        Some(all[0].0),
        "few do not wait"
    );
}

#[test]
fn the_more_connections_there_are_the_longer_broadcasts_wait_for_each_other() {
    let mut connections = bounded(100_000);
    let all: Vec<_> = (0..300).map(|_| connect(&mut connections)).collect();
    for (id, _) in &all {
        connections.announce(*id, b"news");
    }
    connections.now += HOLD_BACK;
    assert_eq!(connections.next_to_flush(), None, "300 wait for 6 ms");
    connections.now += Duration::from_millis(1);
    assert_eq!(connections.next_to_flush(), Some(all[0].0));
}
