//! A server and its clients without sockets and clocks: the server's own state machines, and what the client
//! is made of. The test says what time it is. So nothing is ever late, however slow the machine is, and the same
//! test hears the same sound each time.

use crate::proxy::BadNetwork;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Instant;
use voiceapp_client::event::{Event, Heard};
use voiceapp_client::gate::Gate;
use voiceapp_client::listener::Listener;
use voiceapp_client::session::{ProofState, Session};
use voiceapp_client::speech::{Said, Source, Speech};
use voiceapp_client::{FRAME, FRAME_SAMPLES};
use voiceapp_protocol::FrameBuffer;
use voiceapp_testkit::server::event::{ConnectionId, Now, UdpPath, VoiceToken};
use voiceapp_testkit::server::relay::Verdict;
use voiceapp_testkit::server::switchboard::Deliver;
use voiceapp_testkit::server::{Ended, HashKey, Limits, Switchboard};

/// Of the first person's voice.
const FIRST_PORT: u16 = 5_000;

/// The server, and everyone in it.
pub struct World {
    pub now: Instant,
    switchboard: Switchboard,
    wires: Wires,
    pub people: Vec<Person>,
}

/// A client.
pub struct Person {
    pub session: Session,
    pub listener: Listener,
    pub speech: Speech,
    /// Datagrams of voice that were sent.
    pub spoken: u64,
    /// All that was played.
    pub sound: Vec<f32>,
    pub events: Vec<Event>,
    /// What voice from the server goes through. None is a perfect network.
    pub network: Option<BadNetwork>,
    arrived: VecDeque<(Instant, Vec<u8>)>,
    /// At the server.
    requests: FrameBuffer,
}

/// What the server has written to each connection.
struct Wires(Vec<Vec<u8>>);

impl Deliver for Wires {
    fn deliver(&mut self, to: ConnectionId, frames: &[u8]) {
        self.0[to.0 as usize].extend(frames);
    }

    fn end(&mut self, _: ConnectionId, cause: Ended) {
        panic!("the server closes a connection: {cause}");
    }
}

impl World {
    pub fn new() -> Self {
        World {
            now: Instant::now(),
            switchboard: Switchboard::new(Limits::default(), HashKey(1, 2)),
            wires: Wires(Vec::new()),
            people: Vec::new(),
        }
    }

    /// Adds one who is in voice, and returns the place in `people`.
    pub fn enter(&mut self, name: &str, speech: Speech, network: Option<BadNetwork>) -> usize {
        let place = self.people.len();
        self.wires.0.push(Vec::new());
        self.people.push(Person {
            session: Session::new(self.now, name, String::new()),
            listener: Listener::new(true),
            speech,
            spoken: 0,
            sound: Vec::new(),
            events: Vec::new(),
            network,
            arrived: VecDeque::new(),
            requests: FrameBuffer::new(),
        });
        let (now, id) = (self.moment(), ConnectionId(place as u32));
        let token = VoiceToken(place as u64 + 1);
        let address = Ipv4Addr::LOCALHOST.into();
        self.switchboard
            .handle_connect(now, id, address, token, &mut self.wires)
            .expect("there is room");
        self.exchange();
        self.people[place].session.join(self.now);
        self.exchange();
        let session = &self.people[place].session;
        assert_eq!(session.proof_state(), ProofState::Proven);
        assert!(session.is_in_voice());
        place
    }

    /// Has one speak this.
    pub fn speak(&mut self, place: usize, source: Source) {
        self.people[place].speech.start(self.now, source);
    }

    /// The next 20 ms of all.
    pub fn step(&mut self) {
        for person in &mut self.people {
            person.say(self.now);
        }
        self.exchange();
        for person in &mut self.people {
            person.session.handle_timeout(self.now);
            person
                .events
                .extend(person.listener.handle_timeout(self.now));
            let sound = person.listener.play(self.now);
            person.sound.extend(sound.unwrap_or([0.0; FRAME_SAMPLES]));
        }
        self.now += FRAME;
    }

    pub fn steps(&mut self, count: usize) {
        for _ in 0..count {
            self.step();
        }
    }

    /// Passes on what waits, until nothing does.
    pub fn exchange(&mut self) {
        let mut places = 0..self.people.len();
        while places.any(|place| self.pass_on(place)) {
            places = 0..self.people.len();
        }
    }

    /// Passes on what waits for this one, and what it has to send. Returns whether there was anything.
    fn pass_on(&mut self, place: usize) -> bool {
        let (now, id) = (self.moment(), ConnectionId(place as u32));
        let person = &mut self.people[place];
        let bytes = person.session.take_outbound();
        let mut is_any = !bytes.is_empty();
        person.requests.extend(&bytes);
        while let Some(frame) = person.requests.next_frame() {
            self.switchboard
                .handle_frame(now, id, frame, &mut self.wires);
        }
        while let Some(datagram) = self.people[place].session.next_datagram() {
            self.relay(place, datagram);
            is_any = true;
        }
        let person = &mut self.people[place];
        is_any |= person.receive(self.now);
        let bytes = std::mem::take(&mut self.wires.0[place]);
        is_any |= !bytes.is_empty();
        person.read(self.now, &bytes);
        is_any
    }

    /// What the server does with a datagram of this one.
    fn relay(&mut self, place: usize, mut datagram: Vec<u8>) {
        let path = UdpPath {
            remote: (Ipv4Addr::LOCALHOST, FIRST_PORT + place as u16).into(),
            local: None,
        };
        let now = self.moment();
        match self.switchboard.handle_datagram(now, path, &mut datagram) {
            Verdict::Answer(answer) => self.people[place].send(self.now, &answer),
            Verdict::Relay {
                frame, recipients, ..
            } => {
                for path in recipients.iter() {
                    let place = path.remote.port() - FIRST_PORT;
                    self.people[usize::from(place)].send(self.now, frame);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn moment(&self) -> Now {
        Now {
            instant: self.now,
            unix_ms: 0,
        }
    }
}

impl Person {
    /// Says what is due.
    fn say(&mut self, now: Instant) {
        let is_heard = self.session.is_in_voice();
        loop {
            match self.speech.next(now, is_heard).expect("it can be read") {
                Said::Frame(data, due_at) => {
                    self.session.speak(due_at, &data);
                    self.spoken += 1;
                }
                Said::Silence => {}
                Said::Nothing | Said::Ended => return,
            }
        }
    }

    /// Sends this to the client.
    fn send(&mut self, now: Instant, datagram: &[u8]) {
        match &mut self.network {
            Some(network) => network.send(now, datagram),
            None => self.arrived.push_back((now, datagram.to_vec())),
        }
    }

    /// Takes what has arrived over UDP, and returns whether anything has.
    fn receive(&mut self, now: Instant) -> bool {
        let mut is_any = false;
        loop {
            let arrival = match &mut self.network {
                Some(network) => network.receive(now),
                None => self.arrived.pop_front(),
            };
            let Some((at, mut datagram)) = arrival else {
                return is_any;
            };
            is_any = true;
            if let Some(voice) = self.session.handle_datagram(at, &mut datagram) {
                let session = &self.session;
                let event = self.listener.hear(at, &voice, || session.who(voice.from));
                self.events.extend(event);
            }
        }
    }

    /// Takes what has arrived over TCP, and the news.
    fn read(&mut self, now: Instant, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.session.handle_bytes(now, bytes);
        }
        while let Some(event) = self.session.next_event() {
            self.listener.handle_event(&event);
            self.events.push(event);
        }
    }

    /// What was heard of the only one who has spoken.
    pub fn heard(&self) -> Heard {
        let stats = self.listener.stats();
        assert_eq!(stats.len(), 1, "one has spoken");
        stats.into_iter().next().expect("there is one")
    }
}

/// Says nothing, or everything that it is given.
pub fn speech() -> Speech {
    Speech::new(voiceapp_client::codec::BITRATE, Gate::new(None, false))
}
