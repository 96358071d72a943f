//! A stream of frames, cut anywhere and glued together.

use super::*;

#[test]
fn a_stream_may_be_cut_anywhere() {
    let stream: Vec<u8> = golden()
        .iter()
        .flat_map(|(_, bytes)| *bytes)
        .copied()
        .collect();
    let take_all = |buffer: &mut FrameBuffer, frames: &mut Vec<Vec<u8>>| {
        while let Some(frame) = buffer.next_frame() {
            let bytes = golden()[frames.len()].1;
            assert_eq!((frame.id, frame.payload), (bytes[0], &bytes[3..]));
            frames.push(bytes.to_vec());
        }
        assert!(!buffer.has_frame());
    };
    for cut in 0..=stream.len() {
        let mut buffer = FrameBuffer::new();
        let mut frames = Vec::new();
        for piece in [&stream[..cut], &stream[cut..]] {
            buffer.extend(piece);
            take_all(&mut buffer, &mut frames);
        }
        assert_eq!(frames.concat(), stream);
        assert!(buffer.is_empty());
    }
    let mut buffer = FrameBuffer::new();
    let mut frames = Vec::new();
    for byte in &stream {
        buffer.extend(std::slice::from_ref(byte));
        take_all(&mut buffer, &mut frames);
    }
    assert_eq!(frames.concat(), stream);
}

#[test]
fn a_stream_may_be_glued_together_and_be_taken_slowly() {
    let (_, ping) = golden()[5];
    let mut buffer = FrameBuffer::new();
    buffer.extend(&ping.repeat(1_000));
    for left in (0..1_000).rev() {
        assert!(buffer.has_frame());
        assert!(buffer.next_frame().is_some());
        assert_eq!(buffer.len(), left * ping.len());
        // More may come while some of it waits.
        if left == 500 {
            buffer.extend(ping);
            assert_eq!(buffer.len(), 501 * ping.len());
            assert_eq!(buffer.next_frame().unwrap().payload, &ping[3..]);
        }
    }
    assert!(!buffer.has_frame());
    assert_eq!(buffer.next_frame(), None);
}

#[test]
fn the_longest_frame_goes_through() {
    let longest = voice_data(65_519);
    assert_eq!(longest.len(), 3 + 65_535);
    let mut buffer = FrameBuffer::new();
    buffer.extend(&longest[..65_537]);
    assert!(!buffer.has_frame());
    buffer.extend(&longest[65_537..]);
    assert_eq!(buffer.next_frame().unwrap().wire_len(), longest.len());
    assert_eq!(buffer.next_frame(), None);
}
