//! The frame splitter: however a stream arrives in pieces, and however its frames are asked for,
//! they are those of the stream in one piece, and what is kept is never more than a frame.

use crate::chance::Chance;
use crate::wire;
use voiceapp_server::limits::FRAME_BYTES_MAX;
use voiceapp_server::protocol::{Frame, FrameBuffer};

/// As much of a stream as is worth the time: a few of the longest frames.
const STREAM_BYTES_MAX: usize = 3 * FRAME_BYTES_MAX;
/// After so many pieces the rest comes in one.
const PIECES_MAX: usize = 1_000;

pub fn run(data: &[u8]) {
    let mut input = Chance::of_bytes(data);
    // How it arrives: lengths of pieces, over and over, and how many frames are taken after each.
    let pieces = [(); 4].map(|()| piece_len(input.below(65_536) as u16));
    let takes = [(); 3].map(|()| input.below(5));
    let stream = stream(&mut input);
    let expected = frames_of(&stream);

    let mut buffer = FrameBuffer::new();
    let mut found = 0;
    let (mut fed, mut taken) = (0, 0);
    let mut turn = 0;
    while fed < stream.len() {
        let rest = stream.len() - fed;
        let len = match turn {
            PIECES_MAX => rest,
            _ => pieces[turn % pieces.len()].min(rest),
        };
        buffer.extend(&stream[fed..fed + len]);
        fed += len;
        // Nothing must be left behind for good, so every so often all of it is taken.
        let take = match takes[turn % takes.len()] {
            4 => usize::MAX,
            some if buffer.len() < 2 * FRAME_BYTES_MAX => some,
            _ => usize::MAX,
        };
        for _ in 0..take {
            if !take_one(&mut buffer, &expected, &mut found, &mut taken) {
                assert!(
                    buffer.len() < FRAME_BYTES_MAX,
                    "more than a part of a frame"
                );
                break;
            }
        }
        assert_eq!(buffer.len(), fed - taken);
        assert_eq!(buffer.is_empty(), fed == taken);
        turn += 1;
    }
    while take_one(&mut buffer, &expected, &mut found, &mut taken) {}
    assert_eq!(found, expected.len(), "a frame was lost");
    assert_eq!(buffer.len(), stream.len() - taken, "what is left is a part");
}

/// Short pieces mostly, as the edges are in frames' headers; none are empty for ever.
fn piece_len(value: u16) -> usize {
    match value {
        0 => 1,
        1..0x8000 => usize::from(value % 16) + 1,
        0x8000..0xc000 => usize::from(value % 512) + 1,
        _ => usize::from(value % 0x4000) * 5 + 1,
    }
}

/// Bytes as they come, and whole frames of any length, which would otherwise be too costly to find.
fn stream(input: &mut Chance) -> Vec<u8> {
    let mut stream = Vec::new();
    while !input.is_over() && stream.len() < STREAM_BYTES_MAX {
        if input.below(2) == 1 {
            let len = input.below(256);
            stream.extend(input.bytes(len));
        } else {
            let (id, len) = (input.below(256) as u8, input.below(65_536));
            let filling = input.below(256) as u8;
            stream.extend(wire::frame(id, &vec![filling; len]));
        }
    }
    stream
}

/// Where each frame of the stream starts, found in one go.
fn frames_of(stream: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    let mut rest = stream;
    while let Some((id, payload)) = wire::split(rest) {
        frames.push((id, payload));
        rest = &rest[3 + payload.len()..];
    }
    frames
}

fn take_one(
    buffer: &mut FrameBuffer,
    expected: &[(u8, &[u8])],
    found: &mut usize,
    taken: &mut usize,
) -> bool {
    let promised = buffer.has_frame();
    let Some(frame) = buffer.next_frame() else {
        assert!(!promised, "a frame was promised");
        return false;
    };
    assert!(promised, "a frame that was not promised");
    let &(id, payload) = expected.get(*found).expect("a frame too many");
    assert_eq!(frame, Frame { id, payload });
    assert_eq!(frame.wire_len(), 3 + payload.len());
    *taken += frame.wire_len();
    *found += 1;
    true
}
