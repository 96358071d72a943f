//! A server's address, as users write it: a host and perhaps a port, or an invitation, which has the
//! fingerprint of the server's key as well.

use crate::trust::Fingerprint;
use std::fmt::{self, Display, Formatter};

const PORT: u16 = 9001;
pub const VOICE_PORT: u16 = 9002;
/// An invitation begins with it, in letters of any case.
const SCHEME: &str = "voiceapp://";

/// A server's address, and how a client connects to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The UDP port.
    pub voice_port: u16,
    /// The fingerprint of its key, if the user names one: no other is trusted then.
    pub pin: Option<Fingerprint>,
    /// Whether it is spoken to in clear. Nothing but the user sets this.
    pub is_plain: bool,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            host: "127.0.0.1".into(),
            port: PORT,
            voice_port: VOICE_PORT,
            pin: None,
            is_plain: false,
        }
    }
}

impl Server {
    /// Takes an invitation, `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT` or a bare IPv6 address apart.
    /// An invitation sets the pin, if it has one.
    pub fn set_host(&mut self, server: &str) -> Result<(), String> {
        match server.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => self
                .set_invitation(rest)
                .map_err(|reason| format!("{server:?} is no invitation: {reason}")),
            _ => self.set_address(server),
        }
    }

    /// The host and the port as `known_servers` has them.
    pub fn place(&self) -> String {
        self.to_string().to_lowercase()
    }

    /// `HOST[:PORT][/][#KEY=VALUE[&KEY=VALUE...]]`, of whose keys `sha256` is known. The first counts.
    fn set_invitation(&mut self, text: &str) -> Result<(), String> {
        let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
        let address = address.strip_suffix('/').unwrap_or(address);
        if address.contains(['/', '?', '@']) {
            return Err("it has more than a host, a port and a fingerprint".into());
        }
        let mut keys = fragment.split('&').map(|it| it.split_once('='));
        let pin = keys.find_map(|it| it.filter(|(key, _)| *key == "sha256"));
        let pin = pin.map(|(_, value)| value.parse()).transpose()?;
        self.set_address(address)?;
        self.pin = pin.or(self.pin);
        Ok(())
    }

    fn set_address(&mut self, server: &str) -> Result<(), String> {
        let (host, port) = if let Some(bracketed) = server.strip_prefix('[') {
            match bracketed.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, rest)) if rest.starts_with(':') => (host, Some(&rest[1..])),
                _ => return Err(format!("{server:?} is not [ADDRESS]:PORT")),
            }
        } else {
            match server.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (server, None),
            }
        };
        if host.is_empty() {
            return Err(format!("{server:?} names no host"));
        }
        // It begins a line of `known_servers`, up to a blank, and that may not be a comment.
        if host.contains(|c: char| c.is_whitespace() || c.is_control()) || host.starts_with('#') {
            return Err(format!(
                "{server:?} is no host: no name has such characters"
            ));
        }
        self.host = host.to_owned();
        self.port = port.map_or(Ok(PORT), parse_port)?;
        Ok(())
    }
}

impl Display for Server {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A port that can be connected to.
pub fn parse_port(port: &str) -> Result<u16, String> {
    match port.parse() {
        Ok(0) | Err(_) => Err(format!("{port:?} is not a port (1 to 65535)")),
        Ok(port) => Ok(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_host_and_perhaps_a_port() {
        let table = [
            ("localhost", Some(("localhost", 9001))),
            ("localhost:1", Some(("localhost", 1))),
            ("127.0.0.1:19001", Some(("127.0.0.1", 19001))),
            ("[::1]:19001", Some(("::1", 19001))),
            ("[::1]", Some(("::1", 9001))),
            ("::1", Some(("::1", 9001))),
            ("", None),
            (":9001", None),
            ("host:", None),
            ("host:0", None),
            ("host:65536", None),
            ("[::1", None),
            ("[::1]9001", None),
            ("ho st", None),
            ("host\n:1", None),
            ("[::1%1 roots\nhost]:1", None),
            ("#host", None),
            ("voiceapp://host\u{2028}", None),
            ("fe80::1%eth0", Some(("fe80::1%eth0", 9001))),
            ("voiceapp://host", Some(("host", 9001))),
            ("VoiceApp://host:1/", Some(("host", 1))),
            ("voiceapp://[::1]:2/#", Some(("::1", 2))),
            ("voiceapp://[::1]", Some(("::1", 9001))),
            ("voiceapp://", None),
            ("voiceapp:///", None),
            ("voiceapp://host/room", None),
            ("voiceapp://host?a=b", None),
            ("voiceapp://ann@host", None),
            ("voiceapp://host#sha256=12", None),
        ];
        for (text, expected) in table {
            let mut server = Server::default();
            let taken = server.set_host(text).ok();
            let taken = taken.map(|()| (server.host.as_str(), server.port));
            assert_eq!(taken, expected, "{text}");
        }
    }
    #[test]
    fn an_invitation_has_the_fingerprint_and_may_have_what_is_not_known_yet() {
        let pin = Fingerprint([0xab; 32]);
        let (lower, upper) = (pin.to_string(), pin.to_string().to_uppercase());
        assert_eq!(lower.len(), 64);
        let other = Fingerprint([1; 32]);
        let table = [
            (format!("#sha256={lower}"), Some(pin)),
            (format!("/#sha256={upper}"), Some(pin)),
            (format!("/#name=a=b&sha256={lower}&x"), Some(pin)),
            (format!("/#sha256={lower}&sha256={other}"), Some(pin)),
            (format!("/#sha512={lower}"), None),
            ("/".to_owned(), None),
        ];
        for (end, expected) in table {
            let mut server = Server::default();
            let text = format!("voiceapp://host{end}");
            server.set_host(&text).expect("it is an invitation");
            assert_eq!(server.pin, expected, "{text}");
        }
        // A fingerprint that cannot be read is never the same as none.
        for end in ["sha256=", &format!("sha256={lower}0"), "a=b&sha256=+f"] {
            let text = format!("voiceapp://host/#{end}");
            let reason = Server::default().set_host(&text).expect_err(&text);
            assert!(reason.contains("is no fingerprint"), "{reason}");
        }
    }

    #[test]
    fn a_place_is_written_in_one_way() {
        for text in [
            "Host.Example",
            "host.example:9001",
            "voiceapp://HOST.example/",
        ] {
            let mut server = Server::default();
            server.set_host(text).expect("it is a server");
            assert_eq!(server.place(), "host.example:9001");
        }
        let mut server = Server::default();
        server.set_host("2001:DB8::1").expect("it is a server");
        assert_eq!(server.place(), "[2001:db8::1]:9001");
    }
}
