//! A server over real sockets, one client who speaks and two who listen. What they are made of is told
//! the time here, so that it passes as fast as the machine can make it, and is never late.

use crate::measure::{Tone, decibels};
use crate::proxy::{BadNetwork, Fate};
use crate::{PATIENCE, Running, TempFile};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::time::Instant;
use voiceapp_client::codec::BITRATE;
use voiceapp_client::event::{Event, Heard};
use voiceapp_client::gate::Gate;
use voiceapp_client::jitter::Counts;
use voiceapp_client::listener::Listener;
use voiceapp_client::session::{ProofState, Session};
use voiceapp_client::speech::{Said, Source, Speech};
use voiceapp_client::wav::{Recording, WavFile};
use voiceapp_client::{FRAME, FRAME_SAMPLES};

const FREQUENCY: f64 = 1_000.0;
const AMPLITUDE: f64 = 0.25;

struct Client {
    tcp: TcpStream,
    udp: UdpSocket,
    session: Session,
    listener: Listener,
}

impl Client {
    /// Logs in, proves its address and joins voice.
    fn enter(server: &Running, name: &str, now: Instant) -> Client {
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, server.tcp_port)).expect("it listens");
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        udp.connect((Ipv4Addr::LOCALHOST, server.udp_port))
            .expect("it is an address");
        tcp.set_read_timeout(Some(PATIENCE)).expect("not zero");
        udp.set_read_timeout(Some(PATIENCE)).expect("not zero");
        let mut client = Client {
            tcp,
            udp,
            session: Session::new(now, name, String::new()),
            listener: Listener::new(true),
        };
        client.flush();
        client.await_event(now, |event| matches!(event, Event::LoggedIn { .. }));
        client.flush();
        while client.session.proof_state() == ProofState::Asking {
            let mut answer = client.receive();
            client.session.handle_datagram(now, &mut answer);
        }
        client.session.join(now);
        client.flush();
        client.await_event(now, |event| matches!(event, Event::YouJoinedVoice { .. }));
        client
    }

    fn flush(&mut self) {
        let bytes = self.session.take_outbound();
        self.tcp.write_all(&bytes).expect("the server reads");
        while let Some(datagram) = self.session.next_datagram() {
            self.udp.send(&datagram).expect("there is room");
        }
    }

    fn await_event(&mut self, now: Instant, is_it: impl Fn(&Event) -> bool) {
        loop {
            while let Some(event) = self.session.next_event() {
                self.listener.handle_event(&event);
                if is_it(&event) {
                    return;
                }
            }
            let mut bytes = [0; 4_096];
            let len = self.tcp.read(&mut bytes).expect("something comes");
            assert!(len > 0, "the server closed the connection");
            self.session.handle_bytes(now, &bytes[..len]);
        }
    }

    fn receive(&self) -> Vec<u8> {
        let mut bytes = [0; 2_048];
        let len = self.udp.recv(&mut bytes).expect("something comes");
        bytes[..len].to_vec()
    }

    fn hear(&mut self, at: Instant, datagram: &[u8]) {
        let mut datagram = datagram.to_vec();
        let voice = self.session.handle_datagram(at, &mut datagram);
        let voice = voice.expect("nothing but voice comes");
        let session = &self.session;
        self.listener.hear(at, &voice, || session.who(voice.from));
    }

    fn stats(&self) -> Heard {
        let stats = self.listener.stats();
        assert_eq!(stats.len(), 1, "one has spoken");
        stats.into_iter().next().expect("there is one")
    }
}

/// What a listener has of it in the end.
struct Outcome {
    sound: Vec<f32>,
    heard: Heard,
    fate: Fate,
}

/// One speaks a tone of so many seconds, and leaves. The others record over a network with this seed,
/// or a perfect one, until a second after.
fn told(seconds: f64, seeds: [Option<u64>; 2]) -> [Outcome; 2] {
    let server = Running::start();
    let mut now = Instant::now();
    let file = TempFile::tone(FREQUENCY, AMPLITUDE, seconds);
    let recordings = [TempFile::new(), TempFile::new()];
    let mut speaker = Client::enter(&server, "speaker", now);
    let mut ends = seeds.map(|seed| {
        let listener = Client::enter(&server, "listener", now);
        (listener, seed.map(BadNetwork::new))
    });
    let mut writers = [0, 1].map(|place: usize| {
        Recording::create(&recordings[place].0).expect("it is a folder for that")
    });
    let mut speech = Speech::new(BITRATE, Gate::new(None, false));
    let source = WavFile::open(&file.0).expect("it was written");
    speech.start(now, Source::Wav(Box::new(source)));
    let mut steps_left = None;
    while steps_left != Some(0) {
        let mut spoken = 0;
        while let Ok(said) = speech.next(now, true) {
            match said {
                Said::Frame(data, due_at) => {
                    speaker.session.speak(due_at, &data);
                    spoken += 1;
                }
                Said::Nothing | Said::Silence => break,
                Said::Ended => steps_left = Some(50),
            }
        }
        speaker.flush();
        for ((listener, network), writer) in ends.iter_mut().zip(&mut writers) {
            for _ in 0..spoken {
                let datagram = listener.receive();
                match network {
                    Some(network) => network.send(now, &datagram),
                    None => listener.hear(now, &datagram),
                }
            }
            let mut arrived = || network.as_mut()?.receive(now);
            while let Some((at, datagram)) = arrived() {
                listener.hear(at, &datagram);
            }
            let sound = listener.listener.play(now);
            let sound = sound.unwrap_or([0.0; FRAME_SAMPLES]);
            writer.write(&sound).expect("there is room");
        }
        if steps_left == Some(50) {
            speaker.session.leave(now);
            speaker.flush();
            for (listener, _) in &mut ends {
                listener.await_event(now, |event| matches!(event, Event::LeftVoice { .. }));
            }
        }
        steps_left = steps_left.map(|left: u32| left - 1);
        now += FRAME;
    }
    for writer in writers {
        writer.finish().expect("there is room");
    }
    let mut recordings = recordings.iter();
    ends.map(|(listener, network)| Outcome {
        sound: recordings.next().expect("there are two").samples(),
        heard: listener.stats(),
        fate: network.map(|it| it.fate).unwrap_or_default(),
    })
}

/// After the tone the frames that end it have nothing that could be heard, and after them, and what a limiter
/// and a codec hold back, there is nothing at all.
fn assert_nothing_after(sound: &[f32], tone: &Tone) {
    let after = &sound[tone.end + FRAME_SAMPLES..];
    assert!(after.len() > 40 * FRAME_SAMPLES);
    let loudest = after.iter().fold(0.0f32, |peak, it| peak.max(it.abs()));
    assert!(loudest < 0.002, "{loudest}");
    assert!(after[6 * FRAME_SAMPLES..].iter().all(|it| *it == 0.0));
}

#[test]
fn a_tone_is_recorded_as_it_was_spoken() {
    for outcome in told(2.5, [None, None]) {
        let tone = Tone::find(&outcome.sound, AMPLITUDE);
        assert!((tone.frequency - FREQUENCY).abs() < 0.5, "{tone:?}");
        let level = decibels(tone.amplitude / AMPLITUDE);
        assert!(level.abs() < 1.0, "{level} dB");
        // All along, and not only on average.
        let windows = &tone.windows[4..tone.windows.len() - 4];
        assert!(
            windows
                .iter()
                .all(|it| decibels(it / AMPLITUDE).abs() < 1.0),
            "{windows:?}"
        );
        assert!((tone.seconds() - 2.5).abs() < 0.04, "{} s", tone.seconds());
        assert_nothing_after(&outcome.sound, &tone);

        let arrivals = outcome.heard.arrivals;
        let playout = outcome.heard.playout.expect("it was played");
        // Two more are the silence that ends it, and nothing was made up or dropped.
        assert_eq!((arrivals.datagrams, arrivals.lost), (127, 0));
        let expected = Counts {
            played: 127,
            ..Counts::default()
        };
        assert_eq!(playout.counts, expected);
        assert_eq!(playout.depth_ms, 40);
    }
}

#[test]
fn a_bad_network_leaves_a_tone_without_gaps_and_losses_that_are_counted() {
    let mut late = 0;
    for seed in [1, 2, 3] {
        for outcome in told(6.0, [Some(seed), Some(seed + 100)]) {
            let (arrivals, fate) = (outcome.heard.arrivals, &outcome.fate);
            let counts = outcome.heard.playout.expect("it was played").counts;
            assert!(fate.lost.len() > 3 && fate.overtaken() > 50);
            assert_eq!(arrivals.lost, fate.noticeable_losses());
            assert_eq!(arrivals.reordered, fate.overtaken());
            assert_eq!(arrivals.datagrams, fate.delivered.len() as u64);
            assert_eq!(counts.played + counts.late, arrivals.datagrams);
            // Each that was missing in its turn, and then some for depth and the end.
            let missing = arrivals.lost + counts.late;
            assert!(counts.concealed >= missing, "{counts:?}, {missing} missing");
            assert!(counts.concealed <= missing + counts.stretched, "{counts:?}");
            late += counts.late;

            let tone = Tone::find(&outcome.sound, AMPLITUDE);
            assert!(
                (tone.frequency - FREQUENCY).abs() < 2.0,
                "{}",
                tone.frequency
            );
            let level = decibels(tone.amplitude / AMPLITUDE);
            assert!(level.abs() < 1.0, "{level} dB");
            let windows = &tone.windows[4..tone.windows.len() - 4];
            // Without concealment, 5 of a hundred would be; three losses in a row are too much for it.
            let gaps = windows.iter().filter(|it| decibels(*it / AMPLITUDE) < -6.0);
            let gaps = gaps.count();
            assert!(
                gaps * 100 <= windows.len(),
                "{gaps} gaps in {}",
                windows.len()
            );
            // The last two are the silence that ends it.
            let frames = fate.span() + counts.stretched - counts.shortened - 2;
            let expected = 0.02 * frames as f64;
            assert!(
                (tone.seconds() - expected).abs() < 0.06,
                "{} s, {counts:?}, lost {:?}",
                tone.seconds(),
                fate.lost
            );
            assert_nothing_after(&outcome.sound, &tone);
        }
    }
    assert!(late < 6 * 15, "{late} late: it does not learn");
}
