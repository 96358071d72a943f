//! What a library without the feature `encryption` has in the place of TLS: nothing. It connects in clear
//! where the application asks for that, and nowhere else.

use super::{ConnectError, Secured, Server};
use crate::trust::Trust;
use std::net::TcpStream;
use voiceapp_protocol::{KeyId, VoiceSecrets};

/// Of which there is none.
pub enum Tls {}

/// What the server has sent.
pub struct Opened {
    pub plaintext: Vec<u8>,
    pub is_closed: bool,
}

impl Tls {
    pub fn open(&self, _ciphertext: &[u8]) -> Result<Opened, String> {
        match *self {}
    }

    pub fn seal(&self, _plaintext: &[u8]) -> Result<Vec<u8>, String> {
        match *self {}
    }

    pub fn close(&self) -> Vec<u8> {
        match *self {}
    }

    pub fn voice_secrets(&self, _key_id: KeyId) -> Option<VoiceSecrets> {
        match *self {}
    }
}

/// Always refuses.
pub fn shake_hands(
    _tcp: &mut TcpStream,
    _server: &Server,
    _trust: &Trust,
    _say: &mut impl FnMut(String),
) -> Result<Secured, ConnectError> {
    let reason = "this program was built without encryption: --plain connects in clear";
    Err(ConnectError::NotEncrypted(reason.into()))
}
