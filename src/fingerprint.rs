//! The fingerprint of a server's key, and the invitation that contains it.
//!
//! A client that follows an invitation knows the right key before its first connection.

use std::fmt;

/// The SHA-256 of the public key of a server's certificate, as its SubjectPublicKeyInfo has it (RFC 5280,
/// section 4.1; rule 14e). It is shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An invitation to the server at this host: a client that follows it knows the server's key before it
/// connects. `host` is a name or an address, with a port if it is another than `port`.
pub fn invitation(host: &str, port: u16, fingerprint: Fingerprint) -> String {
    let is_bare_ipv6 = host.parse::<std::net::Ipv6Addr>().is_ok();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match (is_bare_ipv6, has_port) {
        (true, _) => format!("voiceapp://[{host}]:{port}/#sha256={fingerprint}"),
        (false, true) => format!("voiceapp://{host}/#sha256={fingerprint}"),
        (false, false) => format!("voiceapp://{host}:{port}/#sha256={fingerprint}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_has_a_host_a_port_and_the_key() {
        let mut bytes = [0; 32];
        bytes[0] = 0x0f;
        bytes[31] = 0xa0;
        let fingerprint = Fingerprint(bytes);
        let hex = format!("0f{}a0", "0".repeat(60));
        assert_eq!(fingerprint.to_string(), hex);
        for (host, place) in [
            ("example.org", "example.org:9001"),
            ("192.0.2.1", "192.0.2.1:9001"),
            ("example.org:443", "example.org:443"),
            ("2001:db8::1", "[2001:db8::1]:9001"),
            ("[2001:db8::1]", "[2001:db8::1]:9001"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
        ] {
            let invitation = invitation(host, 9001, fingerprint);
            assert_eq!(invitation, format!("voiceapp://{place}/#sha256={hex}"));
        }
    }
}
