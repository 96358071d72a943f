//! The thread that speaks for all speakers of one process, each through its own socket, at times that were fixed
//! when the round began: being late once moves nothing that comes after.
//!
//! All processes count from the same instant, so that the pattern holds for the crowd as a whole.

use super::options::{Options, Pattern};
use super::sys;
use super::voice::Maker;
use super::voice_socket::VoiceSocket;
use std::sync::Arc;

/// How many datagrams a flood sends between two readings of the clock.
const FLOOD_BETWEEN_LOOKS: u32 = 16;

/// The speakers: the index in the crowd, and the socket.
pub type Voices = Vec<(u32, Arc<VoiceSocket>)>;

/// The result of one round of speaking.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spoken {
    pub sent: u64,
    /// Not taken by the kernel, and so not expected by any receiver.
    pub failed: u64,
    /// The longest that any datagram was sent after its time.
    pub late_ns: u64,
}

/// Speaks until `duration_ns` after `start_ns` (both by [`sys::monotonic_ns`]).
pub fn speak(
    options: &Options,
    run: u32,
    voices: &Voices,
    round: u32,
    start_ns: u64,
    duration_ns: u64,
) -> Spoken {
    let mut speech = Speech {
        options,
        maker: Maker::new(run),
        round,
        sequences: vec![0; voices.len()],
        spoken: Spoken::default(),
    };
    if voices.is_empty() {
        return speech.spoken;
    }
    sys::wake_on_time();
    sys::set_patient(false);
    sys::sleep_until(start_ns);
    if options.rate > 0.0 {
        speech.pace(voices, start_ns, duration_ns);
    } else {
        speech.flood(voices, start_ns + duration_ns);
    }
    speech.spoken
}

struct Speech<'a> {
    options: &'a Options,
    maker: Maker,
    round: u32,
    sequences: Vec<u32>,
    spoken: Spoken,
}

impl Speech<'_> {
    fn pace(&mut self, voices: &Voices, start_ns: u64, duration_ns: u64) {
        let interval_ns = 1e9 / self.options.rate;
        let count = datagrams(self.options.rate, duration_ns);
        for turn in 0..count {
            for (place, (index, socket)) in voices.iter().enumerate() {
                let phase = match self.options.pattern {
                    Pattern::Even => f64::from(*index) / self.options.speakers as f64,
                    Pattern::Together => 0.0,
                };
                let due_ns = start_ns + ((turn as f64 + phase) * interval_ns) as u64;
                let mut now_ns = sys::monotonic_ns();
                if now_ns < due_ns {
                    sys::sleep_until(due_ns);
                    now_ns = sys::monotonic_ns();
                }
                let late_ns = now_ns.saturating_sub(due_ns);
                self.spoken.late_ns = self.spoken.late_ns.max(late_ns);
                self.send(place, *index, socket);
            }
        }
    }

    fn flood(&mut self, voices: &Voices, end_ns: u64) {
        let mut until_look = 0;
        for (place, (index, socket)) in voices.iter().enumerate().cycle() {
            if until_look == 0 {
                if sys::monotonic_ns() >= end_ns {
                    return;
                }
                until_look = FLOOD_BETWEEN_LOOKS;
            }
            until_look -= 1;
            self.send(place, *index, socket);
        }
    }

    fn send(&mut self, place: usize, index: u32, socket: &VoiceSocket) {
        let sequence = &mut self.sequences[place];
        let payload = self.options.payload;
        let datagram = self
            .maker
            .make(payload, self.round, index, *sequence, sys::realtime_ns);
        if socket.send(datagram).is_ok() {
            *sequence += 1;
            self.spoken.sent += 1;
        } else {
            self.spoken.failed += 1;
        }
    }
}

/// How many datagrams one speaker sends in a time.
fn datagrams(rate: f64, duration_ns: u64) -> u64 {
    (rate * duration_ns as f64 / 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use super::super::options::Receivers;
    use super::super::voice::Received;
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    #[test]
    fn the_number_of_datagrams_is_exact() {
        assert_eq!(datagrams(50.0, 3_000_000_000), 150);
        assert_eq!(datagrams(0.5, 3_000_000_000), 2);
        assert_eq!(datagrams(33.3, 1_000_000_000), 33);
    }

    #[test]
    fn speakers_take_turns_and_number_what_they_say() {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        server
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        let address = server.local_addr().expect("an address");
        let voices: Voices = (0..2)
            .map(|index| {
                let socket = VoiceSocket::open(address, Receivers::Ignore);
                (index, Arc::new(socket.expect("a socket")))
            })
            .collect();
        let options = Options {
            rate: 100.0,
            speakers: 2,
            ..Options::default()
        };
        let start = sys::monotonic_ns();
        let spoken = speak(&options, 8, &voices, 3, start, 30_000_000);
        assert!(sys::monotonic_ns() - start >= 25_000_000);
        assert_eq!((spoken.sent, spoken.failed), (6, 0));
        let mut buffer = [0; 2_048];
        for step in 0..6 {
            let len = server.recv(&mut buffer).expect("a datagram");
            let Received::Voice(heard) = Received::read(&buffer[..len]) else {
                panic!("it is voice");
            };
            let stamp = heard.stamp.expect("it is ours");
            assert_eq!((stamp.speaker, heard.sequence), (step % 2, step / 2));
            assert_eq!((stamp.run, stamp.round), (8, 3));
        }
    }
}
