//! What lies between the bytes of a TCP connection and the frames in them: nothing, or TLS, as the
//! client has it.
//!
//! It owns no socket, so that users, who never block, and storms, which do, have the same. Whatever
//! key the server presents is trusted: it is one's own that is measured.

use std::net::SocketAddr;
use voiceapp_client::link::Server;
use voiceapp_client::link::tls::{Handshake, Tls};
use voiceapp_client::trust::{Roots, Trust};
use voiceapp_protocol::{FrameBuffer, KeyId, VoiceSecrets};

const NOT_YET: &str = "there is no connection yet";

pub struct Wire(Layer);

enum Layer {
    Plain,
    ShakingHands(Box<Handshake>),
    Tls(Box<Tls>),
    /// Neither, as the handshake has failed.
    Broken,
}

impl Wire {
    pub fn plain() -> Self {
        Wire(Layer::Plain)
    }

    /// TLS with this server. Returns what is to be sent first.
    pub fn secure(server: SocketAddr) -> Result<(Self, Vec<u8>), String> {
        let named = Server {
            host: server.ip().to_string(),
            port: server.port(),
            ..Server::default()
        };
        let trust = Trust {
            known_servers: None,
            roots: Roots::These(Vec::new()),
        };
        let mut handshake = Handshake::start(&named, server.ip(), &trust)?;
        let hello = handshake.take_outbound();
        Ok((Wire(Layer::ShakingHands(Box::new(handshake))), hello))
    }

    /// Whether requests can be sent.
    pub fn is_ready(&self) -> bool {
        matches!(self.0, Layer::Plain | Layer::Tls(_))
    }

    /// Takes what came, and returns what is to be sent because of it.
    pub fn receive(&mut self, bytes: &[u8], inbound: &mut FrameBuffer) -> Result<Vec<u8>, String> {
        match std::mem::replace(&mut self.0, Layer::Broken) {
            Layer::Broken => Err("the handshake has failed".to_owned()),
            Layer::Plain => {
                inbound.extend(bytes);
                self.0 = Layer::Plain;
                Ok(Vec::new())
            }
            Layer::Tls(tls) => {
                inbound.extend(&tls.open(bytes)?.plaintext);
                self.0 = Layer::Tls(tls);
                Ok(Vec::new())
            }
            Layer::ShakingHands(mut handshake) => {
                let handled = handshake.handle_bytes(bytes);
                let outbound = handshake.take_outbound();
                handled.map_err(|failure| failure.to_string())?;
                self.0 = match handshake.is_over() {
                    true => {
                        let finished = handshake.finish();
                        let (tls, ..) = finished.map_err(|failure| failure.to_string())?;
                        // It may hold what came with the end of the handshake.
                        inbound.extend(&tls.open(&[])?.plaintext);
                        Layer::Tls(Box::new(tls))
                    }
                    false => Layer::ShakingHands(handshake),
                };
                Ok(outbound)
            }
        }
    }

    /// What is to be sent so that the server gets this.
    pub fn send(&self, plaintext: Vec<u8>) -> Result<Vec<u8>, String> {
        match &self.0 {
            Layer::Plain => Ok(plaintext),
            Layer::Tls(tls) => tls.seal(&plaintext),
            Layer::ShakingHands(_) | Layer::Broken => Err(NOT_YET.to_owned()),
        }
    }

    /// What is to be sent at the end.
    pub fn close(&self) -> Result<Vec<u8>, String> {
        match &self.0 {
            Layer::Plain => Ok(Vec::new()),
            Layer::Tls(tls) => Ok(tls.close()),
            Layer::ShakingHands(_) | Layer::Broken => Err(NOT_YET.to_owned()),
        }
    }

    /// What voice is sealed with. Only TLS has it.
    pub fn voice_secrets(&self, key_id: KeyId) -> Option<VoiceSecrets> {
        match &self.0 {
            Layer::Tls(tls) => tls.voice_secrets(key_id),
            _ => None,
        }
    }
}
