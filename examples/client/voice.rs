//! The UDP half of a session: the proof of our address, the tones that are spoken, and the speakers
//! that are heard. It sends and shows, and it is told what was received and when.

use crate::End;
use crate::speaker::{Speaker, VOICE_INTERVAL, is_tone, tone_payload};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use voiceapp_server::event::{UserId, VoiceToken};
use voiceapp_server::protocol::{Frame, Packet};

/// The existing clients end on a datagram over this size, so no server may send one.
const DATAGRAM_BYTES_MAX: usize = 4_096;
/// 20 ms at 48 kHz.
const VOICE_SAMPLES: u32 = 960;
/// A tone that is late by more than this skips what it missed, as a sound card would: a flood helps
/// nobody.
const TONE_LATE_MAX: Duration = Duration::from_millis(500);
/// How long each repetition of a proof waits for an answer. After the last it is given up.
const PROOF_WAITS_MS: [u64; 8] = [500, 500, 500, 500, 1_000, 2_000, 4_000, 4_000];
/// NAT mappings for UDP can expire after 30 s of silence: we are silent for half of that at most.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The whole state of the UDP half.
pub struct Voice {
    udp: UdpSocket,
    address: SocketAddr,
    proof: Proof,
    tone: Option<Tone>,
    /// Of the next voice datagram. They go on from one tone to the next.
    sequence: u32,
    timestamp: u32,
    /// With the name that each had when last heard.
    speakers: BTreeMap<UserId, (String, Speaker)>,
    unreadable: u64,
}

/// What the server knows of our address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ProofState {
    /// Nothing yet: we are asking.
    Asking,
    /// It is ours. A proof that is repeated leaves it so.
    Proven,
    /// Nothing: the proof was refused or given up.
    Failed,
}

/// The proof that an address is ours: a VoiceAuthRequest, and its repetitions until it is answered.
struct Proof {
    token: VoiceToken,
    state: ProofState,
    request_id: u64,
    /// Requests sent since the last answer; 0 while none is under way.
    asked: usize,
    /// When to ask next, be it for the first time or again.
    next_at: Option<Instant>,
}

/// A tone under way.
struct Tone {
    start: Instant,
    sent: u32,
    total: u32,
    /// Datagrams that the kernel refused.
    untaken: u32,
}

impl Tone {
    /// Reckoned from the start, so that lateness does not add up.
    fn next_at(&self) -> Instant {
        self.start + VOICE_INTERVAL * self.sent
    }
}

impl Voice {
    /// Over a socket that is connected to `address`.
    pub fn new(udp: UdpSocket, address: SocketAddr) -> Self {
        Voice {
            udp,
            address,
            proof: Proof {
                token: VoiceToken(0),
                state: ProofState::Asking,
                request_id: 0,
                asked: 0,
                next_at: None,
            },
            tone: None,
            sequence: 0,
            timestamp: 0,
            speakers: BTreeMap::new(),
            unreadable: 0,
        }
    }

    pub fn handle_login(&mut self, now: Instant, token: VoiceToken) -> Result<(), End> {
        self.proof.token = token;
        self.proof.state = ProofState::Asking;
        self.prove(now)
    }

    pub fn handle_datagram(
        &mut self,
        datagram: &[u8],
        at: Instant,
        name: impl Fn(UserId) -> String,
    ) -> Result<(), End> {
        let packet = match Frame::first_of(datagram) {
            Ok(frame) if datagram.len() <= DATAGRAM_BYTES_MAX => frame.parse().ok(),
            _ => None,
        };
        match packet {
            Some(Packet::VoiceData {
                user_id,
                sequence,
                data,
                ..
            }) => {
                let (shown, speaker) = self.speakers.entry(user_id).or_default();
                if speaker.hear(at, sequence, data) {
                    *shown = name(user_id);
                    let what = if is_tone(sequence, data) {
                        " (tone)"
                    } else {
                        ""
                    };
                    say!("* {shown} is speaking{what}")?;
                }
                Ok(())
            }
            Some(Packet::VoiceAuthResponse {
                request_id,
                success,
            }) => {
                if request_id != self.proof.request_id || self.proof.asked == 0 {
                    return Ok(());
                }
                self.handle_proof_answer(at, success)
            }
            _ => {
                self.unreadable += 1;
                if self.unreadable == 1 {
                    say!(
                        "a datagram of {} bytes cannot be read: other clients would end on it",
                        datagram.len()
                    )?;
                }
                Ok(())
            }
        }
    }

    /// Does what is due when nothing was received for a while.
    pub fn handle_silence(&mut self, now: Instant) -> Result<(), End> {
        for (name, speaker) in self.speakers.values_mut() {
            if let Some((heard, lost)) = speaker.end_talk(now) {
                say!("* {name} stopped speaking: {heard} heard, {lost} lost")?;
            }
        }
        if self.proof.next_at.is_none_or(|at| now < at) {
            return Ok(());
        }
        match self.proof.asked {
            0 => self.prove(now),
            asked if asked < PROOF_WAITS_MS.len() => self.ask(now),
            _ => {
                self.give_up_proof();
                say!(
                    "no answer from {} over UDP: chat works, voice does not (/join tries again)",
                    self.address
                )
            }
        }
    }

    /// When something is due next if nothing is received.
    pub fn wake_at(&self) -> Option<Instant> {
        let timers = [self.tone.as_ref().map(Tone::next_at), self.proof.next_at];
        let pauses = self.speakers.values().filter_map(|(_, it)| it.pause_at());
        timers.into_iter().flatten().chain(pauses).min()
    }

    pub fn proof_state(&self) -> ProofState {
        self.proof.state
    }

    /// Begins a fresh proof. Its repetitions are identical datagrams, this one is not.
    pub fn prove(&mut self, now: Instant) -> Result<(), End> {
        if self.proof.state == ProofState::Failed {
            self.proof.state = ProofState::Asking;
        }
        self.proof.request_id += 1;
        self.proof.asked = 0;
        self.ask(now)
    }

    fn ask(&mut self, now: Instant) -> Result<(), End> {
        let request = Packet::VoiceAuthRequest {
            request_id: self.proof.request_id,
            voice_token: self.proof.token,
        };
        let wait_ms = PROOF_WAITS_MS[self.proof.asked];
        self.proof.asked += 1;
        self.proof.next_at = Some(now + Duration::from_millis(wait_ms));
        // If the kernel does not take it, the next repetition is the remedy.
        self.send(&request).map(|_| ())
    }

    fn handle_proof_answer(&mut self, now: Instant, success: bool) -> Result<(), End> {
        if !success {
            self.give_up_proof();
            return say!(
                "the server refused the proof of our voice address: no voice (/join tries again)",
            );
        }
        self.proof.asked = 0;
        self.proof.next_at = Some(now + KEEP_ALIVE);
        if self.proof.state == ProofState::Proven {
            return Ok(());
        }
        self.proof.state = ProofState::Proven;
        say!("voice is ready, over UDP to {}", self.address)
    }

    fn give_up_proof(&mut self) {
        self.proof.state = ProofState::Failed;
        self.proof.asked = 0;
        self.proof.next_at = None;
    }

    pub fn start_tone(&mut self, now: Instant, length: Duration) -> Result<(), End> {
        if self.tone.is_some() {
            return say!("you are speaking already");
        }
        if self.proof.state != ProofState::Proven {
            return say!(
                "no voice: our address is not proven to {} (/join tries again)",
                self.address
            );
        }
        let total = length.div_duration_f64(VOICE_INTERVAL).round() as u32;
        self.tone = Some(Tone {
            start: now,
            sent: 0,
            total,
            untaken: 0,
        });
        say!("speaking: {total} datagrams in {length:?}")
    }

    pub fn is_speaking(&self) -> bool {
        self.tone.is_some()
    }

    /// Sends as much of the tone as is due.
    pub fn speak(&mut self, now: Instant) -> Result<(), End> {
        while let Some(tone) = &mut self.tone {
            if tone.sent == tone.total {
                return self.stop_tone();
            }
            let late = now.saturating_duration_since(tone.next_at());
            if late > TONE_LATE_MAX {
                tone.start += late;
            } else if tone.next_at() > now {
                return Ok(());
            }
            tone.sent += 1;
            let is_taken = self.send(&Packet::VoiceData {
                user_id: UserId(0),
                sequence: self.sequence,
                timestamp: self.timestamp,
                data: &tone_payload(self.sequence),
            })?;
            self.sequence = self.sequence.wrapping_add(1);
            self.timestamp = self.timestamp.wrapping_add(VOICE_SAMPLES);
            if let Some(tone) = &mut self.tone {
                tone.untaken += u32::from(!is_taken);
            }
            if self.proof.asked == 0 {
                self.proof.next_at = Some(now + KEEP_ALIVE);
            }
        }
        Ok(())
    }

    /// Ends the tone under way, if there is one.
    pub fn stop_tone(&mut self) -> Result<(), End> {
        match self.tone.take() {
            None => Ok(()),
            Some(Tone {
                sent, untaken: 0, ..
            }) => say!("spoke {sent} datagrams"),
            Some(Tone { sent, untaken, .. }) => {
                say!("spoke {sent} datagrams, {untaken} of which the network did not take")
            }
        }
    }

    /// What this speaker says next need not follow on what was heard before.
    pub fn expect_gap(&mut self, id: UserId) {
        if let Some((_, speaker)) = self.speakers.get_mut(&id) {
            speaker.expect_gap();
        }
    }

    /// The same for every speaker.
    pub fn expect_gaps(&mut self) {
        self.speakers
            .values_mut()
            .for_each(|(_, it)| it.expect_gap());
    }

    pub fn show_stats(&self) -> Result<(), End> {
        if self.speakers.is_empty() {
            say!("nothing was heard yet")?;
        }
        for (name, speaker) in self.speakers.values() {
            say!("{name}: {speaker}")?;
        }
        match self.unreadable {
            0 => Ok(()),
            count => say!("{count} datagrams could not be read"),
        }
    }

    /// What to say when UDP has ended.
    pub fn lost(&self, error: &io::Error) -> End {
        let address = self.address;
        End::Failed(if is_port_closed(error) {
            format!(
                "nothing listens on UDP {address}: the server is gone, or --voice-port is wrong"
            )
        } else {
            format!("voice with {address} broke: {error}")
        })
    }

    /// Tells whether the network took the datagram: losing one is no error.
    fn send(&self, packet: &Packet<'_>) -> Result<bool, End> {
        let mut datagram = Vec::new();
        let Ok(()) = packet.encode(&mut datagram) else {
            return Ok(false);
        };
        match self.udp.send(&datagram) {
            Ok(_) => Ok(true),
            Err(error) if is_port_closed(&error) => Err(self.lost(&error)),
            Err(_) => Ok(false),
        }
    }
}

/// Whether this is what ICMP's "port unreachable" becomes, on Unix or on Windows.
fn is_port_closed(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == ErrorKind::ConnectionRefused || kind == ErrorKind::ConnectionReset
}
