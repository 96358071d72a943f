//! Handshakes in memory, with servers of all kinds.

use super::peer::{Authority, Identity, KnownServers};
use super::*;
use rustls::server::ServerConnection;
use std::net::Ipv4Addr;

/// The host that tests connect to.
fn localhost(pin: Option<Fingerprint>) -> Server {
    Server {
        host: "localhost".into(),
        pin,
        ..Server::default()
    }
}

fn start(server: &Server, trust: &Trust) -> Handshake {
    Handshake::start(server, Ipv4Addr::LOCALHOST.into(), trust).expect("there is randomness")
}

fn written(server: &mut ServerConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut bytes).expect("a vector takes it");
    }
    bytes
}

fn hand(server: &mut ServerConnection, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).expect("there is room");
        server.process_new_packets()?;
    }
    Ok(())
}

/// Shakes hands, and keeps what is to be kept, as a link does.
fn shake(
    identity: &Identity,
    pin: Option<Fingerprint>,
    trust: &Trust,
) -> Result<(Tls, ServerConnection, Grounds), HandshakeFailure> {
    let to = localhost(pin);
    let mut handshake = start(&to, trust);
    let mut server = identity.server();
    while !handshake.is_over() {
        hand(&mut server, &handshake.take_outbound()).expect("clients are right");
        handshake.handle_bytes(&written(&mut server))?;
    }
    hand(&mut server, &handshake.take_outbound()).expect("clients are right");
    assert!(!server.is_handshaking());
    let (tls, encryption, kept) = handshake.finish()?;
    assert_eq!(encryption.fingerprint, identity.fingerprint);
    if let Some(kept) = kept {
        let known_servers = trust.known_servers.as_deref();
        file::keep(known_servers, &to.place(), kept).expect("there is room");
    }
    Ok((tls, server, encryption.trusted))
}

fn grounds(identity: &Identity, pin: Option<Fingerprint>, trust: &Trust) -> Grounds {
    match shake(identity, pin, trust) {
        Ok((_, _, grounds)) => grounds,
        Err(failure) => panic!("{failure:?}"),
    }
}

fn unfit(identity: &Identity, pin: Option<Fingerprint>, trust: &Trust) -> Unfit {
    match shake(identity, pin, trust) {
        Err(HandshakeFailure::Untrusted(presented, unfit)) => {
            assert_eq!(presented, identity.fingerprint);
            unfit
        }
        Err(failure) => panic!("{failure:?}"),
        Ok((_, _, grounds)) => panic!("it is trusted: {grounds:?}"),
    }
}

#[test]
fn the_first_key_is_kept_and_any_other_is_refused() {
    let (server, stranger) = (Identity::new(), Identity::new());
    let known = KnownServers::new();
    let trust = known.trust(&[]);
    assert_eq!(grounds(&server, None, &trust), Grounds::FirstUse);
    let line = format!("localhost:9001 sha256={}\n", server.fingerprint);
    assert_eq!(known.text(), line);
    assert_eq!(grounds(&server, None, &trust), Grounds::Known);
    let kept = server.fingerprint;
    let changed = Unfit::Changed {
        kept,
        lines: vec![1],
    };
    assert_eq!(unfit(&stranger, None, &trust), changed);
    assert_eq!(known.text(), line);
    // The owner has a new key, and says so by an invitation.
    let pin = Some(stranger.fingerprint);
    assert_eq!(grounds(&stranger, pin, &trust), Grounds::Pinned);
    assert_eq!(grounds(&stranger, None, &trust), Grounds::Known);
}

#[test]
fn a_pin_trusts_no_other_key_whatever_vouches_for_it() {
    let authority = Authority::new();
    let server = Identity::new();
    let vouched = Identity::of(&authority, "localhost", 2100);
    let known = KnownServers::new();
    let trust = known.trust(&[&authority]);
    let pinned = server.fingerprint;
    for stranger in [&Identity::new(), &vouched] {
        assert_eq!(
            unfit(stranger, Some(pinned), &trust),
            Unfit::NotPinned { pinned }
        );
    }
    assert_eq!(known.text(), "");
    assert_eq!(grounds(&server, Some(pinned), &trust), Grounds::Pinned);
}

#[test]
fn a_certificate_without_its_key_is_worth_nothing() {
    let authority = Authority::new();
    let server = Identity::new();
    let vouched = Identity::of(&authority, "localhost", 2100);
    let known = KnownServers::new();
    let trust = known.trust(&[&authority]);
    let pin = Some(server.fingerprint);
    assert_eq!(unfit(&server.stolen(), None, &trust), Unfit::NotProven);
    assert_eq!(unfit(&server.stolen(), pin, &trust), Unfit::NotProven);
    assert_eq!(unfit(&vouched.stolen(), None, &trust), Unfit::NotProven);
    assert_eq!(known.text(), "");
    assert_eq!(grounds(&server, None, &trust), Grounds::FirstUse);
    assert_eq!(unfit(&server.stolen(), None, &trust), Unfit::NotProven);
}

#[test]
fn roots_vouch_for_any_key_of_this_host_in_its_time_and_from_then_on_they_must() {
    let (authority, other) = (Authority::new(), Authority::new());
    let known = KnownServers::new();
    let trust = known.trust(&[&authority]);
    for _ in 0..2 {
        // With a key of its own each time.
        let server = Identity::of(&authority, "localhost", 2100);
        assert_eq!(grounds(&server, None, &trust), Grounds::Vouched);
    }
    assert_eq!(known.text(), "localhost:9001 roots\n");
    let strangers = [
        Identity::new(),
        Identity::of(&other, "localhost", 2100),
        Identity::of(&authority, "elsewhere", 2100),
        Identity::of(&authority, "localhost", 2020),
    ];
    for stranger in &strangers {
        let lines = vec![1];
        assert_eq!(unfit(stranger, None, &trust), Unfit::NotVouched { lines });
    }
}

#[test]
fn what_comes_right_behind_the_handshake_is_not_lost() {
    let identity = Identity::new();
    let known = KnownServers::new();
    let mut handshake = start(&localhost(None), &known.trust(&[]));
    let mut server = identity.server();
    hand(&mut server, &handshake.take_outbound()).expect("clients are right");
    handshake
        .handle_bytes(&written(&mut server))
        .expect("it is trusted");
    hand(&mut server, &handshake.take_outbound()).expect("clients are right");
    server.writer().write_all(b"hello").expect("there is room");
    handshake
        .handle_bytes(&written(&mut server))
        .expect("it is right");
    let (tls, ..) = handshake.finish().expect("it is over");
    assert_eq!(tls.open(&[]).expect("it is right").plaintext, b"hello");
}

#[test]
fn nothing_is_resumed_and_the_protocol_is_named() {
    let identity = Identity::new();
    let known = KnownServers::new();
    for _ in 0..2 {
        let (_, server, _) = shake(&identity, None, &known.trust(&[])).expect("it is trusted");
        assert_eq!(server.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(server.alpn_protocol(), Some(ALPN));
        assert_eq!(
            server.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_3)
        );
    }
}

#[test]
fn any_amount_passes_cut_anywhere_both_ways() {
    let identity = Identity::new();
    let known = KnownServers::new();
    let (tls, mut server, _) = shake(&identity, None, &known.trust(&[])).expect("it is trusted");
    let said: Vec<u8> = (0..300_000u32).map(|it| (it / 7) as u8).collect();
    let mut heard = Vec::new();
    for piece in tls.seal(&said).expect("it is whole").chunks(5_000) {
        hand(&mut server, piece).expect("clients are right");
        let all = server.reader().read_to_end(&mut heard);
        assert!(all.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    }
    assert_eq!(heard, said);

    server.set_buffer_limit(None);
    server.writer().write_all(&said).expect("it has no limit");
    for size in [100_000, 16_384, 1_000, 1] {
        server
            .writer()
            .write_all(&said[..2_000])
            .expect("it has no limit");
        let bytes = written(&mut server);
        let mut heard = Vec::new();
        for piece in bytes.chunks(size) {
            let opened = tls.open(piece).expect("it is whole");
            heard.extend(opened.plaintext);
            assert!(!opened.is_closed);
        }
        assert!(heard.ends_with(&said[..2_000]));
        assert!(heard.len() == 2_000 || heard.len() == 302_000);
    }
    server.send_close_notify();
    let bytes = written(&mut server);
    assert!(tls.open(&bytes).expect("it is whole").is_closed);
    hand(&mut server, &tls.close()).expect("clients are right");
    let mut rest = Vec::new();
    assert_eq!(
        server
            .reader()
            .read_to_end(&mut rest)
            .expect("it is closed"),
        0
    );
}

#[test]
fn a_stream_that_is_cut_off_at_any_byte_is_never_taken_for_whole() {
    let identity = Identity::new();
    let known = KnownServers::new();
    let pin = Some(identity.fingerprint);
    let mut handshake = start(&localhost(pin), &known.trust(&[]));
    let mut server = identity.server();
    hand(&mut server, &handshake.take_outbound()).expect("clients are right");
    // What is known after each byte is what would be known if no other came.
    for byte in written(&mut server) {
        assert!(!handshake.is_over());
        handshake.handle_bytes(&[byte]).expect("it is right so far");
    }
    assert!(handshake.is_over());
    hand(&mut server, &handshake.take_outbound()).expect("clients are right");
    let (tls, ..) = handshake.finish().expect("it is over");
    server.writer().write_all(b"hello").expect("there is room");
    server.writer().write_all(b" again").expect("there is room");
    server.send_close_notify();
    let mut heard = Vec::new();
    let mut is_closed = false;
    for byte in written(&mut server) {
        assert!(!is_closed);
        let opened = tls.open(&[byte]).expect("it is right so far");
        heard.extend(opened.plaintext);
        assert!([&b""[..], b"hello", b"hello again"].contains(&heard.as_slice()));
        is_closed = opened.is_closed;
    }
    assert!(is_closed);
    assert_eq!(heard, b"hello again");
}

#[test]
fn what_was_changed_on_the_way_is_not_taken() {
    let identity = Identity::new();
    let known = KnownServers::new();
    let trust = known.trust(&[]);
    let mut refused = 0;
    let mut place = 0;
    loop {
        let (tls, mut server, _) = shake(&identity, None, &trust).expect("it is trusted");
        server.writer().write_all(b"hello").expect("there is room");
        let mut bytes = written(&mut server);
        let Some(byte) = bytes.get_mut(place) else {
            break;
        };
        *byte ^= 1;
        match tls.open(&bytes) {
            // It waits for more, or what was changed says nothing: the version, say.
            Ok(opened) => assert!(opened.plaintext.is_empty() || opened.plaintext == b"hello"),
            Err(reason) => {
                assert!(reason.contains("cannot be decrypted"), "{reason}");
                refused += 1;
            }
        }
        place += 1;
    }
    // All of the sealed text and its tag.
    assert!(refused >= 5 + 1 + 16, "{refused} of {place}");
}
