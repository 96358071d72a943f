//! A user's UDP socket towards one side: what is sent through it is sealed as soon as there is a seal.
//!
//! One thread receives and another speaks, so that the seal is behind a lock, for which nobody ever
//! waits long.

use super::options::Receivers;
use super::sys;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, OnceLock};
use voiceapp_protocol::sealing::Sealer;
use voiceapp_protocol::{SEAL_OVERHEAD_BYTES, VOICE_FRAME_BYTES_MAX};

pub struct VoiceSocket {
    socket: UdpSocket,
    sealer: OnceLock<Mutex<Sealer>>,
}

impl VoiceSocket {
    /// A socket that only this address can send to, as in the clients.
    pub fn open(address: SocketAddr, receivers: Receivers) -> io::Result<Self> {
        let any: IpAddr = if address.is_ipv4() {
            [0; 4].into()
        } else {
            [0; 16].into()
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(address)?;
        socket.set_nonblocking(true)?;
        match receivers {
            Receivers::Read => {
                sys::set_large_receive_buffer(&socket)?;
                sys::set_timestamps(&socket)?;
            }
            Receivers::Ignore => sys::set_smallest_receive_buffer(&socket)?,
        }
        Ok(VoiceSocket {
            socket,
            sealer: OnceLock::new(),
        })
    }

    /// Seals all that is sent from now on. A second seal changes nothing.
    pub fn seal_with(&self, sealer: Sealer) {
        let _ = self.sealer.set(Mutex::new(sealer));
    }

    /// Sends one frame.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        let Some(sealer) = self.sealer.get() else {
            return self.socket.send(frame).map(|_| ());
        };
        let mut datagram = [0; VOICE_FRAME_BYTES_MAX + SEAL_OVERHEAD_BYTES];
        let room = datagram.get_mut(..frame.len() + SEAL_OVERHEAD_BYTES);
        let room = room.ok_or_else(|| io::Error::other("the frame is too long"))?;
        let mut sealer = sealer
            .lock()
            .map_err(|_| io::Error::other("a thread died"))?;
        sealer.seal(frame, room).map_err(io::Error::other)?;
        self.socket.send(room).map(|_| ())
    }

    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer)
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl AsRawFd for VoiceSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use voiceapp_protocol::sealing::ServerOpener;
    use voiceapp_protocol::{KeyId, Suite, VoiceSecrets};

    #[test]
    fn what_is_sent_is_sealed_as_soon_as_there_is_a_seal() {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let patience = Some(Duration::from_secs(5));
        server.set_read_timeout(patience).expect("a timeout");
        let address = server.local_addr().expect("an address");
        let socket = VoiceSocket::open(address, Receivers::Ignore).expect("a socket");
        let mut buffer = [0; 2_048];
        let mut receive = || {
            let len = server.recv(&mut buffer).expect("a datagram");
            buffer[..len].to_vec()
        };
        socket.send(b"frame").expect("the kernel takes it");
        assert_eq!(receive(), b"frame");
        let secrets = VoiceSecrets::of(KeyId(3), Suite::Aes128GcmSha256, &[7; 64]);
        socket.seal_with(Sealer::new(secrets.suite, KeyId(3), secrets.to_server));
        let longest = [9; VOICE_FRAME_BYTES_MAX];
        let mut opener = ServerOpener::new(secrets.suite, KeyId(3), secrets.to_server);
        for frame in [b"frame", &longest[..]] {
            socket.send(frame).expect("the kernel takes it");
            let mut datagram = receive();
            let opened = opener.open(&mut datagram).expect("it is authentic");
            assert_eq!(opened.inside, frame);
        }
        assert!(socket.send(&[9; VOICE_FRAME_BYTES_MAX + 1]).is_err());
    }
}
