//! A datagram allocates nothing, whatever it is and however it is sent. Alone in its binary,
//! because it counts what the global allocator is asked for.

#[path = "server/client.rs"]
#[allow(dead_code, reason = "these tests need little of it")]
mod client;
#[cfg(feature = "encryption")]
#[path = "common/sealed_user.rs"]
mod sealed_user;

use client::{Client, Place};
#[cfg(feature = "encryption")]
use sealed_user::SealedUser;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use voiceapp_server::cause::{Cause, Ended, VoiceDropped};
use voiceapp_server::config::UdpSend;
use voiceapp_server::event::{ConnectionId, Now, UdpPath, UserId, VoiceToken};
use voiceapp_server::limits::{DATAGRAM_SLOT_BYTES, VOICE_BURST, VOICE_DATA_BYTES_MAX};
use voiceapp_server::protocol::{Frame, Packet};
use voiceapp_server::relay::Verdict;
use voiceapp_server::switchboard::{Deliver, Switchboard};
use voiceapp_server::{Config, HashKey, Limits, Server, ServerHandle, Statistics};

thread_local! {
    /// Per thread, because the test harness has threads of its own.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Whether this thread's are also counted for everyone to see.
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
}

static WATCHED_ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

fn count() {
    // There is nothing to count for a thread that is on its way out.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    if IS_WATCHED.try_with(Cell::get).unwrap_or(false) {
        WATCHED_ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: every call is passed on to `System` as it is, which keeps the contract; counting is a
// write to a `Cell` that is initialised at compile time and has no destructor, and so neither
// allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: our caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: as above, and `old` came from `System`, as everything does here.
        unsafe { System.realloc(old, layout, new_size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(action: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    action();
    ALLOCATIONS.get() - before
}

/// Connections whose clients read everything, and keep nothing of it.
struct Readers;

impl Deliver for Readers {
    fn deliver(&mut self, _to: ConnectionId, _frames: &[u8]) {}

    fn end(&mut self, connection: ConnectionId, cause: Ended) {
        panic!("{connection} is to end: {cause:?}");
    }
}

fn at(port: u16) -> UdpPath {
    UdpPath {
        remote: ([192, 0, 2, 1], port).into(),
        local: None,
    }
}

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut wire = Vec::new();
    packet.encode(&mut wire).expect("the packet fits");
    wire
}

fn voice(user_id: u64, data: &[u8]) -> Vec<u8> {
    encode(&Packet::VoiceData {
        user_id: UserId(user_id),
        sequence: 0x0102_0304,
        timestamp: 0x0506_0708,
        data,
    })
}

fn say(switchboard: &mut Switchboard, now: Now, from: ConnectionId, packet: &Packet<'_>) {
    let wire = encode(packet);
    let frame = Frame::first_of(&wire).expect("an encoded packet is a frame");
    switchboard.handle_frame(now, from, frame, &mut Readers);
}

/// So many users, each from an address of its own and in voice, with their tokens.
fn gather(users: usize) -> (Switchboard, Now, Vec<u64>) {
    let limits = Limits {
        users,
        ..Limits::default()
    };
    let mut switchboard = Switchboard::new(limits, HashKey(1, 2));
    let (instant, unix_ms) = (Instant::now(), 1_000_000);
    let mut now = Now { instant, unix_ms };
    let mut tokens = Vec::new();
    for number in 0..users as u32 {
        // So that no budget stands in the way.
        now.instant += Duration::from_secs(1);
        let (id, token) = (ConnectionId(number), 0xbead_0000 + u64::from(number));
        let address = Ipv4Addr::from(0x0a00_0000 + number).into();
        switchboard
            .handle_connect(now, id, address, VoiceToken(token), &mut Readers)
            .expect("there is room");
        for packet in [
            Packet::LoginRequest {
                request_id: 1,
                username: "someone",
                asked: None,
            },
            Packet::JoinVoiceChannelRequest { request_id: 2 },
        ] {
            say(&mut switchboard, now, id, &packet);
        }
        tokens.push(token);
    }
    (switchboard, now, tokens)
}

const DATAGRAMS_OF_EACH_KIND: u32 = 100_000;

#[test]
fn no_datagram_of_any_kind_allocates() {
    let counted = allocations_of(|| drop(black_box(Box::new(1u64))));
    assert_eq!(
        counted, 1,
        "the counter must count, or the rest means nothing"
    );
    let grown = allocations_of(|| {
        let mut bytes: Vec<u8> = Vec::with_capacity(1);
        bytes.extend_from_slice(black_box(&[0; 100]));
    });
    assert_eq!(grown, 2);

    // As many as there is room for, and as many as fill a hash table of 512 places to its limit, so
    // that addresses that come and go make trouble if there is any. All are in voice, but only the
    // first eight have an address yet: 1 to 6 speak and listen, 7 is muted, and 8 leaves.
    const USERS: usize = 448;
    let (mut switchboard, mut now, tokens) = gather(USERS);

    let auth = |token| {
        encode(&Packet::VoiceAuthRequest {
            request_id: 7,
            voice_token: VoiceToken(token),
        })
    };
    let opus = voice(0, &[0xa5; 240]);
    let mut cut_by_the_slot = voice(0, &[0; 4_000]);
    cut_by_the_slot.truncate(DATAGRAM_SLOT_BYTES);
    let proofs: Vec<_> = tokens.iter().map(|&token| auth(token)).collect();
    let too_long = voice(0, &[0; VOICE_DATA_BYTES_MAX + 1]);
    let refused = auth(0);
    for (proof, port) in proofs[..8].iter().zip(1..) {
        let mut proof = proof.clone();
        let verdict = switchboard.handle_datagram(now, at(port), &mut proof);
        assert!(matches!(verdict, Verdict::Answer(_)));
    }
    let (user_id, is_muted) = (UserId(0), true);
    let mute = Packet::UserMuteState { user_id, is_muted };
    say(&mut switchboard, now, ConnectionId(6), &mute);
    let leave = Packet::LeaveVoiceChannelRequest { request_id: 3 };
    say(&mut switchboard, now, ConnectionId(7), &leave);

    let mut slot = [0; DATAGRAM_SLOT_BYTES];
    // Copies the datagram into the slot as the kernel would, and checks what comes of it.
    let mut handle = |source: UdpPath, datagram: &[u8], expected: Result<usize, Option<Cause>>| {
        now.instant += Duration::from_millis(20);
        slot[..datagram.len()].copy_from_slice(datagram);
        let allocations = allocations_of(|| {
            let verdict = switchboard.handle_datagram(now, source, &mut slot[..datagram.len()]);
            let came = match verdict {
                Verdict::Relay { recipients, .. } => Ok(recipients.iter().map(black_box).count()),
                Verdict::Answer(_) | Verdict::AnswerAndEnd(_) | Verdict::AnswerSealed(_) => {
                    Err(None)
                }
                Verdict::Drop(cause) => Err(Some(cause.into())),
            };
            assert!(came == expected, "{came:?}, not {expected:?}");
        });
        assert_eq!(allocations, 0, "{expected:?}");
    };
    let answered = Err(None);
    let dropped = |cause| Err(Some(cause));

    for number in 0..DATAGRAMS_OF_EACH_KIND {
        handle(at(1 + (number % 6) as u16), &opus, Ok(6));
        handle(at(999), &opus, dropped(Cause::VoiceUnknownSource));
        handle(
            at(number as u16 | 0x8000),
            &opus,
            dropped(Cause::VoiceUnknownSource),
        );
        handle(at(7), &opus, dropped(Cause::VoiceMuted));
        handle(at(8), &opus, dropped(Cause::VoiceNotInChannel));
        handle(at(1), &opus[..100], dropped(Cause::DatagramMalformed));
        handle(at(1), b"", dropped(Cause::DatagramMalformed));
        handle(at(1), &refused[..18], dropped(Cause::DatagramMalformed));
        handle(at(1), b"\x7f\0\0", dropped(Cause::DatagramUnknownId));
        handle(at(1), &too_long, dropped(Cause::DatagramTooLong));
        handle(at(1), &cut_by_the_slot, dropped(Cause::DatagramTooLong));
        handle(at(1), &proofs[0], answered);
    }
    // Alice and Bob take each other's address, and the one who lost takes the other.
    for number in 0..DATAGRAMS_OF_EACH_KIND {
        let alice = number as usize % 2;
        handle(at(2), &proofs[alice], answered);
        handle(at(1), &proofs[1 - alice], answered);
        handle(at(1), &opus, Ok(6));
    }
    // Everyone proves an address, and moves on and on to others that were not seen for a long time.
    for number in 0..DATAGRAMS_OF_EACH_KIND {
        let port = 1_000 + number % 60_000;
        handle(at(port as u16), &proofs[number as usize % USERS], answered);
    }
    let last_proved = at((1_000 + (DATAGRAMS_OF_EACH_KIND - 1) % 60_000) as u16);
    // What is too fast can only be that while time stands still.
    let budget = VOICE_BURST * Limits::default().voice_rate;
    for number in 0..budget + DATAGRAMS_OF_EACH_KIND {
        slot[..opus.len()].copy_from_slice(&opus);
        let allocations = allocations_of(|| {
            let datagram = &mut slot[..opus.len()];
            let verdict = switchboard.handle_datagram(now, last_proved, datagram);
            let is_too_fast = verdict == Verdict::Drop(VoiceDropped::TooFast);
            assert!(is_too_fast || number < budget);
        });
        assert_eq!(allocations, 0);
    }
    // Sources that ask in vain, more often than they are answered: many, and a stubborn one.
    let mut answers = 0;
    for number in 0..DATAGRAMS_OF_EACH_KIND {
        let host = [198, 51, (number >> 8) as u8, number as u8];
        for ip in [host, [203, 0, 113, 1]] {
            let source = UdpPath {
                remote: (ip, 9).into(),
                local: None,
            };
            now.instant += Duration::from_micros(250);
            slot[..refused.len()].copy_from_slice(&refused);
            let allocations = allocations_of(|| {
                let datagram = &mut slot[..refused.len()];
                match switchboard.handle_datagram(now, source, datagram) {
                    Verdict::AnswerAndEnd(_) => answers += 1,
                    verdict => assert!(verdict == Verdict::Drop(VoiceDropped::AuthUnanswered)),
                }
            });
            assert_eq!(allocations, 0);
        }
    }
    let unanswered = 2 * DATAGRAMS_OF_EACH_KIND - answers;
    assert!(answers > 10_000 && unanswered > 10_000, "{answers}");
}

/// A server in one way of sending, whose allocations are watched.
struct Watched {
    place: Place,
    handle: ServerHandle,
    thread: JoinHandle<Statistics>,
}

impl Watched {
    fn start(udp_send: UdpSend) -> Self {
        let server = Server::bind(&Config {
            management_port: 0,
            voice_relay_port: 0,
            udp_send,
            limits: Limits::UNLIMITED,
            ..Config::default()
        })
        .expect("the system has free ports");
        Watched {
            place: Place {
                ip: Ipv4Addr::LOCALHOST.into(),
                tcp_port: server.management_address().port(),
                udp_port: server.voice_relay_address().port(),
            },
            handle: server.handle(),
            thread: std::thread::spawn(|| {
                IS_WATCHED.set(true);
                server.run().expect("it runs to its end")
            }),
        }
    }

    /// Ends the server, and gives how much it allocated while these rounds were spoken, after some to begin
    /// with.
    fn allocations_of(self, mut speak: impl FnMut(Range<u32>)) -> u64 {
        speak(0..10);
        let before = WATCHED_ALLOCATIONS.load(Ordering::SeqCst);
        assert!(
            before > 0,
            "logging in allocates, and must have been counted"
        );
        speak(10..1_010);
        let after = WATCHED_ALLOCATIONS.load(Ordering::SeqCst);
        self.handle.stop();
        let statistics = self.thread.join().expect("it does not panic");
        assert_eq!(statistics.counters.get(Cause::SendFailed), 0);
        after - before
    }
}

const WAYS: &[UdpSend] = if cfg!(target_os = "linux") {
    &[UdpSend::Coalesce, UdpSend::Batch, UdpSend::Plain]
} else {
    &[UdpSend::Plain]
};

/// The whole server, with its loop and its system calls, while three people speak at once, and then while a
/// plain and two sealed ones do. One test, as what is watched is counted for the whole process.
#[test]
fn a_running_server_allocates_for_no_datagram_in_any_way_of_sending() {
    for &udp_send in WAYS {
        let server = Watched::start(udp_send);
        let place = server.place;
        let speakers = ["alice", "bob", "carol"].map(|name| enter(place, name));
        let allocations = server.allocations_of(|numbers| speak_in_turns(&speakers, numbers));
        assert_eq!(allocations, 0, "{udp_send:?}");
        #[cfg(feature = "encryption")]
        {
            let server = Watched::start(udp_send);
            let place = server.place;
            let mut plain = enter(place, "alice");
            let mut sealed = ["bob", "carol"]
                .map(|name| SealedUser::enter(place.ip, place.tcp_port, place.udp_port, name));
            let allocations = server.allocations_of(|numbers| {
                for number in numbers {
                    speak_in_a_mixed_room(&mut plain, &mut sealed, number);
                }
            });
            assert_eq!(allocations, 0, "{udp_send:?}, sealed");
        }
    }
}

/// Somebody with plain voice.
fn enter(place: Place, name: &str) -> Client {
    let mut speaker = Client::log_in(place, name);
    speaker.prove();
    speaker.send(&Packet::JoinVoiceChannelRequest { request_id: 99 });
    speaker.await_packet(Packet::JoinVoiceChannelResponse {
        request_id: 99,
        success: true,
        reason: None,
    });
    speaker
}

#[cfg(feature = "encryption")]
fn speak_in_a_mixed_room(plain: &mut Client, sealed: &mut [SealedUser; 2], number: u32) {
    plain.speak(number, &[1; 240]);
    for user in &mut *sealed {
        user.speak(number, &[1; 200]);
    }
    for _ in 0..2 {
        plain.datagram();
        for user in &mut *sealed {
            user.receive(&mut [0; 2_048]);
        }
    }
}

/// All of them send before any of them listens, so that datagrams wait for the server together.
fn speak_in_turns(speakers: &[Client; 3], numbers: Range<u32>) {
    for number in numbers {
        for (speaker, len) in speakers.iter().zip([120, 240, 200]) {
            speaker.speak(number, &[1; 240][..len]);
        }
        for listener in speakers {
            for _ in 1..speakers.len() {
                listener.datagram();
            }
        }
    }
}
