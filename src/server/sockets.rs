//! Binding the two ports, and the options that sockets get.

use super::ServerError;
use crate::config::Config;
use crate::limits::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_RETRIES, LISTEN_BACKLOG};
use log::{debug, warn};
use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

/// Binds the management port and the voice port to the same address.
pub(super) fn bind(config: &Config) -> Result<(TcpListener, UdpSocket), ServerError> {
    let (address, listener) = match config.bind_address {
        Some(address) => (address, listen(address, config.management_port)?),
        None => listen_everywhere(config.management_port)?,
    };
    Ok((listener, bind_voice(address, config.voice_relay_port)?))
}

/// Listens on every address, and says which form of "every" it was.
fn listen_everywhere(port: u16) -> Result<(IpAddr, TcpListener), ServerError> {
    let both = Ipv6Addr::UNSPECIFIED.into();
    match listen(both, port) {
        Ok(listener) => Ok((both, listener)),
        Err(ServerError::Listen { source, .. }) if means_no_ipv6(&source) => {
            warn!("this machine has no IPv6, listening on IPv4 alone: {source}");
            let ipv4 = Ipv4Addr::UNSPECIFIED.into();
            Ok((ipv4, listen(ipv4, port)?))
        }
        Err(error) => Err(error),
    }
}

/// Whether the system cannot do IPv6 at all, rather than not this time.
fn means_no_ipv6(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(code) = error.raw_os_error() {
        return [
            libc::EAFNOSUPPORT,
            libc::EPROTONOSUPPORT,
            libc::EADDRNOTAVAIL,
        ]
        .contains(&code);
    }
    error.kind() == io::ErrorKind::AddrNotAvailable || error.kind() == io::ErrorKind::Unsupported
}

fn listen(address: IpAddr, port: u16) -> Result<TcpListener, ServerError> {
    let address = SocketAddr::new(address, port);
    open(address, Type::STREAM, Protocol::TCP)
        .and_then(|socket| {
            // Without this, a restart would wait for connections of the last run to time out. On Windows it would let
            // another process take over the port.
            #[cfg(not(windows))]
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(LISTEN_BACKLOG)?;
            Ok(socket.into())
        })
        .map_err(|source| ServerError::Listen {
            protocol: "TCP",
            address,
            source,
        })
}

fn bind_voice(address: IpAddr, port: u16) -> Result<UdpSocket, ServerError> {
    let address = SocketAddr::new(address, port);
    open(address, Type::DGRAM, Protocol::UDP)
        .and_then(|socket| {
            socket.bind(&address.into())?;
            Ok(socket.into())
        })
        .map_err(|source| ServerError::Listen {
            protocol: "UDP",
            address,
            source,
        })
}

/// A non-blocking socket, for both families if the address is IPv6's "every address".
fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sets the options of an accepted connection. Where one cannot be set the connection is most likely gone already, which its
/// next read will tell.
pub(super) fn prepare(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(KEEPALIVE_RETRIES);
    let result = stream
        .set_nodelay(true)
        .and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    if let Err(error) = result {
        debug!("cannot set the options of a connection: {error}");
    }
}
