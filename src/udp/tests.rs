//! The voice socket on loopback, with each body that this system has.

use super::*;
use crate::event::canonical;
use crate::limits::DATAGRAM_SLOT_BYTES;
use crate::limits::DATAGRAMS_PER_BATCH;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::time::Duration;

const WAYS: &[UdpSend] = if cfg!(target_os = "linux") {
    &[UdpSend::Coalesce, UdpSend::Batch, UdpSend::Plain]
} else {
    &[UdpSend::Plain]
};

/// The loopback addresses of the families that this machine has.
fn loopbacks() -> Vec<IpAddr> {
    let all = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let is_there = |ip: &IpAddr| StdSocket::bind((*ip, 0)).is_ok();
    all.into_iter().filter(is_there).collect()
}

fn bind(ip: IpAddr, way: UdpSend) -> (VoiceSocket, u16) {
    let socket = StdSocket::bind((ip, 0)).expect("loopback has free ports");
    socket.set_nonblocking(true).expect("it is a socket");
    let port = socket.local_addr().expect("it is bound").port();
    (
        VoiceSocket::new(socket, way, true).expect("it is usable"),
        port,
    )
}

/// Listeners whose "seal" is 31 bytes with their place in front of a frame. One who is worn out seals
/// nothing.
struct FakeSeals {
    paths: Vec<UdpPath>,
    worn_out: Option<usize>,
    sealed: usize,
}

fn fake_seals(clients: &[StdSocket]) -> FakeSeals {
    FakeSeals {
        paths: clients.iter().map(path_of).collect(),
        worn_out: None,
        sealed: 0,
    }
}

fn nobody() -> FakeSeals {
    fake_seals(&[])
}

impl Seals for FakeSeals {
    fn paths(&self) -> &[UdpPath] {
        &self.paths
    }

    fn seal(&mut self, place: usize, frame: &[u8], datagram: &mut [u8]) -> bool {
        self.sealed += 1;
        let end = 31 + frame.len();
        datagram[..31].fill(0xf0 | place as u8);
        datagram[31..end].copy_from_slice(frame);
        datagram[end..].fill(0);
        self.worn_out != Some(place)
    }
}

/// Room for two batches.
fn slots() -> Slots {
    Slots::new(2 * DATAGRAMS_PER_BATCH)
}

fn client(ip: IpAddr) -> StdSocket {
    let client = StdSocket::bind((ip, 0)).expect("loopback has free ports");
    let patience = Some(Duration::from_secs(20));
    client.set_read_timeout(patience).expect("it is not zero");
    client
}

fn path_of(client: &StdSocket) -> UdpPath {
    UdpPath {
        remote: client.local_addr().expect("it is bound"),
        local: None,
    }
}

/// Receives until `count` datagrams have come, and returns copies.
fn receive(voice: &mut VoiceSocket, count: usize) -> Vec<(UdpPath, Vec<u8>)> {
    let (mut slots, mut all) = (slots(), Vec::new());
    while all.len() < count {
        voice.receive(&mut slots);
        for slot in slots.fresh().to_vec() {
            let (received, bytes) = slots.look(slot);
            all.push((received.path, bytes.to_vec()));
            slots.release(slot);
        }
        std::thread::yield_now();
    }
    all
}

/// Receives once, and says how many came.
#[cfg(target_os = "linux")]
fn receive_some(voice: &mut VoiceSocket) -> usize {
    let mut slots = slots();
    voice.receive(&mut slots);
    slots.fresh().len()
}

fn frame(bytes: &[u8], sender: usize) -> Queued<'_> {
    Queued {
        frame: bytes,
        sender,
        sealed_sender: Queued::NOWHERE,
        arrived_ns: None,
    }
}

fn heard(client: &StdSocket) -> Vec<u8> {
    let mut bytes = [0; 4_096];
    let len = client.recv(&mut bytes).expect("a datagram comes in time");
    bytes[..len].to_vec()
}

#[test]
fn datagrams_of_both_families_arrive_whole_with_their_sources() {
    for &way in WAYS {
        for ip in loopbacks() {
            let (mut voice, port) = bind(ip, way);
            let client = client(ip);
            let sent: Vec<Vec<u8>> = vec![vec![], vec![1], vec![2; 1_419], vec![3; 200]];
            for datagram in &sent {
                client.send_to(datagram, (ip, port)).expect("it is sent");
            }
            let received = receive(&mut voice, sent.len());
            for ((path, bytes), sent) in received.iter().zip(&sent) {
                assert_eq!(bytes, sent);
                assert_eq!(path.remote, path_of(&client).remote);
                assert_eq!(path.local, None, "there is only one");
            }
            assert_eq!(voice.traffic().datagrams_received, sent.len() as u64);
            let bytes: usize = sent.iter().map(Vec::len).sum();
            assert_eq!(voice.traffic().bytes_received, bytes as u64);
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn on_every_address_it_is_told_which_one_was_dialled() {
    for way in [UdpSend::Coalesce, UdpSend::Batch] {
        for ip in loopbacks() {
            let every: IpAddr = match ip {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let (mut voice, port) = bind(every, way);
            let client = client(ip);
            client.send_to(b"frame", (ip, port)).expect("it is sent");
            let (path, _) = receive(&mut voice, 1)[0].clone();
            assert_eq!(path.remote, path_of(&client).remote);
            assert_eq!(path.local, Some(ip));
        }
    }
}

#[test]
fn a_datagram_over_the_slot_is_cut_to_it_and_counts_as_it_came() {
    for &way in WAYS {
        let ip = Ipv4Addr::LOCALHOST.into();
        let (mut voice, port) = bind(ip, way);
        let client = client(ip);
        client
            .send_to(&[7; 65_507], (ip, port))
            .expect("it is sent");
        let received = receive(&mut voice, 1);
        assert_eq!(received[0].1, vec![7; DATAGRAM_SLOT_BYTES]);
        let counted = match way {
            UdpSend::Plain => DATAGRAM_SLOT_BYTES,
            _ => 65_507,
        };
        assert_eq!(voice.traffic().bytes_received, counted as u64);
    }
}

#[test]
fn more_than_one_batch_is_received_in_order() {
    for &way in WAYS {
        let ip = Ipv4Addr::LOCALHOST.into();
        let (mut voice, port) = bind(ip, way);
        let client = client(ip);
        let total = DATAGRAMS_PER_BATCH + 10;
        for number in 0..total {
            client
                .send_to(&[number as u8], (ip, port))
                .expect("it is sent");
        }
        let received = receive(&mut voice, total);
        let numbers: Vec<usize> = received.iter().map(|(_, bytes)| bytes[0].into()).collect();
        assert_eq!(numbers, (0..total).collect::<Vec<_>>());
    }
}

#[test]
fn every_listener_but_the_sender_gets_every_frame() {
    for &way in WAYS {
        let ip = Ipv4Addr::LOCALHOST.into();
        let (mut voice, _) = bind(ip, way);
        let clients: Vec<StdSocket> = (0..100).map(|_| client(ip)).collect();
        let listeners: Vec<UdpPath> = clients.iter().map(path_of).collect();
        let frames = [frame(b"from the first", 0), frame(b"from the last", 99)];
        voice.send(&frames, &listeners, &mut nobody());
        voice.send(
            &[frame(b"to the first alone", 1)],
            &listeners[..2],
            &mut nobody(),
        );
        assert_eq!(heard(&clients[0]), b"from the last");
        assert_eq!(heard(&clients[0]), b"to the first alone");
        assert_eq!(heard(&clients[99]), b"from the first");
        for client in &clients[1..99] {
            assert_eq!(heard(client), b"from the first");
            assert_eq!(heard(client), b"from the last");
        }
        assert_eq!(voice.traffic().datagrams_sent, 199);
        assert_eq!(voice.traffic().bytes_sent, 98 * (14 + 13) + 14 + 13 + 18);
    }
}

#[test]
fn a_destination_that_fails_harms_no_other() {
    for &way in WAYS {
        let ip = Ipv4Addr::LOCALHOST.into();
        let (mut voice, _) = bind(ip, way);
        let clients = [client(ip), client(ip), client(ip)];
        let mut listeners: Vec<UdpPath> = clients.iter().map(path_of).collect();
        // Port 0 cannot be sent to, and a socket for IPv4 cannot send to IPv6.
        listeners[1].remote.set_port(0);
        listeners.insert(
            2,
            UdpPath {
                remote: (Ipv6Addr::LOCALHOST, 9).into(),
                local: None,
            },
        );
        voice.send(&[frame(b"frame", 0)], &listeners, &mut nobody());
        assert_eq!(heard(&clients[2]), b"frame");
        assert_eq!(voice.traffic().datagrams_sent, 1);
        assert_eq!(voice.traffic().counters.get(UdpFailed::Send), 2);
    }
}

#[test]
fn a_socket_for_both_families_speaks_to_each_from_the_address_it_was_spoken_to() {
    for &way in WAYS {
        let mut addresses = loopbacks();
        let (mut voice, port) = bind(
            match addresses.len() {
                1 => Ipv4Addr::UNSPECIFIED.into(),
                _ => Ipv6Addr::UNSPECIFIED.into(),
            },
            way,
        );
        // On Linux, all of 127.0.0.0/8 is the machine itself.
        if way != UdpSend::Plain {
            addresses.push(Ipv4Addr::new(127, 0, 0, 7).into());
        }
        for ip in addresses {
            let client = client(match ip {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
            // A connected socket hears nothing from any other address.
            client.connect((ip, port)).expect("the address exists");
            client.send(b"question").expect("it is sent");
            let (path, bytes) = receive(&mut voice, 1).remove(0);
            assert_eq!(bytes, b"question");
            assert_eq!(path.remote, path_of(&client).remote);
            voice.answer(&[1; 12], &path);
            voice.send(&[frame(b"frame", 1)], &[path, path], &mut nobody());
            assert_eq!(heard(&client), [1; 12]);
            assert_eq!(heard(&client), b"frame");
        }
    }
}

#[test]
fn an_address_has_one_form() {
    for (seen, expected) in [
        ("[::ffff:192.0.2.1]:9", "192.0.2.1:9"),
        ("192.0.2.1:9", "192.0.2.1:9"),
        ("[2001:db8::1]:9", "[2001:db8::1]:9"),
        ("[::1]:9", "[::1]:9"),
    ] {
        let seen: SocketAddr = seen.parse().expect("it is an address");
        assert_eq!(canonical(seen).to_string(), expected);
    }
}

/// What each of three listeners hears when two of them speak at once, and one of them twice.
#[cfg(target_os = "linux")]
fn speak_at_once(voice: &mut VoiceSocket, clients: &[StdSocket; 3]) -> [Vec<Vec<u8>>; 3] {
    let listeners: Vec<UdpPath> = clients.iter().map(path_of).collect();
    let frames = [
        frame(&[1; 100], 0),
        frame(&[2; 150], 1),
        frame(&[3; 120], 0),
        frame(&[4; 1_400], 1),
    ];
    voice.send(&frames, &listeners, &mut nobody());
    let mut heard_by = [(0, 2), (1, 2), (2, 4)].map(|(listener, count)| {
        let all = (0..count).map(|_| heard(&clients[listener]));
        all.collect::<Vec<_>>()
    });
    // Padding is the way of sending's own matter, if it is zeros.
    for datagram in heard_by.iter_mut().flatten() {
        let len = [100, 150, 120, 1_400][usize::from(datagram[0]) - 1];
        assert!(datagram[len..].iter().all(|byte| *byte == 0));
        assert!(datagram.len() <= 150 || datagram.len() == len);
        datagram.truncate(len);
    }
    heard_by
}

/// What two plain and three sealed listeners hear when a plain one speaks once and a sealed one twice, with
/// the padding cut off.
fn speak_in_a_mixed_room(
    voice: &mut VoiceSocket,
    plain: &[StdSocket; 2],
    sealed: &[StdSocket; 3],
) -> Vec<Vec<Vec<u8>>> {
    let paths: Vec<UdpPath> = plain.iter().map(path_of).collect();
    let of_sealed = |bytes, sealed_sender| Queued {
        sender: Queued::NOWHERE,
        sealed_sender,
        ..frame(bytes, 0)
    };
    let frames = [
        frame(&[1; 100], 0),
        of_sealed(&[2; 150], 1),
        of_sealed(&[3; 120], 1),
        of_sealed(&[4; 1_400], Queued::NOWHERE),
    ];
    voice.send(&frames, &paths, &mut fake_seals(sealed));
    let counts = [3, 4, 4, 2, 4];
    let all = plain.iter().chain(sealed).zip(counts).enumerate();
    all.map(|(number, (listener, count))| {
        let heard = (0..count).map(|_| heard(listener)).map(|mut datagram| {
            if let Some(place) = number.checked_sub(2) {
                assert_eq!(datagram[..31], [0xf0 | place as u8; 31]);
                assert!(datagram.len() <= 31 + 1_400);
                datagram.drain(..31);
            }
            let len = [100, 150, 120, 1_400][usize::from(datagram[0]) - 1];
            assert!(datagram[len..].iter().all(|byte| *byte == 0));
            datagram.truncate(len);
            datagram
        });
        heard.collect()
    })
    .collect()
}

#[test]
fn in_a_mixed_room_each_gets_every_frame_but_the_own_in_the_own_form() {
    for &way in WAYS {
        let ip = Ipv4Addr::LOCALHOST.into();
        let (mut voice, _) = bind(ip, way);
        let plain = [client(ip), client(ip)];
        let sealed = [client(ip), client(ip), client(ip)];
        #[cfg(target_os = "linux")]
        if way == UdpSend::Batch {
            // Those that are refused together are sent apart.
            (voice, _) = bind(ip, UdpSend::Coalesce);
            linux::refuse_segments(&voice.socket);
        }
        for _ in 0..3 {
            let mut heard = speak_in_a_mixed_room(&mut voice, &plain, &sealed);
            let (one, four) = (vec![1; 100], vec![4; 1_400]);
            let two_three = [vec![2; 150], vec![3; 120]];
            let all = [&[one.clone()][..], &two_three, std::slice::from_ref(&four)].concat();
            assert_eq!(heard.pop(), Some(all.clone()), "{way:?}");
            assert_eq!(heard.pop(), Some(vec![one, four]), "{way:?}");
            assert_eq!(heard.pop(), Some(all.clone()), "{way:?}");
            assert_eq!(heard.pop(), Some(all.clone()), "{way:?}");
            assert_eq!(heard.pop(), Some(all[1..].to_vec()), "{way:?}");
        }
        assert_eq!(voice.traffic().datagrams_sent, 3 * 17);
        assert_eq!(voice.traffic().counters, Counters::new());
    }
}

/// More than what one call takes, in messages of many datagrams.
#[test]
fn a_full_sealed_room_gets_all_in_order_and_who_is_worn_out_harms_no_other() {
    for &way in WAYS {
        let ip = Ipv4Addr::LOCALHOST.into();
        let (mut voice, _) = bind(ip, way);
        let clients: Vec<StdSocket> = (0..30).map(|_| client(ip)).collect();
        let bytes: Vec<Vec<u8>> = (0..60).map(|number| vec![number; 300]).collect();
        let frames: Vec<_> = bytes.iter().map(|bytes| frame(bytes, 9)).collect();
        let mut seals = fake_seals(&clients);
        seals.worn_out = Some(7);
        voice.send(&frames, &[], &mut seals);
        for (place, client) in clients.iter().enumerate().filter(|&(place, _)| place != 7) {
            for number in 0..60 {
                let expected = [vec![0xf0 | place as u8; 31], vec![number; 300]].concat();
                assert_eq!(heard(client), expected, "{way:?}");
            }
        }
        assert_eq!(seals.sealed, 30 * 60);
        assert_eq!(voice.traffic().datagrams_sent, 29 * 60);
        assert_eq!(
            voice.traffic().counters.get(crate::Cause::SealExhausted),
            60
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_sent_together_is_what_is_sent_apart() {
    let ip = Ipv4Addr::LOCALHOST.into();
    let clients = [client(ip), client(ip), client(ip)];
    let apart = speak_at_once(&mut bind(ip, UdpSend::Plain).0, &clients);
    assert_eq!(apart[0], [vec![2; 150], vec![4; 1_400]]);
    assert_eq!(apart[1], [vec![1; 100], vec![3; 120]]);
    let (mut voice, _) = bind(ip, UdpSend::Coalesce);
    assert_eq!(speak_at_once(&mut voice, &clients), apart);
    assert_eq!(voice.traffic().datagrams_sent, 8);
}

/// A socket that sends without checksums is refused segments, as a device without the means would.
#[cfg(target_os = "linux")]
#[test]
fn where_segments_are_refused_nothing_is_lost() {
    let ip = Ipv4Addr::LOCALHOST.into();
    let clients = [client(ip), client(ip), client(ip)];
    let apart = speak_at_once(&mut bind(ip, UdpSend::Plain).0, &clients);
    let (mut voice, _) = bind(ip, UdpSend::Coalesce);
    linux::refuse_segments(&voice.socket);
    for _ in 0..3 {
        assert_eq!(speak_at_once(&mut voice, &clients), apart);
    }
    assert_eq!(voice.traffic().datagrams_sent, 24);
    assert_eq!(voice.traffic().counters, Counters::new());
    let Body::Linux { outbound, .. } = &voice.body else {
        panic!("coalescing is the Linux body's");
    };
    assert!(!outbound.coalesces());
}

/// One recipient that cannot be sent to at all is no reason to send one by one to all others.
#[cfg(target_os = "linux")]
#[test]
fn a_destination_that_fails_does_not_end_coalescing() {
    let ip = Ipv4Addr::LOCALHOST.into();
    let (mut voice, _) = bind(ip, UdpSend::Coalesce);
    let listener = client(ip);
    let mut peers = [path_of(&listener), path_of(&listener)];
    peers[0].remote.set_port(0);
    voice.send(&[frame(b"one", 9), frame(b"two", 9)], &peers, &mut nobody());
    assert_eq!(
        (heard(&listener), heard(&listener)),
        (b"one".to_vec(), b"two".to_vec())
    );
    assert_eq!(voice.traffic().counters.get(UdpFailed::Send), 2);
    let Body::Linux { outbound, .. } = &voice.body else {
        panic!("coalescing is the Linux body's");
    };
    assert!(outbound.coalesces());
}

/// Arrivals are timed, as their age counts, whether or not latency is measured.
#[cfg(target_os = "linux")]
#[test]
fn latency_is_measured_if_that_is_wanted() {
    let ip = Ipv4Addr::LOCALHOST.into();
    for measures_latency in [false, true] {
        let socket = StdSocket::bind((ip, 0)).expect("loopback has free ports");
        socket.set_nonblocking(true).expect("it is a socket");
        let port = socket.local_addr().expect("it is bound").port();
        let mut voice = VoiceSocket::new(socket, UdpSend::Auto, measures_latency).expect("usable");
        let client = client(ip);
        client.send_to(b"frame", (ip, port)).expect("it is sent");
        let mut slots = slots();
        while slots.fresh().is_empty() {
            voice.receive(&mut slots);
        }
        let (received, bytes) = slots.look(slots.fresh()[0]);
        assert!(received.arrived_ns.is_some());
        let queued = Queued {
            frame: bytes,
            sender: 1,
            sealed_sender: Queued::NOWHERE,
            arrived_ns: received.arrived_ns,
        };
        voice.send(&[queued], &[path_of(&client)], &mut nobody());
        let measured = voice.traffic().latency_ns.count();
        assert_eq!(measured, u64::from(measures_latency));
        assert_eq!(heard(&client), b"frame");
    }
}

/// An address counts as this machine's unless the system says that it is not, whatever else goes wrong.
#[test]
fn an_address_that_cannot_be_bound_is_not_own() {
    let (voice, _) = bind(Ipv4Addr::LOCALHOST.into(), UdpSend::Auto);
    for (ip, is_own) in [
        (IpAddr::from(Ipv4Addr::LOCALHOST), true),
        (Ipv4Addr::new(192, 0, 2, 1).into(), false),
        // Other systems have other words for what cannot be bound at all.
        #[cfg(target_os = "linux")]
        (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into(), true),
    ] {
        assert_eq!(voice.may_be_own(ip), is_own, "{ip}");
    }
}

/// The kernel counts what finds the receive buffer full, and tells with a datagram that comes
/// later.
#[cfg(target_os = "linux")]
#[test]
fn what_the_kernel_drops_is_counted() {
    let ip = Ipv4Addr::LOCALHOST.into();
    let (mut voice, port) = bind(ip, UdpSend::Auto);
    let buffer = socket2::SockRef::from(&voice.socket).set_recv_buffer_size(1);
    buffer.expect("the kernel raises it to its least");
    let client = client(ip);
    for _ in 0..200 {
        client.send_to(&[1; 500], (ip, port)).expect("it is sent");
    }
    while receive_some(&mut voice) > 0 {}
    client.send_to(b"later", (ip, port)).expect("it is sent");
    while receive_some(&mut voice) == 0 {}
    let traffic = voice.traffic();
    assert!(traffic.kernel_drops > 0);
    assert_eq!(traffic.kernel_drops + traffic.datagrams_received, 201);
}
