//! The voice socket: datagrams that wait, and a check of every verdict on them.

use super::pipe::Pipe;
use super::random::Random;
use crate::event::{Now, Peer};
use crate::protocol::VoiceDatagram;
use crate::relay::Verdict;
use crate::server::core::Voice;
use crate::switchboard::Switchboard;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

/// Who speaks from an address: each client has its own.
struct Speaker {
    pipe: Rc<RefCell<Pipe>>,
    user_id: u64,
}

/// The simulated socket.
pub struct FakeVoice {
    random: Random,
    queue: VecDeque<(SocketAddr, Vec<u8>)>,
    speakers: BTreeMap<SocketAddr, Speaker>,
    /// Datagrams came where there were none.
    pub has_edge: bool,
    pub is_ready: bool,
    /// Datagrams that went to at least one other.
    pub relayed: u64,
}

impl FakeVoice {
    pub fn new(seed: u64) -> Self {
        FakeVoice {
            random: Random::new(seed),
            queue: VecDeque::new(),
            speakers: BTreeMap::new(),
            has_edge: false,
            is_ready: false,
            relayed: 0,
        }
    }

    /// Somebody who has logged in will use this address.
    pub fn know(&mut self, address: SocketAddr, user_id: u64, pipe: &Rc<RefCell<Pipe>>) {
        let pipe = pipe.clone();
        self.speakers.insert(address, Speaker { pipe, user_id });
    }

    pub fn forget(&mut self, address: SocketAddr) {
        self.speakers.remove(&address);
    }

    pub fn arrive(&mut self, source: SocketAddr, datagram: Vec<u8>) {
        self.has_edge |= self.queue.is_empty();
        self.queue.push_back((source, datagram));
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn is_here(&self, address: &SocketAddr) -> bool {
        let speaker = self.speakers.get(address);
        speaker.is_some_and(|it| !it.pipe.borrow().is_dropped)
    }
}

impl Voice for FakeVoice {
    fn look(&mut self, now: Now, switchboard: &mut Switchboard) -> usize {
        for _ in 0..self.random.between(1, 20) {
            let Some((remote, mut datagram)) = self.queue.pop_front() else {
                break;
            };
            let source = Peer {
                remote,
                local: None,
            };
            match switchboard.handle_datagram(now, source, &mut datagram) {
                Verdict::Relay { frame, recipients } => {
                    assert!(self.is_here(&remote), "who has gone is heard");
                    let voice = VoiceDatagram::check(frame).expect("listeners can read it");
                    assert_eq!(voice.user_id().0, self.speakers[&remote].user_id);
                    for to in recipients.iter() {
                        assert_ne!(to.remote, remote, "someone hears themselves");
                        assert!(self.is_here(&to.remote), "voice for someone who has gone");
                    }
                    self.relayed += u64::from(!recipients.is_empty());
                }
                Verdict::Answer(answer) => {
                    let is_bound = answer[11] != 0;
                    assert!(self.is_here(&remote) || !is_bound, "a dead token");
                }
                Verdict::Drop(_) => {}
            }
        }
        self.is_ready = !self.queue.is_empty();
        1
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }
}
