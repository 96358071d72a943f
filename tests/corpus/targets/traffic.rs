//! What clients send, made from an input: requests and datagrams as they should be, and as they
//! should not.

use super::input::Input;
use super::wire;
use std::net::{IpAddr, SocketAddr};
use voiceapp_server::event::UdpPath;

const NAMES: [&[u8]; 8] = [
    b"alice",
    b"bob",
    b"",
    b"a name of thirty-two bytes, right",
    b"a name of thirty-two bytes, yes.",
    b"line\nbreak",
    b"\xf0\x9f\x8e\xa4",
    b"\xff\xfe",
];

/// A request as clients write it, with a name or a message that need not be fit, and sometimes with
/// bytes after its fields.
pub fn request(input: &mut Input<'_>) -> Vec<u8> {
    let (kind, detail) = (input.below(7), input.u8());
    let (id, fields) = match kind {
        0 => (wire::LOGIN_REQUEST, name(detail, input)),
        1 => (wire::JOIN_REQUEST, Vec::new()),
        2 => (wire::LEAVE_REQUEST, Vec::new()),
        3 => (wire::CHAT_REQUEST, message(detail, input)),
        4 => (wire::PING_REQUEST, Vec::new()),
        _ => (wire::USER_MUTE_STATE, vec![detail % 3]),
    };
    let tail = vec![0xff; usize::from(detail >= 0xf0)];
    wire::frame(id, &[&[detail; 8], &fields[..], &tail].concat())
}

fn name(detail: u8, input: &mut Input<'_>) -> Vec<u8> {
    match NAMES.get(usize::from(detail % 16)) {
        Some(name) => wire::text(name),
        None => wire::text(input.bytes()),
    }
}

fn message(detail: u8, input: &mut Input<'_>) -> Vec<u8> {
    match detail % 16 {
        0 => wire::text(b""),
        1 => wire::text(&[b'x'; 4_096]),
        2 => wire::text(&[b'x'; 4_097]),
        3 => wire::text(&[b'x'; 60_000]),
        4 => wire::text(b"\xc3\x28"),
        5 => wire::text(input.bytes()),
        _ => wire::text(b"hello"),
    }
}

/// Addresses that differ in their port, in their host, in their network or in their family, spoken to
/// at one of two addresses of the server, or at one that the system does not tell.
pub fn place(input: &mut Input<'_>) -> UdpPath {
    let byte = input.u8();
    let remote: &str = match byte % 8 {
        0 => "192.0.2.1:1",
        1 => "192.0.2.1:2",
        2 => "192.0.2.2:1",
        3 => "[2001:db8::1]:1",
        4 => "[2001:db8::2]:1",
        5 => "[2001:db8:0:1::1]:1",
        6 => "198.51.100.7:65535",
        _ => "0.0.0.0:0",
    };
    let remote: SocketAddr = remote.parse().expect("it is an address");
    let local = match byte / 8 % 3 {
        0 => None,
        host => Some(IpAddr::from([198, 51, 100, host])),
    };
    UdpPath { remote, local }
}

/// A VoiceAuthRequest with something behind its fields and behind its frame now and then.
pub fn proof(input: &mut Input<'_>, token: impl FnOnce(&mut Input<'_>) -> u64) -> Vec<u8> {
    let token = token(input).to_be_bytes();
    let request_id = input.u8();
    let mut payload = [[request_id; 8], token].concat();
    let tails = input.u8();
    payload.resize(payload.len() + usize::from(tails % 4), 0xff);
    let mut datagram = wire::frame(wire::VOICE_AUTH_REQUEST, &payload);
    datagram.resize(datagram.len() + usize::from(tails / 4 % 4), 0xff);
    datagram
}

/// Voice with data of any length up to beyond the slot, right at the edges too, and mostly a usual
/// one.
pub fn voice(input: &mut Input<'_>) -> Vec<u8> {
    let len = match input.u8() {
        len @ 0..=199 => usize::from(len),
        edge @ 200..=219 => 1_390 + usize::from(edge - 200),
        edge @ 220..=239 => 2_019 + usize::from(edge - 220),
        _ => usize::from(input.u16() % 4_096),
    };
    let header = [input.u8(); 16];
    let payload = [&header[..], &vec![input.u8(); len]].concat();
    let mut datagram = wire::frame(wire::VOICE_DATA, &payload);
    datagram.resize(datagram.len() + usize::from(input.u8() % 4), 0xff);
    datagram
}

/// Any bytes, or an id and a length that need not be true with so many bytes behind them.
pub fn odd_datagram(input: &mut Input<'_>) -> Vec<u8> {
    if input.bool() {
        return input.bytes().to_vec();
    }
    let (claim, actual) = (input.u16() % 4_096, input.u16() % 4_096);
    let [high, low] = claim.to_be_bytes();
    let id = match input.u8() {
        id @ 0..128 => id,
        id if id % 2 == 0 => wire::VOICE_DATA,
        _ => wire::VOICE_AUTH_REQUEST,
    };
    let mut datagram = vec![id, high, low];
    datagram.resize(3 + usize::from(actual), input.u8());
    datagram
}
