//! Frames that travel together: several datagrams to one recipient can go to the kernel as segments
//! of one message, if all but the last have the same size (`UDP_SEGMENT`, udp(7)). Clients ignore
//! what follows a frame in its datagram, so zeros make the sizes equal.
//!
//! It plans and lays out bytes, and sends nothing. It copies what is grouped once, whatever the
//! number of recipients, because one contiguous piece per message is cheaper for the kernel to take
//! than many.

use super::Queued;
use crate::limits::{DATAGRAMS_PER_BATCH, MESSAGE_BYTES_MAX, PADDING_BYTES_MAX};
use crate::limits::{SEGMENT_BYTES_MAX, SEGMENTS_PER_MESSAGE};
use std::ops::Range;

/// Frames that go out as one message, in the order in which they came.
pub(super) struct Group {
    /// What each is padded to.
    pub(super) segment_len: usize,
    /// The shortest of them, which decides which others may join.
    shortest: usize,
    members: Range<usize>,
    /// Where the padded frames lie. The last one is not padded.
    staged: Range<usize>,
}

/// One frame's place in a plan.
#[derive(Clone, Copy)]
struct Member {
    /// Its place among the frames.
    frame: usize,
    /// The sender's places among plain and sealed listeners.
    sender: usize,
    sealed_sender: usize,
}

/// The plan for one batch: groups in the order in which they must be sent.
#[derive(Default)]
pub(super) struct Groups {
    groups: Vec<Group>,
    /// The members of the first group, then those of the second, and so on.
    members: Vec<Member>,
    staging: Vec<u8>,
}

impl Groups {
    /// An empty plan with room for a full batch.
    pub(super) fn new() -> Self {
        Groups {
            groups: Vec::with_capacity(DATAGRAMS_PER_BATCH),
            members: Vec::with_capacity(DATAGRAMS_PER_BATCH),
            staging: Vec::with_capacity(DATAGRAMS_PER_BATCH * SEGMENT_BYTES_MAX),
        }
    }

    /// Plans for these frames. A frame joins the first group that it fits and that is not sent
    /// before an earlier frame of the same sender, so that each speaker's order is kept. With an overhead,
    /// a datagram may be so much longer than its frame.
    pub(super) fn plan(&mut self, frames: &[Queued<'_>], overhead: usize) {
        self.groups.clear();
        let mut group_of = [0; DATAGRAMS_PER_BATCH];
        for (place, queued) in frames.iter().enumerate() {
            let earlier = frames[..place].iter().zip(group_of);
            let of_sender = earlier.filter(|(other, _)| other.has_sender_of(queued));
            let earliest = of_sender.map(|(_, group)| group).max().unwrap_or(0);
            let len = queued.frame.len();
            let fits = |group: &Group| group.fits(len, overhead);
            let found = self.groups[earliest..].iter().position(fits);
            let group = found.map_or(self.groups.len(), |after| earliest + after);
            if found.is_none() {
                self.groups.push(Group::of_nobody());
            }
            self.groups[group].take_in(len);
            group_of[place] = group;
        }
        self.lay_out(frames, &group_of);
    }

    fn lay_out(&mut self, frames: &[Queued<'_>], group_of: &[usize]) {
        self.members.clear();
        self.staging.clear();
        for (number, group) in self.groups.iter_mut().enumerate() {
            let first = self.members.len();
            let start = self.staging.len();
            for (frame, queued) in frames.iter().enumerate() {
                if group_of[frame] != number {
                    continue;
                }
                if group.members.len() > 1 {
                    let padded = start + (self.members.len() - first) * group.segment_len;
                    self.staging.resize(padded, 0);
                    self.staging.extend_from_slice(queued.frame);
                }
                self.members.push(Member {
                    frame,
                    sender: queued.sender,
                    sealed_sender: queued.sealed_sender,
                });
            }
            group.members = first..self.members.len();
            group.staged = start..self.staging.len();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn segment_len(&self, group: usize) -> usize {
        self.groups[group].segment_len
    }

    /// The frames of a group that are not this listener's own, as numbers.
    pub(super) fn frames_for(
        &self,
        group: usize,
        listener: usize,
    ) -> impl Iterator<Item = usize> + '_ {
        let members = &self.members[self.groups[group].members.clone()];
        let others = members.iter().filter(move |it| it.sender != listener);
        others.map(|member| member.frame)
    }

    /// The same for a sealed listener.
    pub(super) fn sealed_frames_for(
        &self,
        group: usize,
        listener: usize,
    ) -> impl Iterator<Item = usize> + '_ {
        let members = &self.members[self.groups[group].members.clone()];
        let others = members
            .iter()
            .filter(move |it| it.sealed_sender != listener);
        others.map(|member| member.frame)
    }

    /// What a plain listener gets as padded bytes, in as few pieces as there are.
    pub(super) fn pieces_for(
        &self,
        group: usize,
        listener: usize,
    ) -> impl Iterator<Item = &[u8]> + '_ {
        let group = &self.groups[group];
        let members = &self.members[group.members.clone()];
        let staged = &self.staging[group.staged.clone()];
        let mut next = 0;
        std::iter::from_fn(move || {
            let is_own = |member: &Member| member.sender == listener;
            next += members[next..].iter().position(|it| !is_own(it))?;
            let run = members[next..].iter().position(is_own);
            let end = run.map_or(members.len(), |len| next + len);
            let bytes = next * group.segment_len..(end * group.segment_len).min(staged.len());
            next = end;
            Some(&staged[bytes])
        })
    }
}

impl Group {
    fn of_nobody() -> Self {
        Group {
            segment_len: 0,
            shortest: usize::MAX,
            members: 0..0,
            staged: 0..0,
        }
    }

    /// Whether a frame of this length may come in.
    fn fits(&self, len: usize, overhead: usize) -> bool {
        let count = self.members.len() + 1;
        let segment_len = self.segment_len.max(len);
        let datagram_len = segment_len + overhead;
        datagram_len <= SEGMENT_BYTES_MAX
            && segment_len - self.shortest.min(len) <= PADDING_BYTES_MAX
            && count <= SEGMENTS_PER_MESSAGE
            && count * datagram_len <= MESSAGE_BYTES_MAX
    }

    fn take_in(&mut self, len: usize) {
        self.segment_len = self.segment_len.max(len);
        self.shortest = self.shortest.min(len);
        // Only the number counts until the members are laid out.
        self.members.end += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued<'a>(frames: &'a [(usize, Vec<u8>)]) -> Vec<Queued<'a>> {
        let queued = frames.iter().map(|(sender, frame)| Queued {
            frame,
            sender: *sender,
            sealed_sender: Queued::NOWHERE,
            arrived_ns: None,
        });
        queued.collect()
    }

    /// Cuts what a listener gets back into datagrams, as the kernel does.
    fn heard(groups: &Groups, listener: usize) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for group in 0..groups.len() {
            if groups.groups[group].members.len() == 1 {
                continue;
            }
            let bytes: Vec<u8> = groups
                .pieces_for(group, listener)
                .flatten()
                .copied()
                .collect();
            all.extend(bytes.chunks(groups.segment_len(group)).map(<[u8]>::to_vec));
        }
        all
    }

    #[test]
    fn frames_of_like_size_make_one_group_padded_by_zeros() {
        let frames = [(0, vec![1; 30]), (1, vec![2; 50]), (2, vec![3; 40])];
        let mut groups = Groups::new();
        groups.plan(&queued(&frames), 0);
        assert_eq!(groups.len(), 1);
        let padded = |byte: u8, len: usize| [vec![byte; len], vec![0; 50 - len]].concat();
        let all = [padded(1, 30), padded(2, 50), vec![3; 40]];
        assert_eq!(heard(&groups, 9), all);
        assert_eq!(heard(&groups, 0), all[1..]);
        assert_eq!(heard(&groups, 1), [all[0].clone(), all[2].clone()]);
        assert_eq!(heard(&groups, 2), all[..2]);
    }

    #[test]
    fn old_memory_never_shows_in_the_padding() {
        let mut groups = Groups::new();
        groups.plan(&queued(&[(0, vec![0xFF; 200]), (1, vec![0xFF; 200])]), 0);
        groups.plan(
            &queued(&[(0, vec![1; 10]), (1, vec![2; 100]), (2, vec![3; 100])]),
            0,
        );
        assert_eq!(heard(&groups, 9)[0], [vec![1; 10], vec![0; 90]].concat());
    }

    #[test]
    fn frames_of_unlike_size_stay_apart_and_each_speaker_keeps_the_order() {
        let small_large = [(0, vec![1; 30]), (1, vec![2; 900]), (2, vec![3; 30])];
        let mut groups = Groups::new();
        groups.plan(&queued(&small_large), 0);
        assert_eq!(groups.len(), 2);
        assert_eq!(groups.frames_for(0, 9).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(groups.frames_for(1, 9).collect::<Vec<_>>(), [1]);

        // The second small frame may not overtake the large one of its speaker.
        let frames = [(0, vec![1; 30]), (1, vec![2; 900]), (1, vec![3; 30])];
        groups.plan(&queued(&frames), 0);
        assert_eq!(groups.len(), 3);
    }

    #[test]
    fn no_message_is_over_its_bounds() {
        let mut groups = Groups::new();
        for (len, expected) in [
            (SEGMENT_BYTES_MAX, 2),
            (SEGMENT_BYTES_MAX + 1, DATAGRAMS_PER_BATCH),
            (1_000, 1),
            (19, 1),
        ] {
            let frames = vec![(0, vec![1; len]); DATAGRAMS_PER_BATCH];
            groups.plan(&queued(&frames), 0);
            assert_eq!(groups.len(), expected, "for {len} bytes");
            for group in 0..groups.len() {
                let bytes: usize = groups.pieces_for(group, 9).map(<[u8]>::len).sum();
                assert!(bytes <= MESSAGE_BYTES_MAX);
            }
        }
    }

    #[test]
    fn whatever_the_sizes_every_listener_gets_the_others_frames_in_their_order() {
        let mut state = 7u64;
        let mut random = move |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        let mut groups = Groups::new();
        for _ in 0..2_000 {
            let count = 1 + random(DATAGRAMS_PER_BATCH as u64);
            let frames: Vec<(usize, Vec<u8>)> = (0..count)
                .map(|number| {
                    let len = [19, 60, 139, 259, 1_300][random(5) as usize] + random(100) as usize;
                    (random(5) as usize, vec![number as u8; len])
                })
                .collect();
            groups.plan(&queued(&frames), 0);
            for listener in 0..6 {
                let mut order = Vec::new();
                for group in 0..groups.len() {
                    order.extend(groups.frames_for(group, listener));
                }
                for sender in 0..5 {
                    let of_sender = |it: &&usize| frames[**it].0 == sender;
                    let got: Vec<usize> = order.iter().filter(of_sender).copied().collect();
                    let all: Vec<usize> = (0..frames.len()).collect();
                    let sent: Vec<usize> = all.iter().filter(of_sender).copied().collect();
                    assert_eq!(got, if sender == listener { vec![] } else { sent });
                }
            }
        }
    }
}
