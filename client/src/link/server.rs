//! A server's address, as users write it.

use std::fmt::{self, Display, Formatter};

const PORT: u16 = 9001;
pub const VOICE_PORT: u16 = 9002;

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The UDP port.
    pub voice_port: u16,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            host: "127.0.0.1".into(),
            port: PORT,
            voice_port: VOICE_PORT,
        }
    }
}

impl Server {
    /// Takes `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT` or a bare IPv6 address apart.
    pub fn set_host(&mut self, server: &str) -> Result<(), String> {
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
        ];
        for (text, expected) in table {
            let mut server = Server::default();
            let taken = server.set_host(text).ok();
            let taken = taken.map(|()| (server.host.as_str(), server.port));
            assert_eq!(taken, expected, "{text}");
        }
    }
}
