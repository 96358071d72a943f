//! What the simulator cannot see: whose time to log in is over is heard before it is judged, and how
//! voice and TCP share a turn.

use super::*;
use crate::connection::delivery::Contact;
use crate::connection::wire::TlsStep;
use crate::protocol::Packet;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;

/// What a client has written, for the server to read.
#[derive(Clone, Default)]
struct Written(Rc<RefCell<VecDeque<u8>>>);

impl Read for Written {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.borrow_mut().read(into) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            result => result,
        }
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Written {
    fn unacknowledged(&self) -> Option<usize> {
        None
    }

    fn contact(&self) -> Option<Contact> {
        None
    }

    fn finish(&mut self, _scratch: &mut [u8]) {}

    fn bequeath(&self, _time: Duration) {}
}

/// Those who wait to be taken in.
struct Waiting(VecDeque<Written>);

impl Listener for Waiting {
    type Stream = Written;

    fn accept(&mut self) -> io::Result<(Written, SocketAddr)> {
        let stream = self.0.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        Ok((stream, ([192, 0, 2, 1], 1_000).into()))
    }

    fn refuse(&mut self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn draw_token(&mut self) -> Option<VoiceToken> {
        Some(VoiceToken(7))
    }

    fn register(&mut self, _id: ConnectionId, _stream: &mut Written) -> io::Result<()> {
        Ok(())
    }
}

struct Silence;

impl Voice for Silence {
    fn poll(&mut self, _now: Now, _switchboard: &mut Switchboard) -> usize {
        0
    }

    fn is_ready(&self) -> bool {
        false
    }
}

#[test]
fn a_login_that_has_arrived_in_time_counts_though_nobody_has_looked() {
    let (instant, limits) = (Instant::now(), Limits::default());
    let now = Now {
        instant,
        unix_ms: 0,
    };
    let clients = [Written::default(), Written::default()];
    let waiting = Waiting(clients.clone().into());
    let mut core = Core::new(now, limits, HashKey(1, 2), waiting, Silence);
    core.door.is_ready = true;
    core.turn(now);
    assert_eq!(core.switchboard.management().pending_count(), 2);

    let mut login = Vec::new();
    let packet = Packet::LoginRequest {
        request_id: 1,
        username: "alice",
        asked: None,
    };
    packet.encode(&mut login).expect("it fits");
    clients[1].0.borrow_mut().extend(login);
    let instant = instant + limits.login_timeout;
    for _ in 0..2 {
        core.turn(Now {
            instant,
            unix_ms: 0,
        });
    }
    let management = core.switchboard.management();
    assert_eq!(
        (management.user_count(), management.pending_count()),
        (1, 0)
    );
    let counters = core.switchboard.counters();
    assert_eq!(counters.get(Ended::LoginDeadline), 1, "the silent one");
}

/// Voice that counts how often it is looked at, and has always so much to do.
#[derive(Default)]
struct Counted {
    looks: usize,
    work: usize,
    is_ready: bool,
}

impl Voice for Counted {
    fn poll(&mut self, _now: Now, _switchboard: &mut Switchboard) -> usize {
        self.looks += 1;
        self.work
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }
}

/// Does units of work on TCP, each of which copies so many bytes, until the stage is over. Returns how many
/// units that were, and how often voice was looked at.
fn stage(voice: Counted, copied: usize) -> (usize, usize) {
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let waiting = Waiting(VecDeque::new());
    let mut core = Core::new(now, Limits::default(), HashKey(1, 2), waiting, voice);
    core.begin_stage();
    let mut units = 0;
    while !core.is_stage_over() {
        core.connections.copying_cost = copied;
        core.worked();
        units += 1;
    }
    (units, core.voice.looks)
}

#[test]
fn voice_is_looked_at_between_small_pieces_of_other_work() {
    let quiet = Counted::default();
    let looks = WORK_PER_STAGE / WORK_BETWEEN_VOICE;
    assert_eq!(stage(quiet, 0), (WORK_PER_STAGE, looks));
    // Copying is work as well: four units in each piece.
    let units = WORK_PER_STAGE / 4;
    assert_eq!(
        stage(Counted::default(), 3 * WORK_UNIT_BYTES),
        (units, units)
    );
}

/// While more voice waits than a look sends, others get a share that is worth the name, and a turn has an
/// end all the same.
#[test]
fn under_more_voice_than_can_go_out_other_work_goes_on_and_the_turn_ends() {
    let busy = Counted {
        work: 128,
        is_ready: true,
        ..Counted::default()
    };
    // Three looks and 96 units are 480 of 512.
    assert_eq!(stage(busy, 0), (96 + 32, 4));
}

/// Twenty handshakes begin at once while voice has always something: a turn takes eight steps, polls voice after
/// each, and comes back to the others.
#[cfg(feature = "encryption")]
#[test]
fn a_turn_takes_a_share_of_the_handshakes_and_polls_voice_after_each() {
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let clients: [_; 20] = std::array::from_fn(|_| Written::default());
    let voice = Counted {
        is_ready: true,
        ..Counted::default()
    };
    let waiting = Waiting(clients.clone().into());
    let mut core = Core::new(now, Limits::default(), HashKey(1, 2), waiting, voice);
    core.acceptor = Some(crate::tls::tests::acceptor().clone());
    core.door.is_ready = true;
    core.turn(now);
    let mut hello = Vec::new();
    let mut client = crate::tls::tests::client(&[]);
    client.write_tls(&mut hello).expect("it is memory");
    let ids = core.connections.ids();
    for (id, client) in ids.iter().zip(&clients) {
        client.0.borrow_mut().extend(&hello);
        core.connections.want_read(*id);
    }
    for answered in [8, 16, 20, 20] {
        let before = core.voice.looks;
        core.turn(now);
        let connections = core.connections.iter_mut();
        let count = connections.filter(|it| it.outbound_bytes() > 0).count();
        assert_eq!(count, answered);
        let steps = if answered == 20 { 0 } else { 8 };
        assert!(core.voice.looks > before + steps, "{answered}");
    }
    assert!(!core.connections.has_work(), "nothing is asked for again");
}

#[test]
fn a_flood_of_short_records_is_work() {
    let now = Now {
        instant: Instant::now(),
        unix_ms: 0,
    };
    let waiting = Waiting(VecDeque::new());
    let voice = Counted::default();
    let mut core = Core::new(now, Limits::default(), HashKey(1, 2), waiting, voice);
    let step = TlsStep {
        received: 4_000,
        records: 160,
        ..TlsStep::default()
    };
    core.note_step(ConnectionId(0), step);
    assert_eq!(core.connections.copying_cost, 4_000 + 10 * WORK_UNIT_BYTES);
}
