//! The UDP socket under a session, and the thread that reads it.

use super::{Arrival, Deliver};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// When no datagram has come for this long, the thread that reads them checks whether the link is
/// over, and whether the way to the server has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A new way is not left for this long, should the system alternate between ways.
const ROUTE_STAYS: Duration = Duration::from_secs(3);

/// A UDP socket that is connected, and so keeps the local address that it had then.
pub struct VoiceSocket {
    udp: UdpSocket,
    is_over: Arc<AtomicBool>,
}

impl VoiceSocket {
    pub fn connect(to: SocketAddr) -> io::Result<Self> {
        let udp = match to {
            SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
        };
        udp.connect(to)?;
        udp.set_read_timeout(Some(LOOK_EVERY))?;
        Ok(VoiceSocket {
            udp,
            is_over: Arc::default(),
        })
    }

    pub fn start(&self, deliver: Deliver) -> io::Result<()> {
        let (udp, is_over) = (self.udp.try_clone()?, self.is_over.clone());
        thread::spawn(move || read_datagrams(&udp, &is_over, &*deliver));
        Ok(())
    }

    /// Returns whether the network took it.
    pub fn send(&self, datagram: &[u8]) -> bool {
        self.udp.send(datagram).is_ok()
    }
}

impl Drop for VoiceSocket {
    /// Ends the thread that reads as well: a UDP socket cannot be shut down, so a flag stops it.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Whether datagrams to where this socket is connected would now come from another address than its
/// own.
fn has_moved(udp: &UdpSocket) -> bool {
    let is_elsewhere = || -> io::Result<bool> {
        let now = VoiceSocket::connect(udp.peer_addr()?)?.udp.local_addr()?;
        Ok(now.ip() != udp.local_addr()?.ip())
    };
    // Without a way there is no better one.
    is_elsewhere().unwrap_or(false)
}

fn read_datagrams(udp: &UdpSocket, is_over: &AtomicBool, deliver: &dyn Fn(Arrival) -> bool) {
    let mut buffer = [0; 65_536];
    let start = Instant::now();
    let mut is_told = false;
    while !is_over.load(Ordering::Relaxed) {
        let arrival = match udp.recv(&mut buffer) {
            Ok(len) => Arrival::Datagram(buffer[..len].to_vec(), Instant::now()),
            // ICMP's "port unreachable", on Unix or on Windows.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
                ) =>
            {
                Arrival::VoiceClosed
            }
            // Nothing came.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if is_told || start.elapsed() < ROUTE_STAYS || !has_moved(udp) {
                    continue;
                }
                is_told = true;
                Arrival::Moved
            }
            // News of one datagram that was lost, perhaps through a firewall (PermissionDenied):
            // the next may get through.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Interrupted
                        | ErrorKind::HostUnreachable
                        | ErrorKind::NetworkUnreachable
                        | ErrorKind::PermissionDenied
                ) =>
            {
                continue;
            }
            Err(error) => Arrival::Lost(format!("voice broke: {error}")),
        };
        let is_last = matches!(arrival, Arrival::Lost(_));
        if !deliver(arrival) || is_last {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_knows_whether_its_way_is_still_the_one() {
        let to = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
        let to = to.local_addr().expect("it is bound");
        let here = VoiceSocket::connect(to).expect("there is a way");
        assert!(!has_moved(&here.udp));
        // As if this had been our address, and were not any more.
        let Ok(elsewhere) = UdpSocket::bind(("127.0.0.2", 0)) else {
            return;
        };
        elsewhere.connect(to).expect("there is a way");
        assert!(has_moved(&elsewhere));
    }
}
