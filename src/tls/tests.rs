//! Certificates, and what a session is made of.

use super::*;
use rustls::ClientConnection;
use std::sync::LazyLock;

#[path = "../../tests/common/tls_client.rs"]
mod tls_client;

pub(crate) use tls_client::client;

/// A server's, the same for all tests, as it takes its time to make.
pub(crate) fn acceptor() -> &'static Acceptor {
    static ACCEPTOR: LazyLock<Acceptor> = LazyLock::new(|| Acceptor::new(&identity()));
    &ACCEPTOR
}

fn identity() -> Identity {
    let text = Identity::make().expect("there is randomness");
    Identity::parse(text.as_bytes(), text.as_bytes()).expect("it was just made")
}

/// Both have shaken hands.
fn pair(mut client: ClientConnection, acceptor: &Acceptor) -> (ClientConnection, Session) {
    let mut session = acceptor.begin();
    while client.is_handshaking() || session.is_handshaking() {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut there).expect("it is memory");
        }
        session.feed(&there, &mut back).expect("it is right");
        let mut rest = &back[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("it is memory");
            client.process_new_packets().expect("it is right");
        }
    }
    (client, session)
}

#[test]
fn a_certificate_that_was_made_is_read_and_has_a_key_of_its_own() {
    let texts = [(); 2].map(|()| Identity::make().expect("there is randomness"));
    let [one, other] = [0, 1].map(|place: usize| {
        let text = texts[place].as_bytes();
        Identity::parse(text, text).expect("it was just made")
    });
    assert_ne!(one.fingerprint(), other.fingerprint());
    let crossed = Identity::parse(texts[0].as_bytes(), texts[1].as_bytes());
    assert!(
        matches!(crossed, Err(IdentityError::Refused(_))),
        "{crossed:?}"
    );
    // The key stands behind the certificate, and is found.
    assert!(texts[0].starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert!(texts[0].lines().all(|line| line.len() <= 64));
}

#[test]
fn what_is_no_certificate_or_no_key_says_what_it_is() {
    let text = Identity::make().expect("there is randomness");
    let (certificate, key) = text.split_at(text.find("-----BEGIN PRIVATE").expect("it is there"));
    let (certificate, key) = (certificate.as_bytes(), key.as_bytes());
    assert!(Identity::parse(certificate, key).is_ok());
    let error = |certificate, key| Identity::parse(certificate, key).expect_err("it is wrong");
    assert_eq!(error(b"", key), IdentityError::NoCertificate);
    assert_eq!(error(key, key), IdentityError::NoCertificate);
    assert_eq!(error(certificate, certificate), IdentityError::NoKey);
    let cut = &certificate[..certificate.len() / 2];
    assert!(matches!(error(cut, key), IdentityError::Pem(_)));
    let mut broken = certificate.to_vec();
    // The first letter of what is no sequence any more.
    let first = certificate
        .iter()
        .position(|&byte| byte == b'M')
        .expect("it begins with a 0x30");
    broken[first] = b'N';
    assert!(matches!(error(&broken, key), IdentityError::Refused(_)));
}

/// The fingerprint is that of the key in the certificate, which a client sees.
#[test]
fn a_client_finds_the_fingerprint_in_the_certificate() {
    let identity = identity();
    let (client, _) = pair(client(&[]), &Acceptor::new(&identity));
    let shown = client.peer_certificates().expect("it has shown one")[0].clone();
    // SubjectPublicKeyInfo of a key on P-256 (RFC 5480), which is somewhere in it.
    let start = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    ];
    let at = shown
        .windows(start.len())
        .position(|window| window == start);
    let at = at.expect("it is a certificate for P-256");
    let sha256 = digest::digest(&digest::SHA256, &shown[at..at + 0x5b]);
    assert_eq!(sha256.as_ref(), identity.fingerprint().0);
}

#[test]
fn nothing_can_be_resumed_and_nothing_comes_early() {
    let (mut client, mut session) = pair(client(&[]), acceptor());
    assert_eq!(
        client.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
    let mut out = Vec::new();
    session.seal(b"hello", &mut out);
    assert_eq!(
        out.len(),
        5 + RECORD_OVERHEAD_BYTES,
        "no ticket came before it"
    );
    client.read_tls(&mut &out[..]).expect("it is memory");
    client.process_new_packets().expect("it is right");
    assert_eq!(client.tls13_tickets_received(), 0);
    assert!(client.early_data().is_none());
}

#[test]
fn a_client_of_an_older_tls_is_refused_with_an_alert() {
    let mut session = acceptor().begin();
    // A ClientHello of TLS 1.2 alone, with one suite and no extensions.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let mut out = Vec::new();
    assert_eq!(session.feed(&hello, &mut out), Err(Broken));
    assert_eq!(out[0], 21, "an alert (RFC 8446, section 5.1)");
}

#[test]
fn both_sides_export_the_same_secrets_once_the_handshake_is_over() {
    let (client, session) = pair(client(&[]), acceptor());
    let label = b"EXPERIMENTAL-voiceapp-voice-1";
    let (mut own, context) = ([0; 64], 7_u32.to_be_bytes());
    let suite = session.export(label, &context, &mut own);
    let theirs = client.export_keying_material([0; 64], label, Some(&context));
    assert_eq!(own, theirs.expect("the handshake is over"));
    let negotiated = client
        .negotiated_cipher_suite()
        .expect("it is over")
        .suite();
    let expected = match negotiated {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => Suite::Aes256GcmSha384,
        CipherSuite::TLS13_AES_128_GCM_SHA256 => Suite::Aes128GcmSha256,
        _ => Suite::ChaCha20Poly1305Sha256,
    };
    assert_eq!(suite, Some(expected));
    assert_eq!(acceptor().begin().export(label, &context, &mut own), None);
}

/// What a client's library does by itself after so many records (RFC 8446, section 5.5), the answer to which
/// goes out before the next record.
#[test]
fn a_new_key_that_the_client_asks_for_takes_nothing_from_the_next_record() {
    let (mut client, mut session) = pair(client(&[]), acceptor());
    client.refresh_traffic_keys().expect("it is over");
    let (mut there, mut back) = (Vec::new(), Vec::new());
    client.write_tls(&mut there).expect("it is memory");
    session.feed(&there, &mut back).expect("it is right");
    let plain: Vec<u8> = (0..RECORD_BYTES_MAX).map(|place| place as u8).collect();
    session.seal(&plain, &mut back);
    let (mut rest, mut got) = (&back[..], Vec::new());
    while !rest.is_empty() {
        client.read_tls(&mut rest).expect("it is memory");
        client.process_new_packets().expect("it is right");
        // It has nothing more for now.
        let _ = client.reader().read_to_end(&mut got);
    }
    assert!(got == plain, "{} bytes of {}", got.len(), plain.len());
}

/// A record is whole, and with it came more than the library has room for beside it.
#[test]
fn a_large_record_may_come_with_small_ones_behind_it() {
    for small in [1, 100, 1_000, 4_000] {
        let (mut client, mut session) = pair(client(&[]), acceptor());
        let (mut there, mut out, mut sent) = (Vec::new(), Vec::new(), 0);
        for len in [RECORD_BYTES_MAX].into_iter().chain(vec![small; 200]) {
            client.writer().write_all(&vec![7; len]).expect("memory");
            client.write_tls(&mut there).expect("it is memory");
            sent += len;
        }
        let (mut got, mut buffer) = (0, [0; 10_000]);
        for came in there.chunks(READ_BYTES) {
            assert_eq!(session.feed(came, &mut out), Ok(()), "{small}");
            while session.readable() > 0 {
                got += session.take(&mut buffer);
            }
        }
        assert_eq!((got, out.len()), (sent, 0), "{small}");
    }
}
