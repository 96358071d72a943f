//! Floods of datagrams, and datagrams of every size, while two people talk.
//!
//! What waits in the server's receive buffer is bounded by proofs of address, which are answered in
//! the order of arrival: no datagram is lost to a full buffer, however slow the machine.

use crate::client::{Client, encoded};
use crate::faults::start_within;
use crate::{Running, has_ipv6};
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use voiceapp_server::event::{UserId, VoiceToken};
use voiceapp_server::limits::{DATAGRAM_SLOT_BYTES, VOICE_BURST, VOICE_FRAME_BYTES_MAX};
use voiceapp_server::protocol::{Packet, VoiceDatagram};
use voiceapp_server::{Cause, Limits};

/// How often a speaker speaks.
const FRAME_TIME: Duration = Duration::from_millis(20);

/// Two users in voice, who know of each other.
fn two_in_voice(server: &Running) -> (Client, Client) {
    let [mut alice, mut bob] = ["alice", "bob"].map(|name| Client::log_in(server.place(), name));
    alice.next(|packet| assert!(matches!(packet, Packet::UserJoinedServer { .. })));
    alice.enter_voice();
    bob.expect(Packet::UserJoinedVoice { user_id: alice.id });
    bob.enter_voice();
    alice.expect(Packet::UserJoinedVoice { user_id: bob.id });
    (alice, bob)
}

/// A datagram that nobody may send, of some kind or other.
fn junk(number: usize) -> Vec<u8> {
    let request_id = number as u64;
    match number % 8 {
        0 => Vec::new(),
        1 => vec![0x61; number % 200],
        2 => encoded(&Packet::PingRequest { request_id }),
        3 => encoded(&Packet::VoiceAuthRequest {
            request_id,
            voice_token: VoiceToken(request_id + 1),
        }),
        4 => vec![0xFF; number % 300],
        5 => vec![0; 3 + number % 300],
        _ => encoded(&Packet::VoiceData {
            user_id: UserId(1),
            sequence: 0,
            timestamp: 0,
            data: &[0x55; 100],
        }),
    }
}

#[test]
fn a_flood_of_junk_costs_a_conversation_nothing() {
    const JUNK: usize = 100_000;
    const AT_ONCE: usize = 200;
    let server = start_within(Limits::UNLIMITED);
    let (alice, bob) = two_in_voice(&server);
    let mut pacer = Client::log_in(server.place(), "pacer");
    let sources: Vec<UdpSocket> = (0..50)
        .map(|_| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
            socket
                .connect((Ipv4Addr::LOCALHOST, server.udp_port))
                .expect("the address exists");
            socket
        })
        .collect();
    let flood = std::thread::spawn(move || {
        for number in 0..JUNK {
            sources[number % sources.len()]
                .send(&junk(number))
                .expect("it is sent");
            if number % AT_ONCE == AT_ONCE - 1 {
                pacer.prove();
            }
        }
    });
    let mut spoken = 0;
    while !flood.is_finished() {
        spoken += 1;
        for (speaker, listener) in [(&alice, &bob), (&bob, &alice)] {
            speaker.speak(spoken, &[spoken as u8; 200]);
            listener.expect_voice(speaker.id, spoken, &[spoken as u8; 200]);
        }
        std::thread::sleep(FRAME_TIME);
    }
    flood.join().expect("the pacer is answered");
    let statistics = server.stop();
    assert_eq!(statistics.kernel_drops, 0);
    let proofs = 2 + (JUNK / AT_ONCE) as u64;
    let voice = 2 * u64::from(spoken);
    assert_eq!(statistics.datagrams_received, JUNK as u64 + proofs + voice);
    let count = |cause| statistics.counters.get(cause);
    let refused = count(Cause::VoiceAuthUnknownToken);
    assert_eq!(statistics.datagrams_sent, proofs + voice + refused);
    assert_eq!(count(Cause::VoiceUnknownSource), JUNK as u64 / 4);
    let causes = [
        Cause::VoiceUnknownSource,
        Cause::DatagramMalformed,
        Cause::DatagramUnknownId,
        Cause::VoiceAuthUnknownToken,
        Cause::VoiceAuthUnanswered,
    ];
    assert_eq!(causes.map(count).iter().sum::<u64>(), JUNK as u64);
}

/// The next datagrams up to the answer to a proof, as speaker and number, and no matter what zeros
/// were added to them.
fn voice_before_an_answer(client: &Client) -> Vec<(UserId, u32)> {
    let mut heard = Vec::new();
    loop {
        let datagram = client.datagram();
        match VoiceDatagram::check(&datagram[..]) {
            Ok(voice) => heard.push((voice.user_id(), voice.sequence())),
            Err(_) => return heard,
        }
    }
}

#[test]
fn a_flood_of_one_users_voice_costs_the_others_nothing() {
    /// A hundredth of what the flooder sends.
    const RATE: u32 = 20;
    /// Within the burst, so that no slowness or haste of the machine can make it too much.
    const SPOKEN: u32 = RATE * VOICE_BURST;
    const AT_ONCE: u32 = 100;
    let server = start_within(Limits {
        voice_rate: RATE,
        ..Limits::UNLIMITED
    });
    let (alice, bob) = two_in_voice(&server);
    let mut mallory = Client::log_in(server.place(), "mallory");
    let mallory_id = mallory.id;
    mallory.next(|packet| assert!(matches!(packet, Packet::UserJoinedVoice { .. })));
    mallory.next(|packet| assert!(matches!(packet, Packet::UserJoinedVoice { .. })));
    mallory.enter_voice();
    let is_over = AtomicBool::new(false);
    let start = Instant::now();
    let flooded = std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut sent = 0;
            loop {
                for _ in 0..AT_ONCE {
                    sent += 1;
                    mallory.speak(sent, b"listen to me");
                }
                mallory.ask_for_proof();
                voice_before_an_answer(&mallory);
                if is_over.load(Ordering::Relaxed) {
                    return sent;
                }
                std::thread::sleep(Duration::from_secs(1) * AT_ONCE / (100 * RATE));
            }
        });
        let ears = [(&alice, bob.id), (&bob, alice.id)]
            .map(|(listener, other)| scope.spawn(move || hear_out(listener, other, SPOKEN)));
        for sequence in 1..=SPOKEN {
            alice.speak(sequence, b"hello");
            bob.speak(sequence, b"hello");
            std::thread::sleep(FRAME_TIME);
        }
        let mut passed = ears.map(|ear| ear.join().expect("all is heard"));
        is_over.store(true, Ordering::Relaxed);
        let sent = flood.join().expect("the proofs are answered");
        for (client, passed) in [&alice, &bob].into_iter().zip(&mut passed) {
            client.ask_for_proof();
            let heard = voice_before_an_answer(client);
            assert!(heard.iter().all(|&(id, _)| id == mallory_id));
            *passed += heard.len() as u64;
        }
        assert_eq!(passed[0], passed[1]);
        (u64::from(sent), passed[0])
    });
    let (sent, passed) = flooded;
    // The server's time is within the test's.
    let may_pass = f64::from(SPOKEN) + f64::from(RATE) * start.elapsed().as_secs_f64();
    assert!(
        u64::from(SPOKEN) <= passed && passed as f64 <= may_pass + 1.0,
        "{passed}"
    );
    let statistics = server.stop();
    assert_eq!(statistics.kernel_drops, 0);
    assert_eq!(statistics.counters.get(Cause::VoiceTooFast), sent - passed);
}

/// Hears all that the other says, in order, and says how much of others' voice came meanwhile.
fn hear_out(listener: &Client, other: UserId, spoken: u32) -> u64 {
    let (mut last, mut others) = (0, 0);
    while last < spoken {
        let datagram = listener.datagram();
        let voice = VoiceDatagram::check(&datagram[..]).expect("it is voice");
        if voice.user_id() == other {
            last += 1;
            assert_eq!(voice.sequence(), last);
        } else {
            others += 1;
        }
    }
    others
}

const SIZES: [usize; 19] = [
    0, 1, 2, 3, 4, 18, 19, 20, 1_418, 1_419, 1_420, 1_500, 2_047, 2_048, 2_049, 4_096, 4_097,
    9_000, 65_507,
];

#[test]
fn datagrams_of_every_size_are_relayed_whole_or_not_at_all() {
    let server = start_within(Limits::UNLIMITED);
    let (alice, bob) = two_in_voice(&server);
    let mut places = vec![server.place()];
    if has_ipv6() {
        places.push(server.place_at(Ipv6Addr::LOCALHOST.into()));
    }
    let (mut malformed, mut unknown, mut too_long) = (0, 0, 0);
    for place in places {
        let mut mallory = Client::log_in(place, "mallory");
        mallory.prove();
        mallory.send(&Packet::JoinVoiceChannelRequest { request_id: 9 });
        mallory.await_packet(Packet::JoinVoiceChannelResponse {
            request_id: 9,
            success: true,
            reason: None,
        });
        let mut marker = 0;
        for size in SIZES {
            // Few systems send longer ones.
            if size > 9_000 && !cfg!(target_os = "linux") {
                continue;
            }
            let is_cut = size >= DATAGRAM_SLOT_BYTES;
            match size {
                0..3 => malformed += 1,
                _ => unknown += 1,
            }
            mallory.udp.send(&vec![0; size]).expect("it is sent");
            match is_cut {
                true => too_long += 1,
                false => malformed += 1,
            }
            mallory.udp.send(&vec![0xFF; size]).expect("it is sent");
            let mut voices = vec![voice(size, size)];
            if size > 30 {
                // A frame that is followed by others' bytes, and one that claims to be longer.
                voices.push(voice(30, size));
                voices.push(voice(size + 1, size));
            }
            for (index, (frame_len, datagram)) in voices.iter().enumerate() {
                mallory.udp.send(datagram).expect("it is sent");
                if *frame_len < 19 || (*frame_len > size && !is_cut) {
                    malformed += 1;
                } else if *frame_len > VOICE_FRAME_BYTES_MAX {
                    too_long += 1;
                } else {
                    assert_ne!(index, 2, "too short for its frame");
                    for listener in [&alice, &bob] {
                        listener.expect_voice(mallory.id, 7, &datagram[19..*frame_len]);
                    }
                }
            }
            marker += 1;
            mallory.speak(marker, b"next");
            for listener in [&alice, &bob] {
                listener.expect_voice(mallory.id, marker, b"next");
            }
        }
        assert!(!mallory.has_datagram(), "nobody spoke to mallory");
    }
    for (speaker, listener) in [(&alice, &bob), (&bob, &alice)] {
        speaker.speak(1, b"what was that?");
        listener.expect_voice(speaker.id, 1, b"what was that?");
    }
    let statistics = server.stop();
    let count = |cause| statistics.counters.get(cause);
    assert_eq!(count(Cause::DatagramMalformed), malformed);
    assert_eq!(count(Cause::DatagramUnknownId), unknown);
    assert_eq!(count(Cause::DatagramTooLong), too_long);
}

/// A datagram of this size that begins with the header of a VoiceData frame of that length, as far as
/// there is room for it, and the length of that frame.
fn voice(frame_len: usize, size: usize) -> (usize, Vec<u8>) {
    let payload_len = frame_len.saturating_sub(3) as u16;
    let mut datagram = vec![0x61];
    datagram.extend(payload_len.to_be_bytes());
    datagram.extend([0; 8]);
    datagram.extend(7_u32.to_be_bytes());
    datagram.extend([0; 4]);
    datagram.resize(size.max(19), 0xAB);
    datagram.truncate(size);
    (frame_len, datagram)
}
